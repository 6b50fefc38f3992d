"""An environment with large observations, whose steps take no time."""

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


gymnasium.register("Pictures-v0", entry_point=Pictures)
