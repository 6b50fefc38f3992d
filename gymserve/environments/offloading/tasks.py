"""The users' tasks: which come, and how large they are."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SPREAD = 0.15  # standard deviation, as a part of the average
LEAST, MOST = 0.1, 2.0  # of the average


class Averages(NamedTuple):
    """Of a task: cycles in millions, size in kilobytes, time limit in seconds."""

    cycles: float
    size: float
    limit: float


class Tasks(NamedTuple):
    """One a user at most, each (users,) float64 in the units of `Averages`; a user without one has no cycles."""

    cycles: Array
    sizes: Array
    limits: Array

    @classmethod
    def arriving(cls, averages: Averages, rate: float, users: int, random: np.random.Generator) -> "Tasks":
        """What comes in one slot: a task with probability `rate` for each user, of normally distributed size."""
        come = random.random(users) < rate
        parts = np.clip(random.normal(1.0, SPREAD, (3, users)), LEAST, MOST) * come
        return cls(*(part * average for part, average in zip(parts, averages, strict=True)))

    @property
    def there(self) -> NDArray[np.bool_]:
        """(users,) who has a task."""
        return self.cycles > 0
