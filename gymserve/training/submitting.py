"""Models that play challenges: what the server asks of the process that plays (`player`), as a file each.

An order is written when its submission has begun, and removed when that is over: whoever is killed in between, the next player
finds it.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gymserve.errors import LimitReached, StorageFull, Untrainable
from gymserve.training.lineage import Parent, check_spaces
from gymserve.training.orders import Checker

MOST = 16  # that are played at a time


@dataclass(frozen=True)
class Order:
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


class Orders:
    """Args: folder: theirs; it is made with the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, order: Order) -> None:
        """Raises: StorageFull: there is no room."""
        path = self.folder / order.submission
        fresh = self.folder / f".{order.submission}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.write_text(json.dumps(asdict(order)))
            fresh.rename(path)
        except OSError as error:
            raise StorageFull(f"the model cannot be told to play: {error.strerror}") from error

    def done(self, order: Order) -> None:
        (self.folder / order.submission).unlink(missing_ok=True)

    def waiting(self) -> list[Order]:
        """Those that are not done, by their submissions' names."""
        found = []
        for name in self._names():
            with contextlib.suppress(OSError, ValueError, TypeError):  # done by now, or none of ours
                found.append(Order(**json.loads((self.folder / name).read_text())))
        return found

    def has_work(self) -> bool:
        return bool(self._names())

    def check_room(self) -> None:
        """Raises: LimitReached: as many play as may."""
        if len(self._names()) >= MOST:
            raise LimitReached(f"{MOST} submissions are being played by models already: try again")

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self.folder) if not name.startswith("."))
        except FileNotFoundError:
            return []


def check(model: Parent, checker: Checker, environment: str, kwargs: Mapping[str, Any]) -> None:
    """Whether a model can play in a challenge's environment.

    Raises:
        Untrainable: it cannot, with the reason.
    """
    order = model.order
    if order.get("atari"):
        raise Untrainable("the model was trained with Atari's wrapper, which sees more than a challenge's agents do")
    own = checker.spaces(order["environment"], order.get("env_kwargs") or {}, server=order.get("server"))
    if own is None:
        raise Untrainable(
            "the spaces of another server's environment, in which the model was trained, are not known here"
        )
    theirs = checker.spaces(environment, kwargs, trusted=True)
    assert theirs is not None
    check_spaces(own, theirs)
