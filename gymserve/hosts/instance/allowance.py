"""How long an agent may take over a graded instance: over each step with a bank for the overage, idle, and in all."""

import math
import time
from collections.abc import Callable
from typing import Any

from gymserve.protocol import errors

NAMES = ("step_seconds", "overage_seconds", "idle_seconds", "submission_seconds")


def checked(allowance: Any) -> dict[str, float | None]:
    """An allowance in order: any of `NAMES`, each a number of seconds or None for no limit.

    Raises:
        InvalidRequest: it is none.
    """
    if not isinstance(allowance, dict) or not allowance.keys() <= set(NAMES):
        raise errors.InvalidRequest(f"allowance must be an object with some of {', '.join(NAMES)}")
    for name, value in allowance.items():
        if value is not None and (type(value) not in (int, float) or not 0 <= value < math.inf):
            raise errors.InvalidRequest(f"allowance: {name} must be a number of seconds, not {value!r:.50}")
    return dict(allowance)


class Allowance:
    """The clock of one instance.

    Args:
        age: how many seconds ago the instance was made.
        bank: what is left of the overage; None: all of it.
        answered: when the agent had its last answer, by the clock; None: just now.
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
        """The agent has its answer, and thinks from now on."""
        self._answered = self._clock()

    def overdraws(self, at: float | None) -> bool:
        """Whether the agent, whose request was whole at this time (None: just now), took something out of its bank."""
        assert self._step_seconds is not None
        over = (self._clock() if at is None else at) - self._answered - self._step_seconds
        self.bank -= max(0.0, over)
        return over > 0


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
