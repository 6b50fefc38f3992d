"""Codecs of Discrete and Text."""

import operator

import numpy as np
from gymnasium import spaces

from gymserve.protocol.generics import Value
from gymserve.protocol.spaces.contract import Codec, Misfit, codec, shown


def span(low: object, high: object) -> str:
    return f"an integer from {low} to {high}" if low != high else str(low)


class DiscreteCodec(Codec):
    """The codec of a Discrete. Values are plain integers, or numpy integers if the dtype is not int64."""

    def __init__(self, space: spaces.Discrete) -> None:
        self.start = int(space.start)
        self.stop = self.start + int(space.n)
        self._type = int if space.dtype == np.int64 else space.dtype.type
        self._plain = self._type is int

    def write(self, value: object) -> int:
        return self.dump(value)

    def read(self, data: object) -> Value:
        if isinstance(data, (list, tuple)) and len(data) == 1:
            data = data[0]
        if isinstance(data, float) and data.is_integer():
            data = int(data)
        return self.load(data, True)

    def pack(self, value: object, *, name: str = "value") -> int:
        if type(value) is int and -0x8000000000000000 <= value < 0x8000000000000000:
            return value
        return super().pack(value, name=name)

    def dump(self, value: Value) -> int:
        """Accepts also arrays with one element and integral floats, which agents and environments use for integers."""
        try:
            number = int(operator.index(value))
        except TypeError:
            number = self._rounded(value)
        if -(2**63) <= number < 2**64:
            return number
        raise Misfit(f"is {shown(number)}, expected {span(self.start, self.stop - 1)}")

    def _rounded(self, value: object) -> int:
        array = value if isinstance(value, (np.ndarray, np.generic)) else np.asarray(value, dtype=object)
        element = array.item() if array.size == 1 else value
        if isinstance(element, int) or (isinstance(element, float) and element.is_integer()):
            return int(element)
        raise Misfit(f"is {shown(element)}, expected {span(self.start, self.stop - 1)}")

    def unpack(self, data: object, *, check: bool = True, name: str = "action") -> Value:
        if type(data) is int and self._plain and self.start <= data < self.stop:
            return data
        return super().unpack(data, check=check, name=name)

    def load(self, data: object, check: bool) -> Value:
        if isinstance(data, np.integer):
            data = int(data)
        if type(data) is int:
            if self.start <= data < self.stop:
                return self._type(data)
            if not check:
                return data
        raise Misfit(f"is {shown(data)}, expected {span(self.start, self.stop - 1)}")


class TextCodec(Codec):
    def __init__(self, space: spaces.Text) -> None:
        self.shortest, self.longest = space.min_length, space.max_length
        self.characters = frozenset(space.character_set)

    def write(self, value: object) -> str:
        if isinstance(value, str):
            return str.__str__(value)
        raise Misfit(f"is {shown(value)}, expected text")

    dump = write

    def read(self, data: object) -> str:
        return self.load(data, True)

    def load(self, data: object, check: bool) -> str:
        text = self.write(data)
        if not check:
            return text
        if not self.shortest <= len(text) <= self.longest:
            raise Misfit(f"has {len(text)} characters, expected {self.shortest} to {self.longest}")
        if not self.characters.issuperset(text):
            stranger = next(character for character in text if character not in self.characters)
            raise Misfit(f"has the character {shown(stranger)}, which its space does not allow")
        return text


codec.register(spaces.Discrete, DiscreteCodec)
codec.register(spaces.Text, TextCodec)
