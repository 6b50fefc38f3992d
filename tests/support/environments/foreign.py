"""Environments that each misbehave in one way at one moment: `foreign/<what>_<when>-v0`.

`shared/<what>_<when>-v0` is the same, for a shared host.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

MOMENTS = ("made", "reset", "stepped", "rendered", "closed")
LONG = "\x1b[31mred\n" + "x" * 2**20


class Own(BaseException):
    """A BaseException of the environment."""


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def throw(error: BaseException) -> None:
    raise error


def note(pid: int) -> None:
    """Records a process, so that the test can look for it."""
    with (Path(os.environ["TMPDIR"]) / "foreign-processes").open("a") as file:
        file.write(f"{pid}\n")


def started() -> list[int]:
    """The processes that the environments have recorded."""
    file = Path(os.environ["TMPDIR"]) / "foreign-processes"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def fork() -> None:
    """Forks; the child continues like its parent, and has a child itself, which sleeps in a session of its own."""
    if os.fork() == 0:
        note(os.getpid())
        if os.fork() == 0:
            note(os.getpid())
            os.setsid()
            time.sleep(600)
            os._exit(0)


def popen() -> None:
    for more in ({}, {"start_new_session": True}, {"close_fds": False}):
        note(subprocess.Popen(["sleep", "600"], **more).pid)  # type: ignore[call-overload]  # mixed types of keywords


def signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.kill(os.getpid(), signal.SIGTERM)


def thread() -> None:
    threading.Thread(target=time.sleep, args=(600,)).start()


HARMLESS: dict[str, Callable[[], Any]] = {
    "fork": fork,
    "popen": popen,
    "print": lambda: print("an environment prints\n" * 50_000, flush=True),
    "chdir": lambda: os.chdir("/"),
    "signal": signals,
    "thread": thread,
}
RAISED: dict[str, Callable[[], Any]] = {
    "error": lambda: throw(RuntimeError("the muscles are tired")),
    "cancelled": lambda: throw(asyncio.CancelledError("the muscles are tired")),
    "generator": lambda: throw(GeneratorExit("the muscles are tired")),
    "interrupt": lambda: throw(KeyboardInterrupt("the muscles are tired")),
    "own": lambda: throw(Own("the muscles are tired")),
    "stop": lambda: throw(StopIteration("the muscles are tired")),
    "exit": lambda: sys.exit("the muscles are tired"),
    "long": lambda: throw(RuntimeError(LONG)),
    "unspeakable": lambda: throw(Unspeakable()),
}
DEADLY: dict[str, Callable[[], Any]] = {
    "leave": lambda: os._exit(7),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}
OLD = "old"  # returns results like gym before 0.26
TROUBLES = HARMLESS | RAISED | DEADLY


class Foreign(gymnasium.Env[np.ndarray, int]):
    """Counts its steps.

    Args:
        what: one of TROUBLES, or OLD.
        when: one of MOMENTS.
    """

    action_space = gymnasium.spaces.Discrete(2)
    observation_space = gymnasium.spaces.Box(0, 1e9, (2,), np.float64)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, what: str, when: str, render_mode: str | None = None) -> None:
        self.what, self.when, self.render_mode = what, when, render_mode
        self.stands = os.getcwd()
        self._do("made")

    def _do(self, moment: str) -> bool:
        """Misbehaves if it is the moment; returns whether the result must be an old one."""
        if self.when == moment and self.what != OLD:
            TROUBLES[self.what]()
        return self.when == moment and self.what == OLD

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.count = 0
        return np.array([0.0, 0.0]) if self._do("reset") else (np.array([0.0, 0.0]), {"stands": self.stands})

    def step(self, action: int) -> Any:
        self.count += 1
        observation = np.array([float(self.count), 0.0])
        return (observation, 1.0, False, {}) if self._do("stepped") else (observation, 1.0, False, False, {})

    def render(self) -> Any:
        return "a picture" if self._do("rendered") else np.zeros((16, 16, 3), np.uint8)

    def close(self) -> None:
        self._do("closed")


def made(what: str, when: str, **kwargs: Any) -> Any:
    return object() if (what, when) == (OLD, "made") else Foreign(what, when, **kwargs)


NAMES = [f"{what}_{when}-v0" for what in (*TROUBLES, OLD) for when in (*MOMENTS, "never")]
SHARED = ["shared/Twin-v0", *(f"shared/{name}" for name in NAMES)]
for name in NAMES:
    entry_point = partial(made, *name.removesuffix("-v0").split("_"))
    gymnasium.register(f"foreign/{name}", entry_point=entry_point, disable_env_checker=True)
    gymnasium.register(f"shared/{name}", entry_point=entry_point, disable_env_checker=True)


class Veteran(gymnasium.Env[np.ndarray, int]):
    """An environment with the API of gym 0.21: draws numbers in each step, and ends at the third."""

    metadata = {"render.modes": ["human", "rgb_array", "ansi"], "video.frames_per_second": 25}
    action_space = gymnasium.spaces.Discrete(2)
    observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float64)

    def seed(self, seed: int | None = None) -> list[Any]:
        self.np_random, seed = gymnasium.utils.seeding.np_random(seed)
        return [seed]

    def reset(self) -> Any:  # type: ignore[override]  # the old API
        self.count = 0
        return self.np_random.random(2)

    def step(self, action: int) -> Any:
        self.count += 1
        return self.np_random.random(2), 1.0, self.count == 3, {"count": self.count}

    def render(self, mode: str = "human") -> Any:
        return {"rgb_array": np.full((4, 6, 3), self.count, np.uint8), "ansi": f"step {self.count}"}[mode]


gymnasium.register("Veteran-v0", entry_point=Veteran, disable_env_checker=True, max_episode_steps=200)


class Twin(Foreign):
    """Forks in its first step; the child returns from it later, with another result."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__("chdir", "never", render_mode)
        self.forked = False

    def step(self, action: int) -> Any:
        if not self.forked:
            self.forked = True
            if os.fork() == 0:
                note(os.getpid())
                time.sleep(0.5)
                self.count = 100
        return super().step(action)


gymnasium.register("shared/Twin-v0", entry_point=Twin, disable_env_checker=True)
