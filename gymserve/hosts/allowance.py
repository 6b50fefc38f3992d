"""How long an agent may take over a graded instance: over each step with a bank for the overage, idle, and in all."""

import math
import time
from collections.abc import Callable
from typing import Any

from gymserve import errors

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
    """The clock of one instance; what was used of the bank is forgotten when its process is lost.

    Args:
        age: how many seconds ago the instance was made.
    """

    def __init__(
        self, limits: dict[str, float | None], *, age: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._step_seconds = limits.get("step_seconds")
        self._bank = limits.get("overage_seconds") or 0.0
        self._answered = clock()
        self.idle_seconds = _or_never(limits.get("idle_seconds"))
        self.deadline = clock() + _or_never(limits.get("submission_seconds")) - age
        self.counts = self._step_seconds is not None

    def answered(self) -> None:
        """The agent has its answer, and thinks from now on."""
        self._answered = self._clock()

    def is_late(self) -> bool:
        """Whether the agent thought for longer than it may, its bank included."""
        assert self._step_seconds is not None
        self._bank -= max(0.0, self._clock() - self._answered - self._step_seconds)
        return self._bank < 0


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
