"""Orders for videos: a file each, written whole, so that none is lost and none is carried out by halves.

An order's file bears in its modification time when it is due, so that looking for work reads no file.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gymserve.errors import StorageFull

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


class Orders:
    """Args:
    folder: theirs; it is made with the first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, order: Order, *, wait_seconds: float = 0.0) -> None:
        """Writes the order, or writes it anew; it is due in `wait_seconds`.

        Raises:
            StorageFull: there is no room.
        """
        path = self.folder / order.file
        fresh = path.with_name(f".{order.file}.{os.getpid()}")
        due = time.time() + wait_seconds
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.write_text(json.dumps(asdict(order)))
            os.utime(fresh, (due, due))
            os.replace(fresh, path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise StorageFull(f"an order for a video cannot be written: {error.strerror}") from error

    def delay(self, order: Order, seconds: float) -> None:
        """Has an order wait, as it stands: for this there is room on any disk."""
        due = time.time() + seconds
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.folder / order.file, (due, due))

    def begin(self, order: Order, reason: str) -> Order:
        """Counts an attempt before it is made; `reason` is what it failed for, if the process ends with it."""
        begun = replace(order, attempts=order.attempts + 1, reason=reason)
        self.place(begun)
        return begun

    def done(self, order: Order) -> None:
        """There is nothing more to do."""
        (self.folder / order.file).unlink(missing_ok=True)

    def find(self, kind: str, subject: str) -> Order | None:
        """The order for a subject; None: there is none."""
        return self._read(self.folder / Order(kind, subject).file)

    def has_work(self) -> bool:
        """Whether an order is due."""
        return next(self._due(), None) is not None

    def number(self) -> int:
        """How many there are, due or not."""
        try:
            return sum(not name.startswith(".") for name in os.listdir(self.folder))
        except FileNotFoundError:
            return 0

    def next(self) -> Order | None:
        """The order that has waited longest, submissions' first; None: none is due."""
        for _, _, path in sorted(self._due()):
            if (order := self._read(path)) is not None:
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

    @staticmethod
    def _read(path: Path) -> Order | None:
        try:
            return Order(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None
