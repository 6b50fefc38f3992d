"""Orders for videos. Looking for work reads none of their files: when one is due is its modification time."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gymserve.system.spool import Spool

SUBMISSION, MONITOR, EXPERIMENT = "submission", "monitor", "experiment"


@dataclass(frozen=True)
class Order:
    """What is to be filmed.

    Args:
        kind: SUBMISSION, all of a journal's trials; MONITOR, single episodes of a monitored instance; or EXPERIMENT, the
            best episode of its final evaluation.
        subject: the submission's or the experiment's name, or the instance's token.
        title: stands below the pictures.
        challenge: a submission's challenge, by its number.
        directory: a monitor's folder.
        monitor: which of the instance's monitors, from 1.
        every: a monitor's episodes of which a video is wanted: the first and each so many after it.
        attempts: how often it was begun.
        reason: why it was not carried out the last time; "" if that is not known, or it was not tried.
    """

    kind: str
    subject: str
    title: str = ""
    challenge: int = 0
    directory: str = ""
    monitor: int = 0
    every: int = 0
    attempts: int = 0
    reason: str = ""

    @property
    def file(self) -> str:
        """Submissions' names sort before monitors', and those before experiments'."""
        if self.kind == SUBMISSION:
            return f"1-{self.subject}"
        if self.kind == EXPERIMENT:
            return f"3-{self.subject}"
        return f"2-{self.subject}-{self.monitor}"


class Orders(Spool[Order]):
    """Args:
    folder: theirs; it is made with the first.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Order, "an order for a video")

    def delay(self, order: Order, seconds: float) -> None:
        """Has an order wait, as it stands: for this there is room on any disk."""
        due = time.time() + seconds
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.folder / order.file, (due, due))

    def find(self, kind: str, subject: str) -> Order | None:
        """The order for a subject; None: there is none."""
        return self.read(Order(kind, subject).file)

    def has_work(self) -> bool:
        """Whether an order is due."""
        return next(self._due(), None) is not None

    def number(self) -> int:
        """How many there are, due or not."""
        return len(self.names())

    def next(self) -> Order | None:
        """The order that has waited longest, submissions' first; None: none is due."""
        for _, _, path in sorted(self._due()):
            if (order := self.read(path.name)) is not None:
                return order
            path.unlink(missing_ok=True)  # no order of ours
        return None

    def _due(self) -> Iterator[tuple[str, float, Path]]:
        """(kind, since when, file) of the orders that are due."""
        now = time.time()
        try:
            entries = list(os.scandir(self.folder))
        except FileNotFoundError:
            return
        for entry in entries:
            if not entry.name.startswith("."):  # being written
                with contextlib.suppress(FileNotFoundError):  # done in the meantime
                    if (due := entry.stat().st_mtime) <= now:
                        yield entry.name[0], due, Path(entry.path)
