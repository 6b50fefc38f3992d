"""An environment with a Dict of everything, for the server of these tests to import."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Mapping(gymnasium.Env[dict[str, Any], tuple[int, Any]]):
    """Returns random values of its space, and numpy values in info."""

    observation_space = spaces.Dict(
        {
            "picture": spaces.Box(0, 255, (64, 64, 3), np.uint8),
            "place": spaces.Tuple((spaces.Discrete(5, start=2), spaces.Box(-1, 1, (2,), np.float64))),
            "flags": spaces.MultiBinary(5),
            "name": spaces.Text(8),
        }
    )
    action_space = spaces.Tuple((spaces.Discrete(3), spaces.Box(-1, 1, (2,), np.float32)))

    def _observation(self) -> dict[str, Any]:
        # A Text space samples in an order that differs from process to process.
        return {**self.observation_space.sample(), "name": str(self.np_random.integers(10**6))}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return self._observation(), {"array": np.arange(3, dtype=np.int16), "options": options or {}}

    def step(self, action: Any) -> Any:
        choice, force = action
        return self._observation(), float(choice) + float(force.sum()), False, False, {"force": force}


class Large(gymnasium.Env[Any, int]):
    """Pictures, as large as Atari's."""

    observation_space = spaces.Box(0, 255, (210, 160, 3), np.uint8)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return self.np_random.integers(0, 255, (210, 160, 3), np.uint8), {}

    def step(self, action: int) -> Any:
        return self.np_random.integers(0, 255, (210, 160, 3), np.uint8), 0.0, False, False, {}


for name, kind in (("Mapping-v0", Mapping), ("Large-v0", Large)):
    if name not in gymnasium.registry:
        gymnasium.register(name, entry_point=kind)
