"""An environment of one's own: a corridor with a treasure at one end and a trap at the other."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Corridor(gymnasium.Env[np.ndarray, np.int64]):
    """A corridor; the agent starts in the middle, and sees how far away the treasure is, with a sign for its side.

    Args:
        length: the number of places on each side of the start.

    Observation: float32 of shape (1,), from -2 · length to 2 · length. Actions: 0 goes left, 1 goes right.
    Reward: 1 for the treasure, -1 for the trap, -0.01 for any other step.
    """

    metadata = {"render_modes": ["ansi"]}

    def __init__(self, length: int = 5, render_mode: str | None = None) -> None:
        self.length, self.render_mode = length, render_mode
        self.observation_space = spaces.Box(-2.0 * length, 2.0 * length, (1,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = 0
        self.treasure = self.length * int(self.np_random.choice([-1, 1]))
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place += 1 if action == 1 else -1
        over = abs(self.place) == self.length
        reward = -0.01 if not over else 1.0 if self.place == self.treasure else -1.0
        return self._observation(), reward, over, False, {}

    def render(self) -> str:
        signs = ["·"] * (2 * self.length + 1)
        signs[self.length + self.treasure], signs[self.length - self.treasure] = "$", "x"
        signs[self.length + self.place] = "@"
        return "".join(signs)

    def _observation(self) -> np.ndarray:
        return np.array([self.treasure - self.place], np.float32)


gymnasium.register("Corridor-v0", entry_point="corridor:Corridor", max_episode_steps=100)
