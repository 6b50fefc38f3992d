"""Environments to measure with: one with large observations, whose steps take no time, and one with slow steps."""

import time
from typing import Any

import gymnasium
import numpy as np


class Pictures(gymnasium.Env[np.ndarray, int]):
    """Always returns the same picture of Atari's size."""

    action_space = gymnasium.spaces.Discrete(2)
    observation_space = gymnasium.spaces.Box(0, 255, (210, 160, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.picture = self.np_random.integers(0, 255, (210, 160, 3), np.uint8)
        return self.picture, {}

    def step(self, action: int) -> Any:
        return self.picture, 0.0, False, False, {}


class Slow(Pictures):
    """Computes for 20 ms in each step."""

    observation_space = gymnasium.spaces.Box(0, 255, (1,), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.picture = np.zeros(1, np.uint8)
        return self.picture, {}

    def step(self, action: int) -> Any:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return super().step(action)


gymnasium.register("Slow-v0", entry_point=Slow, disable_env_checker=True)
gymnasium.register("Pictures-v0", entry_point=Pictures)
