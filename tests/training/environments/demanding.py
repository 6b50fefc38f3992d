"""Environments whose spaces a policy cannot see as they are, and which reject actions outside of their spaces."""

import os
import signal
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

VECTOR = spaces.Box(-1, 1, (3,), np.float32)
KINDS: dict[str, tuple[spaces.Space[Any], spaces.Space[Any]]] = {
    "Picture": (spaces.Box(0, 255, (40, 36, 3), np.uint8), spaces.Discrete(2)),
    "Shifted": (spaces.Discrete(19, start=2), spaces.Discrete(3, start=-1)),
    "Many": (spaces.MultiDiscrete([3, 4], start=[1, -2]), spaces.MultiDiscrete([3, 4], start=[5, 6])),
    "Grid": (spaces.MultiDiscrete(np.array([[2, 3], [4, 2]])), spaces.MultiDiscrete(np.array([[2, 3], [4, 2]]))),
    "Lights": (spaces.MultiBinary((2, 2)), spaces.MultiBinary((2, 3))),
    "Single": (spaces.Box(-1, 1, (), np.float32), spaces.Box(-1, 1, (), np.float32)),
    "Nested": (spaces.Dict({"a": spaces.Dict({"b": VECTOR, "c": spaces.Discrete(2, start=1)})}), spaces.Discrete(2)),
    "Pair": (spaces.Tuple((VECTOR, spaces.Discrete(3))), spaces.Box(-1, 1, (2, 2), np.float32)),
    "Parts": (
        spaces.Dict({"a": VECTOR, "b": spaces.Discrete(4, start=-2)}),
        spaces.MultiDiscrete([3, 2], start=[1, 0]),
    ),
}


class Demanding(gymnasium.Env[Any, Any]):
    """An environment with random observations and episodes of two steps."""

    def __init__(self, kind: str) -> None:
        self.observation_space, self.action_space = KINDS[kind]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.left = 2
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.left -= 1
        return self.observation_space.sample(), 1.0, not self.left, False, {}


class Pausing(Demanding):
    """Signals its process to pause at its tenth step, as the scheduler does."""

    steps = 0

    def __init__(self) -> None:
        self.observation_space, self.action_space = VECTOR, spaces.Box(-1, 1, (2,), np.float32)

    def step(self, action: Any) -> Any:
        self.steps += 1
        if self.steps == 10:
            os.kill(os.getpid(), signal.SIGUSR1)
        return super().step(action)


gymnasium.register("Pausing-v0", entry_point=Pausing, disable_env_checker=True)
for name in KINDS:
    gymnasium.register(f"{name}-v0", entry_point=Demanding, kwargs={"kind": name}, disable_env_checker=True)
