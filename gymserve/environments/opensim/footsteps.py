"""Learn to Move's reward: for being alive, for each footstep, and for what a round asks.

Source: osim-rl 3.0.11, `osim/env/osim.py`, `get_reward_1` and `get_reward_2`.
"""

import math
from typing import Any

from gymserve.environments.opensim.physics.simulation import STEP_SECONDS

ALIVE = 0.1  # a step
FOOTSTEP = 10.0  # for each second of it
VELOCITY = {1: 1.0, 2: 3.0}  # for each metre by which the pelvis has missed the target velocity, by round
FINISHED_FIRST_ROUND = 10.0
TARGET_REACHED = 500.0
FOOTSTEPS_OF_A_WALK = 5  # more than these, and the second round's last, unfinished footstep counts


class Footsteps:
    """The books of an episode. `number` is 1 or 2, the round's."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.new = False  # whether the last step ended with a foot newly on the ground
        self._on_ground = (True, True)
        self._begin()

    def _begin(self) -> None:
        self._seconds = self._effort = self._missed_x = self._missed_y = 0.0

    def books(self) -> list[Any]:
        """All of it as plain data, for `reopen`."""
        sums = [self._seconds, self._effort, self._missed_x, self._missed_y]
        return [self.count, self.new, list(self._on_ground), sums]

    def reopen(self, books: list[Any]) -> None:
        self.count, self.new, (right, left), sums = books
        self._on_ground = (right, left)
        self._seconds, self._effort, self._missed_x, self._missed_y = sums

    def land(self, right: bool, left: bool) -> None:
        """Notes which feet are on the ground after a step."""
        was_right, was_left = self._on_ground
        self.new = (right and not was_right) or (left and not was_left)
        self.count += self.new
        self._on_ground = (right, left)

    def reward(
        self, velocity: tuple[float, float], wanted: tuple[float, float], effort: float, *, walked: bool, reached: bool
    ) -> float:
        """What a step is worth. A footstep that it ends with is paid in the next one, as the old code does.

        Args:
            velocity, wanted: of the pelvis, (forward, left) m/s.
            effort: the sum of the muscles' squared activations.
            walked: whether this is the last step of an episode that did not end with a fall.
            reached: whether the step before this one has held the target for long enough.
        """
        self._seconds += STEP_SECONDS
        self._effort += effort * STEP_SECONDS
        self._missed_x += (velocity[0] - wanted[0]) * STEP_SECONDS
        self._missed_y += (velocity[1] - wanted[1]) * STEP_SECONDS
        reward = ALIVE
        if self.new or (self.number == 2 and walked and self.count > FOOTSTEPS_OF_A_WALK):
            missed = math.hypot(self._missed_x, self._missed_y)
            reward += FOOTSTEP * self._seconds - VELOCITY[self.number] * missed - self._effort
            self._begin()
        if self.number == 1:
            return reward + FINISHED_FIRST_ROUND * walked
        return reward + TARGET_REACHED * reached
