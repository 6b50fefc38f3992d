"""The interface of codecs, and the error for values that are not in their space."""

import contextlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import singledispatch

import msgspec
import numpy as np

from gymserve.protocol.errors import InvalidRequest, InvalidValue
from gymserve.protocol.generics import Space, Value


def shown(value: object) -> str:
    """Formats a received value for an error message: short, and in the notation of JSON."""
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
    """A value is not in its space: `path` leads to the element, and `reason` follows its name in the message."""

    def __init__(self, reason: str, *path: int | str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def within(self, step: int | str) -> "Misfit":
        """The same error for the container that has the element at `step`."""
        return Misfit(self.reason, step, *self.path)

    def to_error(self, name: str) -> InvalidValue:
        """The error for the caller; `name` is that of the whole value."""
        return InvalidValue(f"{name}{''.join(f'[{shown(step)}]' for step in self.path)} {self.reason}")


class Codec(ABC):
    """Converts values of one space to JSON and msgpack and back; error messages call the value `name`.

    Values from outside pass through `from_json` and `unpack`, which check everything. Values from an environment or an
    agent pass through `to_json` and `pack`, which only check the structure and the shapes.
    """

    def to_json(self, value: object, *, name: str = "value") -> object:
        """Converts a value to plain data for JSON; NaN becomes null, infinities ±1e100.

        Raises:
            InvalidValue: `value` does not have the structure of the space.
        """
        try:
            return self.write(value)
        except Misfit as misfit:
            raise misfit.to_error(name) from None

    def from_json(self, data: object, *, name: str = "action") -> object:
        """Converts plain data from JSON to a value with the space's dtype.

        Raises:
            InvalidValue: `data` is not in the space.
        """
        try:
            return self.read(data)
        except Misfit as misfit:
            raise misfit.to_error(name) from None

    def pack(self, value: object, *, name: str = "value") -> Value:
        """Converts a value to plain data for msgpack; equal values give equal bytes.

        Raises:
            InvalidValue: `value` does not have the structure of the space.
        """
        try:
            return self.dump(value)
        except Misfit as misfit:
            raise misfit.to_error(name) from None

    def unpack(self, data: object, *, check: bool = True, name: str = "action") -> Value:
        """Converts plain data from msgpack to a value with writable arrays.

        Args:
            check: whether ranges are checked; False for observations of an environment.

        Raises:
            InvalidValue: `data` is not in the space or, without `check`, does not have its structure.
        """
        try:
            return self.load(data, check)
        except Misfit as misfit:
            raise misfit.to_error(name) from None

    # Subclasses implement these for their kind of space, and containers call them. They raise Misfit.

    @abstractmethod
    def write(self, value: object) -> object: ...

    @abstractmethod
    def read(self, data: object) -> Value: ...

    @abstractmethod
    def dump(self, value: object) -> object: ...

    @abstractmethod
    def load(self, data: object, check: bool) -> Value: ...


@contextlib.contextmanager
def inside(step: int | str) -> Iterator[None]:
    """Adds the part of a space to an error's message: `in ["mission"]: spaces of class …`."""
    try:
        yield
    except InvalidRequest as error:
        text = str(error)
        part = f"in [{shown(step)}]"
        raise InvalidRequest(part + text[3:] if text.startswith("in [") else f"{part}: {text}") from error


@singledispatch
def codec(space: Space) -> Codec:
    """Makes the codec of `space`; keep it, because each call makes a new one.

    Raises:
        InvalidRequest: the kind of space is not supported.
    """
    raise InvalidRequest(f"spaces of class {type(space).__name__} are not supported, only Gymnasium's own")


def to_bytes(space: Space, value: object) -> bytes:
    """Encodes one `value` of `space` as msgpack."""
    return msgspec.msgpack.encode(codec(space).pack(value))


def from_bytes(space: Space, data: bytes) -> object:
    """The inverse of `to_bytes`.

    Raises:
        InvalidValue: `data` is not msgpack, or its value is not in `space`.
    """
    try:
        packed = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise InvalidValue(f"value is not valid msgpack: {error}") from None
    return codec(space).unpack(packed, name="value")
