"""What every codec promises, and how it says that a value is not in its space."""

import contextlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import singledispatch
from typing import Any

import msgspec
import numpy as np
from gymnasium import Space

from gymserve.protocol.errors import InvalidRequest, InvalidValue


def shown(value: Any) -> str:
    """A received value as an error message shows it: short, and as JSON would say it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 30 else value[:30] + "…", ensure_ascii=False)
    if isinstance(value, (int, np.integer)):
        value = int(value)
        return str(value) if value.bit_length() <= 128 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, (float, np.floating)):
        if math.isfinite(value):
            return str(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    return type(value).__name__


class Misfit(Exception):
    """A value is not in its space: `path` leads to the element, `reason` goes on with the sentence."""

    def __init__(self, reason: str, *path: int | str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def within(self, step: int | str) -> "Misfit":
        """The same, seen from the container that has the element at `step`."""
        return Misfit(self.reason, step, *self.path)

    def told(self, name: str) -> InvalidValue:
        return InvalidValue(f"{name}{''.join(f'[{shown(step)}]' for step in self.path)} {self.reason}")


class Codec(ABC):
    """Turns values of one space into JSON and msgpack and back; `name` is what error messages call the value.

    Values from outside come through `from_json` and `unpack`, which check everything. Values from an environment or an
    agent go through `to_json` and `pack`, which only need them to have the space's structure and shapes.
    """

    def to_json(self, value: Any, *, name: str = "value") -> Any:
        """JSON without NaN (null instead) and infinities (±1e100 instead).

        Raises:
            InvalidValue: `value` has not the structure of the space.
        """
        try:
            return self.write(value)
        except Misfit as misfit:
            raise misfit.told(name) from None

    def from_json(self, data: Any, *, name: str = "action") -> Any:
        """The value, of the space's own dtype, that `data` stands for.

        Raises:
            InvalidValue: it is not in the space.
        """
        try:
            return self.read(data)
        except Misfit as misfit:
            raise misfit.told(name) from None

    def pack(self, value: Any, *, name: str = "value") -> Any:
        """What msgpack carries; the same bytes for the same value.

        Raises:
            InvalidValue: `value` has not the structure of the space.
        """
        try:
            return self.dump(value)
        except Misfit as misfit:
            raise misfit.told(name) from None

    def unpack(self, data: Any, *, check: bool = True, name: str = "action") -> Any:
        """The value, with writable arrays. Without `check`, ranges are not looked at: for what a server observed.

        Raises:
            InvalidValue: it is not in the space, or without `check`: has not its structure.
        """
        try:
            return self.load(data, check)
        except Misfit as misfit:
            raise misfit.told(name) from None

    # What each kind of space provides, and containers call: as above, but raising Misfit.

    @abstractmethod
    def write(self, value: Any) -> Any: ...

    @abstractmethod
    def read(self, data: Any) -> Any: ...

    @abstractmethod
    def dump(self, value: Any) -> Any: ...

    @abstractmethod
    def load(self, data: Any, check: bool) -> Any: ...


@contextlib.contextmanager
def inside(step: int | str) -> Iterator[None]:
    """Has an error say in which part of a space it is: `in ["mission"]: spaces of class …`."""
    try:
        yield
    except InvalidRequest as error:
        text = str(error)
        part = f"in [{shown(step)}]"
        raise InvalidRequest(part + text[3:] if text.startswith("in [") else f"{part}: {text}") from error


@singledispatch
def codec(space: Space[Any]) -> Codec:
    """The codec of `space`; made anew at each call, so keep it.

    Raises:
        InvalidRequest: Gymnasium has no such kind of space.
    """
    raise InvalidRequest(f"spaces of class {type(space).__name__} are not supported, only Gymnasium's own")


def to_bytes(space: Space[Any], value: Any) -> bytes:
    """One `value` of `space` as msgpack."""
    return msgspec.msgpack.encode(codec(space).pack(value))


def from_bytes(space: Space[Any], data: bytes) -> Any:
    """The inverse of `to_bytes`.

    Raises:
        InvalidValue: `data` is not msgpack, or stands for nothing in `space`.
    """
    try:
        packed = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise InvalidValue(f"value is not valid msgpack: {error}") from None
    return codec(space).unpack(packed, name="value")
