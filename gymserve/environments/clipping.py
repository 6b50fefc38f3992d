"""A wrapper that clips actions to the action space."""

import gymnasium
import numpy as np
from gymnasium import spaces

from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.generics import Env, Value
from gymserve.protocol.spaces.clipped import ClippedBox


class ClipActions(gymnasium.ActionWrapper[Value, Value, Value]):
    """Clips each action to the bounds of the environment's Box; the space keeps its bounds, so that agents see them.

    Raises:
        InvalidRequest: the action space is not a Box.
    """

    def __init__(self, env: Env) -> None:
        if not isinstance(env.action_space, spaces.Box):
            raise InvalidRequest(f"only actions of a Box can be clipped, not those of {env.action_space}")
        super().__init__(env)
        self._box = ClippedBox.like(env.action_space)
        self.action_space = self._box

    def action(self, action: np.ndarray) -> np.ndarray:
        return self._box.clip(action)
