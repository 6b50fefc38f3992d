"""Codecs of space classes that are not Gymnasium's own, such as MiniGrid's MissionSpace, by their samples.

A space whose samples are strings is described as a Text, and one whose samples are arrays as a Box without bounds. Values
from outside must be in the space itself.
"""

import contextlib
import copy
import string

import gymnasium
import numpy as np
from gymnasium import spaces

from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.generics import Space, Value
from gymserve.protocol.spaces.arrays import ArrayCodec
from gymserve.protocol.spaces.contract import Codec, Misfit, codec, shown
from gymserve.protocol.spaces.descriptions import Description, short_description

LONGEST = 1000  # the `max_length` in the description as a Text


def _sample(space: Space) -> Value:
    """Draws a sample without changing the space's own generator.

    Raises:
        InvalidRequest: the samples are neither strings nor arrays of numbers.
    """
    sample = None
    with contextlib.suppress(Exception):  # the space's code may raise anything
        sample = copy.deepcopy(space).sample()
    if isinstance(sample, str) or (isinstance(sample, np.ndarray) and sample.dtype.kind in "biuf"):
        return sample
    kind = type(space).__name__
    raise InvalidRequest(
        f"spaces of class {kind} are not supported, only Gymnasium's own and those whose samples are strings or arrays"
    )


def _box(sample: np.ndarray) -> spaces.Box:
    kind = sample.dtype.kind
    if kind == "f":
        return spaces.Box(-np.inf, np.inf, sample.shape, sample.dtype.type)
    low, high = (0, 1) if kind == "b" else (np.iinfo(sample.dtype).min, np.iinfo(sample.dtype).max)
    return spaces.Box(low, high, sample.shape, sample.dtype.type)


def _member(space: Space, value: object) -> object:
    """Returns a value from outside if it is in the space; raises `Misfit` if not."""
    with contextlib.suppress(Exception):  # the space's code may raise anything for an unexpected value
        if space.contains(value):
            return value
    raise Misfit(f"is {shown(value)}, which is not in its {type(space).__name__}")


class ForeignText(Codec):
    def __init__(self, space: Space) -> None:
        self.space = space

    def write(self, value: object) -> str:
        if isinstance(value, str):
            return str.__str__(value)
        raise Misfit(f"is {shown(value)}, expected text")

    dump = write

    def read(self, data: object) -> Value:
        return self.load(data, True)

    def load(self, data: object, check: bool) -> Value:
        text = self.write(data)
        return _member(self.space, text) if check else text


class ForeignArray(ArrayCodec):
    def __init__(self, space: Space, box: spaces.Box) -> None:
        super().__init__(box.low, box.high, box.dtype)
        self.space = space

    def read(self, data: object) -> Value:
        return _member(self.space, super().read(data))

    def load(self, data: object, check: bool) -> Value:
        value = super().load(data, check)
        return _member(self.space, value) if check else value


@codec.register(gymnasium.Space)
def _codec(space: Space) -> Codec:
    sample = _sample(space)
    return ForeignText(space) if isinstance(sample, str) else ForeignArray(space, _box(sample))


@short_description.register(gymnasium.Space)
def _describe(space: Space) -> Description:
    sample = _sample(space)
    if isinstance(sample, str):
        return short_description(spaces.Text(LONGEST, min_length=0, charset=string.printable[:95]))
    return short_description(_box(sample))
