"""Environments with the habits of foreign environments, some of which can be replayed exactly and some cannot.

Each habit adds one number to the observations of all resets and steps.
"""

import importlib
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from gymserve.hosts.child_processes import MARK

_cache: dict[int, float] = {}


class Habitual(gymnasium.Env[dict[str, np.ndarray], int]):
    """An environment with the `habits`; without habits all its trials begin with the same number."""

    action_space = spaces.Discrete(4)
    metadata = {"render_modes": []}
    trials = 0

    def __init__(self, habits: list[str], file: str = "") -> None:
        self.habits, self.file = habits, file
        box = spaces.Box(-np.inf, np.inf, (len(habits) + 1,), np.float64)
        self.observation_space = spaces.Dict({"parts": box, "again": box})
        self.array = np.zeros(len(habits) + 1)
        self.made = np.random.random() if "numpy" in habits else 0.0
        self.options: dict[str, Any] = {}
        type(self).trials += 1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.options, self.count = options or {}, 0
        return self._observe(0), {}

    def step(self, action: int) -> Any:
        self.count += 1
        observation = self._observe(action)
        return observation, float(self.array.sum() % 7), self.count == 6, False, {}

    def _observe(self, action: int) -> dict[str, np.ndarray]:
        """Returns the same array each time, under two names."""
        self.array[0] = self.count * 10 + action
        for place, habit in enumerate(self.habits, 1):
            self.array[place] = HABITS[habit](self)
        return {"parts": self.array, "again": self.array}


def _arguments(env: Habitual) -> float:
    if env.options:
        env.options["level"] = env.options.pop("level", 0) + 1
    return float(env.options.get("level", 0))


def _strings(env: Habitual) -> float:
    words = {f"word {number}" for number in range(8)}
    return float("".join(word[-1] for word in words))


def _cached(env: Habitual) -> float:
    return _cache.setdefault(env.count, float(len(_cache)) + env.np_random.random())


def _lazy(env: Habitual) -> float:
    if env.count > 2 and "tests.support.environments.lazy_module" not in sys.modules:
        importlib.import_module("tests.support.environments.lazy_module")
    lazy: Any = sys.modules.get("tests.support.environments.lazy_module")
    return 0.0 if lazy is None else float(lazy.DRAWN)


def _in_place(env: Habitual) -> float:
    env.array += env.np_random.random()
    return float(env.array[0])


def _trials(env: Habitual) -> float:
    return float(type(env).trials)


def _directory(env: Habitual) -> float:
    if env.count == 3:
        os.chdir("..")
    if env.count == 5:
        os.chdir(env.file or "/")
    return float(sum(os.getcwd().encode()))


def _variables(env: Habitual) -> float:
    os.environ["HABITUAL_STEPS"] = str(int(os.environ.get("HABITUAL_STEPS", "0")) + 1)
    seen = sorted((name, value) for name, value in os.environ.items() if name != MARK)
    return float(sum(repr(seen).encode()))


def _address(env: Habitual) -> float:
    return float(id(env))


def _order(env: Habitual) -> float:
    """The order of a set of objects, which depends on their addresses."""
    things = [object.__new__(Thing) for _ in range(12)]
    for number, thing in enumerate(things):
        thing.number = number
    return float(sum(thing.number * 12**place for place, thing in enumerate(set(things)) if place < 12))


class Thing:
    number = 0


def _network(env: Habitual) -> float:
    with socket.create_connection(("127.0.0.1", int(Path(env.file).read_text()))) as connection:
        return float(connection.recv(16))


def _threads(env: Habitual) -> float:
    """The order in which two threads get their turns."""
    turns: list[int] = []

    def run(own: int) -> None:
        for _ in range(60):
            turns.append(own)
            time.sleep(0)

    racing = [threading.Thread(target=run, args=(own,)) for own in (0, 1)]
    for thread in racing:
        thread.start()
    for thread in racing:
        thread.join()
    return float(sum(place * own for place, own in enumerate(turns)))


HABITS: dict[str, Callable[[Habitual], float]] = {
    "arguments": _arguments,
    "numpy": lambda env: float(np.random.random()) + env.made,
    "python": lambda env: random.random(),
    "strings": _strings,
    "cached": _cached,
    "lazy": _lazy,
    "in place": _in_place,
    "trials": _trials,
    "directory": _directory,
    "variables": _variables,
    "pid": lambda env: float(os.getpid()),
    "address": _address,
    "order": _order,
    "clock": lambda env: time.time(),
    "date": lambda env: float(time.gmtime().tm_yday),
    "chance": lambda env: float(np.random.default_rng().random()),
    "network": _network,
    "threads": _threads,
}
REPLAYED = (
    "arguments", "numpy", "python", "strings", "cached", "lazy", "in place", "trials", "directory", "variables",
)  # fmt: skip
gymnasium.register("Habitual-v0", entry_point=Habitual, disable_env_checker=True)
