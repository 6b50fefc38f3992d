"""Environments that misbehave, each in one way: what strangers' environments do to a server."""

import ctypes
import os
import sys
import time
from typing import Any

import gymnasium
import numpy as np

WELL, HANG, SEGFAULT, EXIT, LEAK, RAISE, SYSTEM_EXIT, PRINT, SLOW = range(9)


class Faulty(gymnasium.Env[np.ndarray, int]):
    """Counts its steps; each action but 0 does something that it should not."""

    action_space = gymnasium.spaces.Discrete(9)
    observation_space = gymnasium.spaces.Box(0, 1e9, (1,), np.float64)
    metadata = {"render_modes": []}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.count = 0
        return np.array([0.0]), {}

    def step(self, action: int) -> Any:
        self.count += 1
        if action == HANG:
            while True:
                time.sleep(1)
        elif action == SEGFAULT:
            ctypes.string_at(0)
        elif action == EXIT:
            os._exit(7)
        elif action == LEAK:
            self.hoard = [bytearray(os.urandom(1024) * 1024) for _ in range(4096)]
            time.sleep(60)
        elif action == RAISE:
            raise RuntimeError("the muscles are tired")
        elif action == SYSTEM_EXIT:
            sys.exit("enough")
        elif action == PRINT:
            print("an environment prints")
            os.chdir("/")
        elif action == SLOW:
            time.sleep(0.5)
        return np.array([float(self.count)]), 1.0, False, False, {}


class Forgetful(Faulty):
    """Does not replay: its observations come from nowhere."""

    def step(self, action: int) -> Any:
        return np.array([float(int.from_bytes(os.urandom(3), "big"))]), 1.0, False, False, {}


class Counting(Faulty):
    """Writes each step down in a file, so that a test can count what was really stepped."""

    def __init__(self, file: str) -> None:
        self.file = file

    def step(self, action: int) -> Any:
        with open(self.file, "a") as file:
            file.write(f"{action}\n")
        return super().step(0)


class Carrying(Faulty):
    """Carries state from one episode to the next, outside of its random generator."""

    episodes = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.episodes += 1
        super().reset(seed=seed)
        return np.array([float(self.episodes)]), {}

    def step(self, action: int) -> Any:
        self.count += 1
        return np.array([self.episodes * 100.0 + self.count]), 1.0, False, False, {}


for name, kind in (("Faulty", Faulty), ("Forgetful", Forgetful), ("Counting", Counting), ("Carrying", Carrying)):
    gymnasium.register(f"{name}-v0", entry_point=kind, disable_env_checker=True, order_enforce=False)
    gymnasium.register(f"Shared{name}-v0", entry_point=kind, disable_env_checker=True, order_enforce=False)
