"""An allowance: how long the agent of a graded instance may take per step (with an overage bank), idle and in total."""

import math
import time
from collections.abc import Callable

from gymserve.protocol import errors

NAMES = ("step_seconds", "overage_seconds", "idle_seconds", "submission_seconds")


def parse_allowance(allowance: object) -> dict[str, float | None]:
    """Checks an allowance: any of `NAMES`, each a number of seconds or None for no limit.

    Raises:
        InvalidRequest: the allowance is malformed.
    """
    if not isinstance(allowance, dict) or not allowance.keys() <= set(NAMES):
        raise errors.InvalidRequest(f"allowance must be an object with some of {', '.join(NAMES)}")
    for name, value in allowance.items():
        if value is not None and (type(value) not in (int, float) or not 0 <= value < math.inf):
            raise errors.InvalidRequest(f"allowance: {name} must be a number of seconds, not {value!r:.50}")
    return dict(allowance)


class Allowance:
    """Tracks how much time the agent of one instance has left.

    Args:
        age: how many seconds ago the instance was created.
        bank: the remaining overage in seconds; None means all of it.
        answered: the clock's time when the agent received its last answer; None means now.
    """

    def __init__(
        self,
        limits: dict[str, float | None],
        *,
        age: float,
        bank: float | None = None,
        answered: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._step_seconds = limits.get("step_seconds")
        self.bank = (limits.get("overage_seconds") or 0.0) if bank is None else bank
        self._answered = clock() if answered is None else answered
        self.idle_seconds = _or_never(limits.get("idle_seconds"))
        self.deadline = clock() + _or_never(limits.get("submission_seconds")) - age
        self.counts = self._step_seconds is not None

    def answered(self) -> None:
        """Notes that the agent has received an answer: its time for the next step starts now."""
        self._answered = self._clock()

    def overdraws(self, at: float | None) -> bool:
        """Charges the bank for a late request, and returns whether it was late.

        Args:
            at: the clock's time when the request had arrived completely; None means now.
        """
        assert self._step_seconds is not None
        over = (self._clock() if at is None else at) - self._answered - self._step_seconds
        self.bank -= max(0.0, over)
        return over > 0


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
