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


class Clinging(Faulty):
    """Does not let itself be closed once it was reset."""

    clings = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.clings = True
        return super().reset(seed=seed, options=options)

    def close(self) -> None:
        while self.clings:
            time.sleep(1)


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


class Telltale(gymnasium.Env[np.ndarray, int]):
    """Tells its seed and options wherever it can; each action but GO does something that trials must stand."""

    GO, NAN, RAISE, END, INFINITE = range(5)
    action_space = gymnasium.spaces.Discrete(5)
    observation_space = gymnasium.spaces.Box(-1e9, 1e9, (2,), np.float64)
    metadata = {"render_modes": []}

    def __init__(self, secret: str = "none at all") -> None:
        self.secret = secret

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        if options and "fails" in options:
            raise RuntimeError(f"seed {seed}, {options}")
        self.seed, self.options = seed, options or {}
        self.count = 0
        return self._observation(), self._info()

    def step(self, action: int) -> Any:
        self.count += 1
        if action == self.RAISE:
            raise RuntimeError(f"seed {self.seed}, {self.options}, {self.secret}")
        reward = {self.NAN: float("nan"), self.INFINITE: float("-inf")}.get(action, 1.0)
        return self._observation(), reward, action == self.END, False, self._info()

    def _observation(self) -> np.ndarray:
        return np.array([float(self.count), self.np_random.random()])

    def _info(self) -> dict[str, Any]:
        seed = self.seed or 0
        return {
            "seed": seed,
            "number": seed,
            "float": float(seed),
            "hex": f"x{seed:x}",
            "text": f"begun with {seed}",
            "array": np.array([1, seed], np.uint64),
            "nested": [{"again": seed, "np_random": str(self.np_random.bit_generator.state)}, [seed]],
            "level": self.options.get("level"),
            "told": self.options.get("word"),
            "kwarg": self.secret,
            str(seed): 1,
            "harmless": self.count,
        }


gymnasium.register("Telltale-v0", entry_point=Telltale, disable_env_checker=True)
KINDS = {"Faulty": Faulty, "Forgetful": Forgetful, "Counting": Counting, "Carrying": Carrying, "Clinging": Clinging}
for name, kind in KINDS.items():
    gymnasium.register(f"{name}-v0", entry_point=kind, disable_env_checker=True, order_enforce=False)
    gymnasium.register(f"Shared{name}-v0", entry_point=kind, disable_env_checker=True, order_enforce=False)
