"""A policy's view of an environment: spaces that Stable-Baselines3 supports, and conversions of values in both directions."""

from collections.abc import Callable

import numpy as np
from gymnasium import spaces

from gymserve.protocol.generics import Space, Value

Change = Callable[[Value], Value]
PLAIN = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


def _same(value: object) -> object:
    return value


class View:
    """The spaces of an environment as a policy sees them, converted to kinds that the library supports.

    Discrete numbers count from 0, arrays have at least one axis (integer arrays exactly one), and observations of nested or
    unusual kinds become one flat array. Spaces that cannot be converted stay as they are.

    Attributes:
        bare_spaces: the environment's spaces of observations and actions.
        observation: converts the environment's observation to the policy's.
        action: converts the policy's action to the environment's.
    """

    def __init__(self, observations: Space, actions: Space) -> None:
        self.bare_spaces = observations, actions
        self.observation_space, self.observation = _observed(observations)
        self.action_space, self.action = _acted(actions)

    @property
    def is_plain(self) -> bool:
        """Whether the policy sees the environment unchanged."""
        return self.bare_spaces[0] is self.observation_space and self.bare_spaces[1] is self.action_space


def _observed(space: Space) -> tuple[Space, Change]:
    if isinstance(space, PLAIN):
        return _flat(space, back=False)
    if isinstance(space, spaces.Dict) and all(isinstance(part, PLAIN) for part in space.values()):
        parts = {name: _flat(part, back=False) for name, part in space.items()}
        if all(parts[name][0] is part for name, part in space.items()):
            return space, _same
        whole = spaces.Dict({name: part for name, (part, _) in parts.items()})
        return whole, lambda value: {name: change(value[name]) for name, (_, change) in parts.items()}
    try:
        flat = spaces.flatten_space(space)
    except (NotImplementedError, ValueError):
        return space, _same
    if not isinstance(flat, spaces.Box):  # it has no fixed size
        return space, _same
    return flat, lambda value: spaces.flatten(space, value)


def _acted(space: Space) -> tuple[Space, Change]:
    return _flat(space, back=True) if isinstance(space, PLAIN) else (space, _same)


def _flat(space: Space, *, back: bool) -> tuple[Space, Change]:
    """Return a space of one of the `PLAIN` kinds, and the conversion of its values to it, or `back`."""
    sign = 1 if back else -1
    if isinstance(space, spaces.Discrete):
        first = sign * int(space.start)
        return (spaces.Discrete(space.n), lambda value: value + first) if first else (space, _same)
    shape = () if space.shape is None else space.shape
    if isinstance(space, spaces.MultiDiscrete):
        start = sign * space.start
        if len(shape) == 1 and not start.any():
            return space, _same
        to = shape if back else (-1,)
        changed = spaces.MultiDiscrete(space.nvec.ravel())
        if back:
            return changed, lambda value: np.reshape(value, to) + start
        return changed, lambda value: np.reshape(value + start, to)
    if isinstance(space, spaces.MultiBinary) and len(shape) != 1:
        return spaces.MultiBinary(int(np.prod(shape))), _shaping(shape if back else (-1,))
    if isinstance(space, spaces.Box) and shape == ():
        changed_box = spaces.Box(space.low.reshape(1), space.high.reshape(1), dtype=space.dtype)
        return changed_box, _shaping(() if back else (1,))
    return space, _same


def _shaping(shape: tuple[int, ...]) -> Change:
    return lambda value: np.reshape(value, shape)
