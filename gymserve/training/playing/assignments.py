"""Assignments: the server's requests to the player process, one file each.

An assignment is written when its submission has begun, and removed when the submission is over; if a process is killed in
between, the next player finds the file.
"""

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from gymserve.protocol.errors import LimitReached, StorageFull, Untrainable
from gymserve.system.spool import Spool
from gymserve.training.plan.checker import Checker
from gymserve.training.plan.lineage import Parent, check_spaces

MOST = 16  # assignments at a time
MOST_BYTES = 4096  # of an assignment's file


@dataclass(frozen=True)
class Assignment:
    """A submission to be played by a model.

    Args:
        submission: its name; `token`: of its graded instance.
        attempts: how often a player has started it without making progress.
        seq: that of the last call when a player started it.
    """

    submission: str
    token: str
    model: str
    attempts: int = 0
    seq: int = -1

    @property
    def file(self) -> str:
        return self.submission


class Assignments(Spool[Assignment]):
    """The folder of assignments, created with the first one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Assignment, "the assignment of a submission to a model")

    @contextlib.contextmanager
    def room(self) -> Iterator[Path]:
        """Reserve disk space for one assignment before its submission begins, since every submission needs its assignment.

        Raises:
            StorageFull: the disk is full.
        """
        room = self.folder / f".{uuid.uuid4()}"
        try:
            try:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                room.write_bytes(bytes(MOST_BYTES))
            except OSError as error:
                raise StorageFull(
                    f"the model cannot play: its assignment cannot be written: {error.strerror}"
                ) from error
            yield room
        finally:
            room.unlink(missing_ok=True)

    def fill(self, room: Path, assignment: Assignment) -> None:
        """Write an assignment into its reserved space."""
        text = json.dumps(asdict(assignment))
        assert len(text) <= MOST_BYTES
        with room.open("r+") as file:
            file.write(text)
            file.truncate()
        room.rename(self.folder / assignment.file)

    def waiting(self) -> list[Assignment]:
        """Return the unfinished assignments, sorted by their submissions' names."""
        return [assignment for name in self.names() if (assignment := self.read(name)) is not None]

    def has_work(self) -> bool:
        return bool(self.names())

    def check_room(self) -> None:
        """Check that another assignment may be added.

        Raises:
            LimitReached: too many submissions are being played.
        """
        if len(self.names()) >= MOST:
            raise LimitReached(f"{MOST} submissions are already being played by models: try again")


def check(model: Parent, checker: Checker, environment: str, kwargs: Mapping[str, object]) -> None:
    """Check that a model can play in a challenge's environment.

    Raises:
        Untrainable: it cannot; the message says why.
    """
    plan = model.plan
    if plan.atari:
        raise Untrainable("the model was trained with Atari's wrapper, which sees more than a challenge's agents do")
    own = checker.spaces(plan.env_id, plan.env_kwargs, server=plan.server)
    if own is None:
        raise Untrainable(
            "the spaces of another server's environment, in which the model was trained, are unknown here"
        )
    theirs = checker.spaces(environment, kwargs, trusted=True)
    assert theirs is not None
    check_spaces(own, theirs)
