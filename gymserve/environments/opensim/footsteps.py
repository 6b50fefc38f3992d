"""Learn to Move's reward: for being alive, for each footstep, and for the task of a round.

Source: osim-rl 3.0.11, `osim/env/osim.py`, `get_reward_1` and `get_reward_2`.
"""

import math

from gymserve.environments.opensim.physics.simulation import STEP_SECONDS
from gymserve.environments.opensim.physics.snapshots import SavedTask

ALIVE = 0.1  # per step
FOOTSTEP = 10.0  # per second of a footstep
VELOCITY = {1: 1.0, 2: 3.0}  # round → penalty per metre by which the pelvis has missed the target velocity
FINISHED_FIRST_ROUND = 10.0
TARGET_REACHED = 500.0
FOOTSTEPS_OF_A_WALK = 5  # after more than these, the second round's last, unfinished footstep counts


class Footsteps:
    """Counts the footsteps of an episode, and rewards them; `number` is the round, 1 or 2."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.new = False  # whether a foot landed in the last step
        self._on_ground = (True, True)
        self._begin()

    def _begin(self) -> None:
        self._seconds = self._effort = self._missed_x = self._missed_y = 0.0

    def save(self) -> SavedTask:
        """The state as plain data, for `restore`."""
        sums = [self._seconds, self._effort, self._missed_x, self._missed_y]
        return [self.count, self.new, list(self._on_ground), sums]

    def restore(self, saved: SavedTask) -> None:
        """Restores the state that `save` returned."""
        self.count, self.new, (right, left), sums = saved
        self._on_ground = (right, left)
        self._seconds, self._effort, self._missed_x, self._missed_y = sums

    def land(self, right: bool, left: bool) -> None:
        """Records which feet are on the ground after a step."""
        was_right, was_left = self._on_ground
        self.new = (right and not was_right) or (left and not was_left)
        self.count += self.new
        self._on_ground = (right, left)

    def reward(
        self, velocity: tuple[float, float], wanted: tuple[float, float], effort: float, *, walked: bool, reached: bool
    ) -> float:
        """The reward of a step; a footstep that ends with it is rewarded in the next step, as in osim-rl.

        Args:
            velocity, wanted: the pelvis' actual and target velocity, (forward, left) m/s.
            effort: the sum of the muscles' squared activations.
            walked: whether this is the last step of an episode that did not end with a fall.
            reached: whether the body had stayed at the target for long enough in the step before this one.
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
