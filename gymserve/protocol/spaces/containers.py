"""Codecs of Tuple, Dict and OneOf."""

from collections.abc import Callable, Mapping

import numpy as np
from gymnasium import spaces

from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.generics import Space, Value
from gymserve.protocol.spaces.contract import Codec, Misfit, codec, inside, shown
from gymserve.protocol.spaces.scalars import span


def each(calls: list[Callable[..., object]], elements: object, *more: object) -> list[Value]:
    """Calls each function with its element and returns the results; a `Misfit` names the element."""
    if not isinstance(elements, (list, tuple)) and not (isinstance(elements, np.ndarray) and elements.ndim):
        raise Misfit(f"is {shown(elements)}, expected a list of {len(calls)} elements")
    if len(elements) != len(calls):
        raise Misfit(f"has {len(elements)} elements, expected {len(calls)}")
    results: list[object] = []
    try:
        for call, element in zip(calls, elements, strict=True):
            results.append(call(element, *more))
    except Misfit as misfit:
        raise misfit.within(len(results)) from None
    return results


def _part(step: int | str, space: Space) -> Codec:
    with inside(step):
        return codec(space)


class TupleCodec(Codec):
    def __init__(self, space: spaces.Tuple[Value]) -> None:
        parts = [_part(index, part) for index, part in enumerate(space.spaces)]
        self._write = [part.write for part in parts]
        self._read = [part.read for part in parts]
        self._dump = [part.dump for part in parts]
        self._load = [part.load for part in parts]

    def write(self, value: object) -> list[object]:
        return each(self._write, value)

    def read(self, data: object) -> tuple[Value, ...]:
        return tuple(each(self._read, data))

    def dump(self, value: object) -> list[object]:
        return each(self._dump, value)

    def load(self, data: object, check: bool) -> tuple[Value, ...]:
        return tuple(each(self._load, data, check))


class DictCodec(Codec):
    """The codec of a Dict. Keys that are not strings are converted to text outside."""

    def __init__(self, space: spaces.Dict) -> None:
        self._members = [(key, str(key), _part(str(key), member)) for key, member in space.spaces.items()]
        self._texts = {text for _, text, _ in self._members}
        if len(self._texts) != len(self._members):
            raise InvalidRequest("a Dict space whose keys have the same text is not supported")

    def _known(self, value: object) -> Mapping[object, object]:
        """Checks an environment's mapping; keys that are not in the space are ignored."""
        if not isinstance(value, Mapping):
            raise Misfit(f"is {shown(value)}, expected an object")
        for key, text, _ in self._members:
            if key not in value:
                raise Misfit(f"lacks {shown(text)}")
        return value

    def _checked(self, data: object) -> dict[str, object]:
        if not isinstance(data, dict):
            raise Misfit(f"is {shown(data)}, expected an object with {self._listed()}")
        if data.keys() != self._texts:
            for _, text, _ in self._members:
                if text not in data:
                    raise Misfit(f"lacks {shown(text)}")
            stranger = next(key for key in data if key not in self._texts)
            raise Misfit(f"has the unknown key {shown(stranger)}, expected {self._listed()}")
        return data

    def _listed(self) -> str:
        return ", ".join(shown(text) for _, text, _ in self._members) or "no keys"

    def write(self, value: object) -> dict[str, object]:
        value, text = self._known(value), ""
        try:
            return {(text := name): member.write(value[key]) for key, name, member in self._members}
        except Misfit as misfit:
            raise misfit.within(text) from None

    def read(self, data: object) -> dict[object, Value]:
        data, text = self._checked(data), ""
        try:
            return {key: member.read(data[(text := name)]) for key, name, member in self._members}
        except Misfit as misfit:
            raise misfit.within(text) from None

    def dump(self, value: object) -> dict[str, object]:
        value, text = self._known(value), ""
        try:
            return {(text := name): member.dump(value[key]) for key, name, member in self._members}
        except Misfit as misfit:
            raise misfit.within(text) from None

    def load(self, data: object, check: bool) -> dict[object, Value]:
        data, text = self._checked(data), ""
        try:
            return {key: member.load(data[(text := name)], check) for key, name, member in self._members}
        except Misfit as misfit:
            raise misfit.within(text) from None


class OneOfCodec(Codec):
    def __init__(self, space: spaces.OneOf[Value]) -> None:
        self._choices = [_part(index, choice) for index, choice in enumerate(space.spaces)]

    def _chosen(self, value: object) -> tuple[int, Codec, object]:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise Misfit(f"is {shown(value)}, expected [index, value]")
        index = value[0]
        if isinstance(index, float) and index.is_integer():
            index = int(index)
        if not isinstance(index, (int, np.integer)) or isinstance(index, bool) or not 0 <= index < len(self._choices):
            raise Misfit(f"is {shown(index)}, expected {span(0, len(self._choices) - 1)}", 0)
        return int(index), self._choices[index], value[1]

    def write(self, value: object) -> list[object]:
        index, choice, chosen = self._chosen(value)
        try:
            return [index, choice.write(chosen)]
        except Misfit as misfit:
            raise misfit.within(1) from None

    def read(self, data: object) -> tuple[int, Value]:
        index, choice, chosen = self._chosen(data)
        try:
            return index, choice.read(chosen)
        except Misfit as misfit:
            raise misfit.within(1) from None

    def dump(self, value: object) -> list[object]:
        index, choice, chosen = self._chosen(value)
        try:
            return [index, choice.dump(chosen)]
        except Misfit as misfit:
            raise misfit.within(1) from None

    def load(self, data: object, check: bool) -> tuple[int, Value]:
        index, choice, chosen = self._chosen(data)
        try:
            return index, choice.load(chosen, check)
        except Misfit as misfit:
            raise misfit.within(1) from None


codec.register(spaces.Tuple, TupleCodec)
codec.register(spaces.Dict, DictCodec)
codec.register(spaces.OneOf, OneOfCodec)
