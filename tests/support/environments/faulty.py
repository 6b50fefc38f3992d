"""Environments that misbehave, each in one way, as foreign environments on a server may."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

WELL, HANG, SEGFAULT, EXIT, LEAK, RAISE, SYSTEM_EXIT, PRINT, SLOW = range(9)


class Faulty(gymnasium.Env[np.ndarray, int]):
    """Counts its steps; each action except 0 misbehaves in its own way."""

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
    """Does not replay: its observations are truly random."""

    def step(self, action: int) -> Any:
        return np.array([float(int.from_bytes(os.urandom(3), "big"))]), 1.0, False, False, {}


class Fragile(Forgetful):
    """Does not replay, and misbehaves on request like `Faulty`."""

    def step(self, action: int) -> Any:
        return super().step(action) if action == WELL else Faulty.step(self, action)


class Clinging(Faulty):
    """Cannot be closed after its first reset."""

    clings = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.clings = True
        return super().reset(seed=seed, options=options)

    def close(self) -> None:
        while self.clings:
            time.sleep(1)


class Sleepy(Faulty):
    """Hangs in its constructor while a file exists."""

    def __init__(self) -> None:
        while self.file().exists():
            time.sleep(0.1)

    @staticmethod
    def file() -> Path:
        return Path(os.environ["TMPDIR"]) / "sleepy"


class Counting(Faulty):
    """Writes each step to a file, so that a test can count the steps that were really made."""

    def __init__(self, file: str) -> None:
        self.file = file

    def step(self, action: int) -> Any:
        with open(self.file, "a") as file:
            file.write(f"{action}\n")
        return super().step(0)


class Dying(Faulty):
    """Ends its process when a slow step is in the journal, and not answered yet."""

    def snapshot(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def restore(self, state: None) -> None:
        pass


class Carrying(Faulty):
    """Keeps state from one episode to the next, in addition to its random generator."""

    episodes = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.episodes += 1
        super().reset(seed=seed)
        return np.array([float(self.episodes)]), {}

    def step(self, action: int) -> Any:
        self.count += 1
        return np.array([self.episodes * 100.0 + self.count]), 1.0, False, False, {}


class Grabbing(Faulty):
    """Writes into the arguments that it is passed, and goes on writing into the objects that it has returned."""

    action_space = gymnasium.spaces.Box(-10, 10, (1,), np.float64)

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.start = float((config or {}).pop("start", 0))
        self.state = np.zeros(1)
        self.info: dict[str, Any] = {"seen": []}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        gymnasium.Env.reset(self, seed=seed)
        self.size = float((options or {}).pop("size", 1))
        if options is not None:
            options["nested"] = options.pop("nested", {})
            options["nested"]["grabbed"] = True
        self.state[:] = self.start
        self.info["seen"].append(self.size)
        self.info["size"] = self.size
        return self.state, self.info

    def step(self, action: Any) -> Any:
        self.state += self.size * action + 1
        action[:] = -10
        self.info["seen"].append(float(self.state[0]))
        return self.state, 1.0, False, False, self.info


class GrabbingVector(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Copies that return the same arrays each time, and overwrite them in the next step."""

    metadata = {"render_modes": [], "autoreset_mode": gymnasium.vector.AutoresetMode.DISABLED}

    def __init__(self, num_envs: int, config: dict[str, Any] | None = None) -> None:
        self.num_envs = num_envs
        self.single_action_space, self.single_observation_space = Faulty.action_space, Faulty.observation_space
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.state, self.rewards = np.zeros((num_envs, 1)), np.zeros(num_envs)
        self.ended, self.cut = np.zeros(num_envs, bool), np.zeros(num_envs, bool)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        mask = (options or {}).pop("reset_mask", np.ones(self.num_envs, bool))
        self.state[mask], self.ended[mask] = 0, False
        mask[:] = False
        if isinstance(seed, list):
            seed[:] = [None] * self.num_envs
        return self.state, {}

    def step(self, action: Any) -> Any:
        self.state += 1
        self.rewards += 1
        self.ended[:] = action == 1
        return self.state, self.rewards, self.ended, self.cut, {}


class Telltale(gymnasium.Env[np.ndarray, int]):
    """Reveals its seed and options wherever it can; each action except GO does something that trials must survive."""

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
KINDS = {each.__name__: each for each in (Faulty, Forgetful, Fragile, Counting, Dying, Carrying, Clinging, Sleepy)}
gymnasium.register(
    "Grabbing-v0",
    entry_point=Grabbing,
    vector_entry_point=GrabbingVector,
    disable_env_checker=True,
    order_enforce=False,
)
for name, kind in KINDS.items():
    gymnasium.register(f"{name}-v0", entry_point=kind, disable_env_checker=True, order_enforce=False)
    gymnasium.register(f"Shared{name}-v0", entry_point=kind, disable_env_checker=True, order_enforce=False)
