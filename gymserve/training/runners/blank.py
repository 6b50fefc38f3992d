"""An environment that consists of its spaces alone, for trying a plan before its experiment exists."""

import numpy as np

from gymserve.protocol.generics import Env, Space, Value

STEPS = 2  # in an episode


class Blank(Env):
    """An environment with random observations, zero rewards and episodes of two steps."""

    def __init__(self, observations: Space, actions: Space) -> None:
        self.observation_space, self.action_space = observations, actions
        self._left = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[Value, dict[str, object]]:
        super().reset(seed=seed)
        self._left = STEPS
        return self.observation_space.sample(), {}

    def step(self, action: Value) -> tuple[Value, float, bool, bool, dict[str, object]]:
        if not self.action_space.contains(action):
            raise ValueError(f"its policy's action {action!s:.60} is not one of {self.action_space!s:.100}")
        self._left -= 1
        return self.observation_space.sample(), 0.0, not self._left, False, {}

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: object) -> np.ndarray:
        """Return zeros, for HerReplayBuffer."""
        return np.zeros(len(achieved_goal))
