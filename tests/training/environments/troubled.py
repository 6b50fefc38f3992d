"""Environments that make a training fail."""

import os
from typing import Any

import gymnasium
import numpy as np


class Raising(gymnasium.Env[np.ndarray, int]):
    """Raises an error at its tenth step."""

    action_space = gymnasium.spaces.Discrete(2)
    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.left = 10
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> Any:
        self.left -= 1
        if not self.left:
            self.trouble()
        return np.zeros(1, np.float32), 1.0, False, False, {}

    def trouble(self) -> None:
        raise RuntimeError("the muscles are tired")


class Leaving(Raising):
    """Ends its process at its tenth step."""

    def trouble(self) -> None:
        os._exit(7)


class Hungry(Raising):
    """Allocates a gigabyte at its tenth step."""

    def trouble(self) -> None:
        self.meal = np.ones(1 << 27)


class Exploding(Raising):
    """Returns NaN from its tenth step on."""

    def step(self, action: int) -> Any:
        self.left -= 1
        return np.full(1, np.nan if self.left < 0 else 0, np.float32), 1.0, False, False, {}


gymnasium.register("Exploding-v0", entry_point=Exploding, disable_env_checker=True)
gymnasium.register("Raising-v0", entry_point=Raising, disable_env_checker=True)
gymnasium.register("Leaving-v0", entry_point=Leaving, disable_env_checker=True)
gymnasium.register("Hungry-v0", entry_point=Hungry, disable_env_checker=True)


class Drifting(Raising):
    """A nondeterministic environment with episodes of a hundred steps."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.left = 101
        return np.frombuffer(os.urandom(1), np.uint8).astype(np.float32) / 255, {}

    def step(self, action: int) -> Any:
        self.left -= 1
        return np.frombuffer(os.urandom(1), np.uint8).astype(np.float32) / 255, 1.0, self.left == 1, False, {}


gymnasium.register("Drifting-v0", entry_point=Drifting, disable_env_checker=True)
