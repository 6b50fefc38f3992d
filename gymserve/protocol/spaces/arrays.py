"""Codecs of spaces whose values are arrays of numbers: Box, MultiBinary, MultiDiscrete, and rows of these."""

import math
from collections.abc import Sequence
from itertools import chain
from operator import le

import numpy as np
from gymnasium import spaces

from gymserve.protocol.generics import Value
from gymserve.protocol.spaces.contract import Codec, Misfit, codec, shown
from gymserve.protocol.spaces.plain import finite
from gymserve.protocol.spaces.scalars import span

_FEW = 16
"""Up to this many elements, loops in Python are faster than numpy's call overhead."""


def wire_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype on the wire: little-endian; uint8 for bool, and float64 for longdouble, whose padding is arbitrary."""
    if dtype.kind == "b":
        return np.dtype("u1")
    return np.dtype("<f8") if dtype.kind == "f" and dtype.itemsize > 8 else dtype.newbyteorder("<")


def is_list(data: object) -> bool:
    return isinstance(data, (list, tuple))


def nested_shape(data: Value) -> tuple[int, ...] | None:
    """The shape of nested lists, or None if they are ragged or deeper than an array can be."""
    shape: list[int] = []
    level = [data]
    while level and len(shape) < 32 and all(map(is_list, level)):
        lengths = set(map(len, level))
        if len(lengths) > 1:
            return None
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
    return None if any(map(is_list, level)) else tuple(shape)


def ragged(data: object, shape: tuple[int | None, ...]) -> Misfit:
    """Finds the first place where nested lists differ from `shape`, in which None stands for any length."""
    rows: list[tuple[tuple[int, ...], Value]] = [((), data)]
    for size in shape:
        for path, row in rows:
            if not is_list(row):
                return Misfit(
                    f"is {shown(row)}, expected a list{'' if size is None else f' of {size} elements'}", *path
                )
            if size is not None and len(row) != size:
                return Misfit(f"has {len(row)} elements, expected {size}", *path)
        rows = [((*path, i), element) for path, row in rows for i, element in enumerate(row)]
    path = next((path for path, element in rows if is_list(element)), ())
    return Misfit("is a list, expected a number", *path)


class ArrayCodec(Codec):
    """The codec of arrays of `dtype` between `low` and `high`, all of one shape. NaN and infinity from outside are refused."""

    def __init__(self, low: np.ndarray, high: np.ndarray, dtype: np.dtype) -> None:
        self.dtype, self.raw = dtype, wire_dtype(dtype)
        self.shape: tuple[Value, ...] = low.shape  # None for an axis of any length
        self._native = dtype == self.raw
        self._float = dtype.kind == "f"
        self._bytes = math.prod(low.shape) * self.raw.itemsize
        limits = np.finfo(self.raw) if self._float else np.iinfo(self.raw)
        self._limits = limits.min, limits.max
        with np.errstate(over="ignore"):
            self.low, self.high = low.astype(self.raw), high.astype(self.raw)
        if self._float:  # with finite limits, the comparison also refuses infinities
            self.low, self.high = np.maximum(self.low, limits.min), np.minimum(self.high, limits.max)
        self._choose_comparison()

    def _choose_comparison(self) -> None:
        """Checks whether a cheaper comparison than with two arrays is possible."""
        low, high = self.low, self.high
        self._all = not self._float and bool((low == self._limits[0]).all() and (high == self._limits[1]).all())
        self._uniform = low.size > 0 and bool((low == low.flat[0]).all() and (high == high.flat[0]).all())
        self._least: object = low.flat[0] if self._uniform else None
        self._most: object = high.flat[0] if self._uniform else None
        self._few = low.size <= _FEW
        self._lows, self._highs = (low.ravel().tolist(), high.ravel().tolist()) if self._few else ([], [])
        self._short = low.ndim == 1 and low.size <= 4 * _FEW

    # --- from an environment or an agent

    def write(self, value: object) -> object:
        if type(value) is not np.ndarray or value.dtype != self.raw or value.shape != self.shape:
            value = self._array(value)
        plain = value.tolist()
        if self._float:
            # If the sum is finite, all terms are; if not, it may also have overflowed, and `finite` checks each term.
            whole = math.isfinite(sum(plain)) if self._short else bool(np.isfinite(value).all())
            return plain if whole else finite(plain)
        return plain

    def dump(self, value: object) -> bytes:
        if type(value) is np.ndarray and value.dtype == self.raw and value.shape == self.shape:
            return value.tobytes()
        return self._array(value).tobytes()

    def _array(self, value: object) -> np.ndarray:
        """Converts `value` to the dtype of the wire; refuses a conversion that changes more than a float's last digits."""
        try:
            array = np.asarray(value)
        except Exception as error:  # a foreign object's own conversion may raise anything
            raise Misfit(f"cannot be made an array: {error}") from None
        if not array.size and not isinstance(value, np.ndarray):
            array = array.astype(self.raw)
        if array.dtype.kind not in "biuf":
            raise Misfit(f"is {shown(value)} of {array.dtype}, expected numbers")
        if not self._fits(array.shape):
            raise self._other_shape(array.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            converted = array.astype(self.raw)
        if not self._float and not np.can_cast(array.dtype, self.raw):
            changed = np.flatnonzero(converted != array)
            if changed.size:
                index = np.unravel_index(changed[0], array.shape)
                raise Misfit(f"is {shown(array[index])}, expected {span(*self._limits)}", *map(int, index))
        return converted

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return shape == self.shape

    def _other_shape(self, shape: tuple[int, ...]) -> Misfit:
        return Misfit(f"has shape {shape}, expected {str(self.shape).replace('None', 'any')}")

    # --- from outside

    def read(self, data: object) -> np.ndarray:
        flat, shape = self._flattened(data)
        kinds = set(map(type, flat))
        if not kinds <= {int, float}:
            if list in kinds or tuple in kinds:
                raise self._misshapen(data)
            raise self._misfit(flat, shape)
        if float in kinds and not self._float:
            if not all(type(number) is int or number.is_integer() for number in flat):
                raise self._misfit(flat, shape)
            flat = list(map(int, flat))
        if not self._float and flat and not self._limits[0] <= min(flat) <= max(flat) <= self._limits[1]:
            raise self._misfit(flat, shape)
        try:
            with np.errstate(over="ignore"):
                array = np.array(flat, np.float64 if self._float else self.raw).astype(self.raw).reshape(shape)
        except OverflowError:  # an integer that is too large for any float
            raise self._misfit(flat, shape) from None
        if not self._holds(array):
            raise self._misfit(flat, shape)
        return array if self._native else array.astype(self.dtype)

    def _flattened(self, data: Value) -> tuple[list[Value], tuple[int, ...]]:
        """Flattens nested lists; returns the elements and their shape, which must be the space's."""
        level = [data]
        for size in self.shape:
            for row in level:
                if not isinstance(row, (list, tuple)) or len(row) != size:
                    raise self._misshapen(data)
            level = list(chain.from_iterable(level))
        return level, self.shape

    def _misshapen(self, data: object) -> Misfit:
        shape = nested_shape(data)
        return self._other_shape(shape) if is_list(data) and shape is not None else ragged(data, self.shape)

    def load(self, data: object, check: bool) -> np.ndarray:
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise Misfit(f"is {shown(data)}, expected the bytes of an array")
        shape = self._shape_of(memoryview(data).nbytes)
        array = np.ndarray(shape, self.raw, bytearray(data))  # the copy makes it writable
        if check and not self._holds(array):
            raise self._misfit(array.ravel().tolist(), shape)
        return array if self._native else array.astype(self.dtype)

    def _shape_of(self, size: int) -> tuple[int, ...]:
        if size != self._bytes:
            raise Misfit(f"has {size} bytes, expected {self._bytes} (shape {self.shape}, {self.raw})")
        return self.shape

    def _holds(self, array: np.ndarray) -> bool:
        if self._all or not array.size:
            return True
        if self._few:
            flat = array.ravel().tolist()
            return all(map(le, self._lows, flat)) and all(map(le, flat, self._highs))
        if self._uniform:
            return bool(array.min() >= self._least and array.max() <= self._most)
        return bool((array >= self.low).all() and (array <= self.high).all())

    # --- which element, and why

    def _misfit(self, flat: Sequence[object], shape: tuple[int, ...]) -> Misfit:
        """The error for the first element of an array of `shape` that is not in the space."""
        lows, highs = self.low.ravel(), self.high.ravel()
        for i, value in enumerate(flat):
            reason = self._fault(value, lows[i % lows.size], highs[i % lows.size])
            if reason:
                return Misfit(reason, *map(int, np.unravel_index(i, shape)))
        return Misfit("is not in its space")

    def _fault(self, value: Value, low: Value, high: Value) -> str | None:
        if not self._float:
            whole = type(value) is int or (type(value) is float and value.is_integer())
            return (
                None if whole and int(low) <= value <= int(high) else f"is {shown(value)}, expected {span(low, high)}"
            )
        # Without `!s`, numpy would print a float32's limits with the digits of a float64.
        if type(value) not in (int, float):
            return f"is {shown(value)}, expected a number from {low!s} to {high!s}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"is {shown(value)}, expected a number from {low!s} to {high!s}" if value == value else "is NaN"
        try:
            with np.errstate(over="ignore"):
                rounded = self.raw.type(value)
        except OverflowError:
            rounded = self.raw.type(math.inf if value > 0 else -math.inf)
        if rounded < low:
            return f"is {shown(value)}, below its limit of {low!s}"
        return f"is {shown(value)}, above its limit of {high!s}" if rounded > high else None


class ArrayRows(ArrayCodec):
    """The codec of stacked arrays of one space: the first axis has any length. Elements must not be empty."""

    def __init__(self, low: np.ndarray, high: np.ndarray, dtype: np.dtype) -> None:
        super().__init__(low, high, dtype)
        self._each = low.shape
        self.shape = (None, *low.shape)
        self._few = self._short = False

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) > 0 and (shape[1:] == self._each or shape[0] == 0)

    def _array(self, value: object) -> np.ndarray:
        array = super()._array(value)
        return array.reshape(len(array), *self._each)  # gives an empty array the right shape too

    def _flattened(self, data: Value) -> tuple[list[Value], tuple[int, ...]]:
        if not isinstance(data, (list, tuple)):
            raise self._misshapen(data)
        level = list(data)
        for size in self._each:
            for row in level:
                if not isinstance(row, (list, tuple)) or len(row) != size:
                    raise self._misshapen(data)
            level = list(chain.from_iterable(level))
        return level, (len(data), *self._each)

    def _shape_of(self, size: int) -> tuple[int, ...]:
        if size % self._bytes:
            raise Misfit(f"has {size} bytes, expected a multiple of {self._bytes} (shape {self._each}, {self.raw})")
        return (size // self._bytes, *self._each)


def _box(space: spaces.Box) -> ArrayCodec:
    return ArrayCodec(space.low, space.high, space.dtype)


def _multi_binary(space: spaces.MultiBinary) -> ArrayCodec:
    return ArrayCodec(np.zeros(space.shape, space.dtype), np.ones(space.shape, space.dtype), np.dtype(space.dtype))


def _multi_discrete(space: spaces.MultiDiscrete) -> ArrayCodec:
    return ArrayCodec(space.start, space.start + (space.nvec - 1), np.dtype(space.dtype))


codec.register(spaces.Box, _box)
codec.register(spaces.MultiBinary, _multi_binary)
codec.register(spaces.MultiDiscrete, _multi_discrete)
