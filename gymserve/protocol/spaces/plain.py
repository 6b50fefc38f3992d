"""Conversion of any value to plain JSON, for `info`, and of numbers that JSON cannot express."""

import dataclasses
import math
import re
from collections import deque
from collections.abc import Mapping, Set
from typing import TypeAlias

import numpy as np
from gymnasium.spaces import GraphInstance

from gymserve.protocol.wire import JSONValue

INFINITE = 1e100
"""The number that stands for infinity in JSON, as in the old server and its clients."""

Floats: TypeAlias = "float | list[Floats]"
_DEPTH = 32
_TEXT = 1000
_ADDRESS = re.compile(r"(?: object)? at 0x[0-9a-fA-F]+")


def finite(value: Floats) -> object:
    """Replaces NaN by None and ±infinity by ±1e100 in nested lists of floats."""
    if isinstance(value, list):
        return [finite(element) for element in value]
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else math.copysign(INFINITE, value)


def jsonable(value: object) -> JSONValue:
    """Converts `value` to plain JSON: dicts with string keys, lists, strings, finite numbers, booleans, None.

    Bytes become lists of integers, sets sorted lists, and dataclasses objects. Other values become their text, without
    memory addresses. Values deeper than 32 levels, and containers inside themselves, become "…".
    """
    if type(value) is dict and not value:
        return {}
    return _plain(value, ())


def _plain(value: object, holders: tuple[int, ...]) -> object:
    """Converts one value; `holders` are the ids of the containers around it."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _integer(int(value))
    if isinstance(value, float):
        return finite(float(value))
    if isinstance(value, np.generic):
        return _numpy(value, holders)
    if len(holders) >= _DEPTH or id(value) in holders:
        return "…"
    return _container(value, (*holders, id(value)))


def _container(value: object, holders: tuple[int, ...]) -> object:
    if isinstance(value, GraphInstance):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {_key(key): _plain(member, holders) for key, member in value.items()}
    if isinstance(value, (list, tuple, deque)):
        return [_plain(element, holders) for element in value]
    if isinstance(value, np.ndarray):
        return _numpy(value, holders)
    if isinstance(value, Set):
        return [_plain(element, holders) for element in sorted(value, key=_described)]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return list(bytes(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name, None), holders) for field in dataclasses.fields(value)}
    return _described(value)


def _numpy(value: np.ndarray | np.generic, holders: tuple[int, ...]) -> object:
    kind = value.dtype.kind
    if kind == "f":
        return finite((value.astype(np.float64) if value.dtype.itemsize > 8 else value).tolist())
    if kind in "biu":
        return value.tolist()
    if isinstance(value, np.ndarray) and kind in "OUVS":  # tolist leaves objects, strings, tuples and bytes
        return _plain(value.tolist(), holders)
    if kind in "USV":
        return _plain(value.item() if not isinstance(value.item(), np.generic) else _described(value), holders)
    # Complex numbers and dates have no JSON form.
    return _plain(value.astype(str).tolist(), holders) if isinstance(value, np.ndarray) else _described(value)


def _integer(value: int) -> int | float:
    """Converts integers beyond 64 bits, which JSON readers do not support, to floats."""
    if -(2**63) <= value < 2**64:
        return value
    try:
        return float(value)
    except OverflowError:
        return INFINITE if value > 0 else -INFINITE


def _text(value: str) -> str:
    """Converts to a plain str; lone surrogates, which UTF-8 cannot encode, become question marks."""
    value = str.__str__(value)
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _key(key: object) -> str:
    return _text(key) if isinstance(key, str) else _described(key)


def _described(value: object) -> str:
    try:
        text = str(value)
    except Exception:  # a foreign object's own __str__ may raise anything
        text = type(value).__name__
    return _text(_ADDRESS.sub("", text)[:_TEXT])
