"""Environments that misbehave when they are rendered; otherwise they work, and replay."""

import ctypes
import os
import time
from typing import Any

import gymnasium
import numpy as np


class Painting(gymnasium.Env[np.ndarray, int]):
    """A square that the actions move; an episode ends after `length` steps."""

    action_space = gymnasium.spaces.Discrete(3)
    observation_space = gymnasium.spaces.Box(0, 1e9, (1,), np.float64)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    length = 10

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.steps, self.place = 0, float(self.np_random.integers(10))
        return self.observation(), {}

    def step(self, action: int) -> Any:
        self.steps += 1
        self.place += float(action)
        return self.observation(), float(action), self.steps >= self.length, False, {}

    def observation(self) -> np.ndarray:
        return np.array([self.place])

    def render(self) -> np.ndarray:
        picture = np.full((48, 64, 3), 255, np.uint8)
        left = int(self.place) % 56
        picture[20:28, left : left + 8] = (200, 30, 30)
        return picture


class Crashing(Painting):
    def render(self) -> np.ndarray:
        ctypes.string_at(0)
        return super().render()


class Leaking(Painting):
    def render(self) -> np.ndarray:
        self.hoard = [bytearray(os.urandom(1024) * 1024) for _ in range(600)]
        time.sleep(60)
        return super().render()


class Hanging(Painting):
    def render(self) -> np.ndarray:
        ctypes.PyDLL(None).sleep(600)  # like native code that holds the GIL
        return super().render()


class Raising(Painting):
    def render(self) -> np.ndarray:
        raise RuntimeError(f"the paint is dry, and the state is {self.np_random.bit_generator.state}")


class Vain(Painting):
    """Behaves differently from the third step on if it is rendered."""

    def observation(self) -> np.ndarray:
        return np.array([self.place + (self.render_mode is not None and self.steps >= 3)])


class Hidden(Painting):
    metadata = {"render_modes": []}

    def __init__(self) -> None:
        super().__init__()


for kind in (Painting, Crashing, Leaking, Hanging, Raising, Vain, Hidden):
    gymnasium.register(f"{kind.__name__}-v0", entry_point=kind, disable_env_checker=True)
