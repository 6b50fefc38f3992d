"""Environments with more than numbers and pictures in their infos and render modes."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Telling(gymnasium.Env[Any, int]):
    """A graph as observation; tuples in info; rendered as text, as depths, or as a tuple of both."""

    metadata = {"render_modes": ["ansi", "depth_array", "rgbd_tuple"], "render_fps": 7}
    observation_space = spaces.Graph(spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(4))
    action_space = spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def _observation(self) -> spaces.GraphInstance:
        return self.observation_space.sample(num_nodes=3, num_edges=2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        self.count = 0
        return self._observation(), {"place": (1, 2), "options": options or {}}

    def step(self, action: int) -> Any:
        self.count += 1
        seen = self._observation()
        info = {"place": (self.count, (0.5, "west")), "seen": seen, "far": {"list": [(1,), []], "none": None}}
        return seen, float(action), self.count % 3 == 0, False, info

    def render(self) -> Any:
        depth = np.full((2, 3), self.count, np.float32)
        picture = np.full((2, 3, 3), self.count, np.uint8)
        return {"ansi": f"count {self.count}\n", "depth_array": depth}.get(self.render_mode or "", (picture, depth))


class Reaching(gymnasium.Env[dict[str, Any], Any]):
    """A point that must reach a goal, written as goal-conditioned environments are."""

    metadata = {"render_modes": []}
    _place = spaces.Box(-1, 1, (2,), np.float64)
    observation_space = spaces.Dict({"observation": _place, "achieved_goal": _place, "desired_goal": _place})
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def _observation(self) -> dict[str, Any]:
        return {"observation": self.at.copy(), "achieved_goal": self.at.copy(), "desired_goal": self.goal.copy()}

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        return -(np.linalg.norm(achieved_goal - desired_goal, axis=-1) > 0.3).astype(np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.at, self.goal = self.np_random.uniform(-1, 1, (2, 2))
        self.count = 0
        return self._observation(), {}

    def step(self, action: Any) -> Any:
        self.count += 1
        self.at = np.clip(self.at + 0.2 * np.asarray(action, np.float64), -1, 1)
        reward = float(self.compute_reward(self.at, self.goal, {}))
        return self._observation(), reward, False, self.count % 20 == 0, {"is_success": reward == 0}


class Wide(gymnasium.Env[Any, int]):
    """Observations as large as a screen."""

    observation_space = spaces.Box(0, 255, (1080, 1920, 3), np.uint8)
    action_space = spaces.Discrete(2)


for name, kind in (("Telling-v0", Telling), ("Reaching-v0", Reaching), ("Wide-v0", Wide)):
    if name not in gymnasium.registry:
        gymnasium.register(name, entry_point=kind)
