"""Models that play challenges: what the server asks of the process that plays (`player`), as a file each.

An assignment is written when its submission has begun, and removed when that is over: if anybody is killed in between, the next
player finds it.
"""

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gymserve.protocol.errors import LimitReached, StorageFull, Untrainable
from gymserve.system.spool import Spool
from gymserve.training.plan.checker import Checker
from gymserve.training.plan.lineage import Parent, check_spaces

MOST = 16  # that are played at a time
MOST_BYTES = 4096  # of an assignment's file


@dataclass(frozen=True)
class Assignment:
    """Args:
    submission: its name; `token`: of its graded instance.
    attempts: how often a player has begun with it where it stands now.
    seq: that of the last call when a player began with it.
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
    """Args: folder: theirs; it is made with the first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Assignment, "the assignment of a submission to a model")

    @contextlib.contextmanager
    def room(self) -> Iterator[Path]:
        """Room on the disk for one assignment, taken before its submission begins, which must not be without a player.

        Raises:
            StorageFull: there is none.
        """
        room = self.folder / f".{uuid.uuid4()}"
        try:
            try:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                room.write_bytes(bytes(MOST_BYTES))
            except OSError as error:
                raise StorageFull(f"the model cannot be told to play: {error.strerror}") from error
            yield room
        finally:
            room.unlink(missing_ok=True)

    def fill(self, room: Path, assignment: Assignment) -> None:
        """Has it played, in the room that was taken for it."""
        text = json.dumps(asdict(assignment))
        assert len(text) <= MOST_BYTES
        with room.open("r+") as file:
            file.write(text)
            file.truncate()
        room.rename(self.folder / assignment.file)

    def waiting(self) -> list[Assignment]:
        """Those that are not done, by their submissions' names."""
        return [found for name in self.names() if (found := self.read(name)) is not None]

    def has_work(self) -> bool:
        return bool(self.names())

    def check_room(self) -> None:
        """Raises: LimitReached: as many play as may."""
        if len(self.names()) >= MOST:
            raise LimitReached(f"{MOST} submissions are being played by models already: try again")


def check(model: Parent, checker: Checker, environment: str, kwargs: Mapping[str, Any]) -> None:
    """Whether a model can play in a challenge's environment.

    Raises:
        Untrainable: it cannot, with the reason.
    """
    plan = model.plan
    if plan.atari:
        raise Untrainable("the model was trained with Atari's wrapper, which sees more than a challenge's agents do")
    own = checker.spaces(plan.env_id, plan.env_kwargs, server=plan.server)
    if own is None:
        raise Untrainable(
            "the spaces of another server's environment, in which the model was trained, are not known here"
        )
    theirs = checker.spaces(environment, kwargs, trusted=True)
    assert theirs is not None
    check_spaces(own, theirs)
