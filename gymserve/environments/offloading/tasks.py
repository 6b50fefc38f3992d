"""The users' tasks: their arrival and their sizes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SPREAD = 0.15  # standard deviation as a fraction of the average
LEAST, MOST = 0.1, 2.0  # bounds as fractions of the average


class Averages(NamedTuple):
    """Average values of a task: cycles in millions, size in kilobytes, time limit in seconds."""

    cycles: float
    size: float
    limit: float


class Tasks(NamedTuple):
    """At most one task per user; each field is (users,) float64 in the units of `Averages`, 0 cycles for no task."""

    cycles: Array
    sizes: Array
    limits: Array

    @classmethod
    def draw(cls, averages: Averages, rate: float, users: int, random: np.random.Generator) -> "Tasks":
        """Draws the tasks of one slot: each user gets one with probability `rate`, with normally distributed values."""
        arrives = random.random(users) < rate
        parts = np.clip(random.normal(1.0, SPREAD, (3, users)), LEAST, MOST) * arrives
        return cls(*(part * average for part, average in zip(parts, averages, strict=True)))

    @property
    def present(self) -> NDArray[np.bool_]:
        """(users,): whether each user has a task."""
        return self.cycles > 0
