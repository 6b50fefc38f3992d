"""Descriptions of spaces as JSON objects: the `info` of `GET /v1/envs/<id>/action_space/`.

Typed clients decode `n` as an integer, `shape` as a list of integers, and `low` and `high` as flat lists of numbers, so
these keys are never used for anything else. Arrays are flattened row by row; infinite bounds are ±1e100.
"""

import math
from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any, TypeAlias

import numpy as np
from gymnasium import spaces

from gymserve.protocol.errors import InvalidRequest, InvalidValue
from gymserve.protocol.generics import Space, Value
from gymserve.protocol.spaces.contract import inside, shown
from gymserve.protocol.spaces.plain import INFINITE
from gymserve.protocol.wire import JSONValue

Description: TypeAlias = dict[str, Any]
"""A space's description, whose members depend on the kind of space."""

MOST_BOUNDS = 2**17
"""The maximum size of a Box whose equal bounds are listed for each element."""


def describe(space: Space, *, short: bool = False) -> dict[str, object]:
    """Describes `space` completely, as plain data for JSON.

    Args:
        short: whether equal bounds of a Box are one number instead of a list. If not, they are a list of one number for a
            Box of more than `MOST_BOUNDS` elements.

    Raises:
        InvalidRequest: the kind of space is not supported.
    """
    description = short_description(space)
    return description if short else _with_lists(description)


def _with_lists(description: Description) -> dict[str, object]:
    """Replaces single bounds in a description by lists."""
    long = dict(description)
    if description["name"] == "Box":
        size = math.prod(description["shape"])
        for key in ("low", "high"):
            if not isinstance(bound := description[key], list):
                long[key] = [bound] * (size if size <= MOST_BOUNDS else 1)
    for key in ("space", "node_space", "edge_space"):
        if description.get(key) is not None:
            long[key] = _with_lists(description[key])
    if isinstance(parts := description.get("spaces"), dict):
        long["spaces"] = {name: _with_lists(part) for name, part in parts.items()}
    elif parts is not None:
        long["spaces"] = [_with_lists(part) for part in parts]
    return long


@singledispatch
def short_description(space: Space) -> Description:
    """Describes a space like `describe` with `short`; each kind of space registers its own function."""
    raise InvalidRequest(f"spaces of class {type(space).__name__} are not supported, only Gymnasium's own")


def member(description: Mapping[str, object], subset: object) -> bool:
    """Whether all keys of `subset` have the same values in `description`.

    Raises:
        InvalidRequest: `subset` is not an object.
    """
    if not isinstance(subset, dict):
        raise InvalidRequest(f"expected an object with keys of the space's description, not {shown(subset)}")
    return all(key in description and _same(description[key], value) for key, value in subset.items())


def _same(one: object, other: object) -> bool:
    """Equality of JSON values: 1 equals 1.0, but not true."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def from_description(info: JSONValue) -> Space:
    """Makes the space that `describe` has described.

    Raises:
        InvalidValue: `info` is not the description of a space.
    """
    name = info.get("name") if isinstance(info, dict) else None
    read = _READERS.get(name) if isinstance(name, str) else None
    if read is None:
        raise InvalidValue(f"expected the description of a space with one of the names {', '.join(_READERS)}")
    try:
        return read(info)
    except KeyError as error:
        raise InvalidValue(f"the description of a {name} space lacks {error}") from None
    except (ValueError, TypeError, AttributeError, OverflowError, AssertionError, RecursionError) as error:
        raise InvalidValue(f"not the description of a {name} space: {error}") from None


# --- each kind of space, there and back -----------------------------------------------------------------------------


@short_description.register
def _describe_box(space: spaces.Box) -> dict[str, object]:
    return {
        "name": "Box",
        "shape": list(space.shape),
        "low": _bounds(space.low, space.bounded_below, -INFINITE),
        "high": _bounds(space.high, space.bounded_above, INFINITE),
        "dtype": str(space.dtype),
    }


def _bounds(bounds: np.ndarray, bounded: np.ndarray, infinite: float) -> int | float | list[int | float]:
    """The bounds as a list, or as one number if they are all equal."""
    if bounds.size and (bounds == bounds.flat[0]).all() and (bounded == bounded.flat[0]).all():
        return _numbers(bounds.ravel()[:1], bounded.ravel()[:1], infinite)[0]
    return _numbers(bounds, bounded, infinite)


def _numbers(bounds: np.ndarray, bounded: np.ndarray, infinite: float) -> list[int | float]:
    kind = bounds.dtype.kind
    plain = bounds.astype(np.float64 if kind == "f" else np.uint8 if kind == "b" else bounds.dtype).ravel().tolist()
    return [
        infinite if not finite else max(-INFINITE, min(INFINITE, number)) if abs(number) == np.inf else number
        for number, finite in zip(plain, bounded.ravel().tolist(), strict=True)
    ]


def _box(info: Description) -> spaces.Box:
    dtype, shape = np.dtype(info["dtype"]), tuple(info["shape"])
    low, below = _limits(info["low"], -INFINITE, dtype, shape)
    high, above = _limits(info["high"], INFINITE, dtype, shape)
    space = spaces.Box(low, high, shape, dtype)
    space.bounded_below, space.bounded_above = below, above  # integer bounds cannot express infinity
    return space


def _limits(bounds: object, infinite: float, dtype: np.dtype, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the array of bounds and the array of whether they are finite.

    Args:
        bounds: a list, or one number for all elements.
    """
    if not isinstance(bounds, list) or (len(bounds) == 1 and math.prod(shape) > MOST_BOUNDS):
        one, bounded = _limits(bounds if isinstance(bounds, list) else [bounds], infinite, dtype, ())
        return np.full(shape, one), np.full(shape, bounded)
    bounded = np.array([bound != infinite for bound in bounds], bool).reshape(shape)
    if dtype.kind == "f":
        endless = {INFINITE: np.inf, -INFINITE: -np.inf}
        return np.array([endless.get(bound, bound) for bound in bounds], dtype).reshape(shape), bounded
    if dtype.kind == "b":
        return np.array([bool(bound) for bound in bounds], bool).reshape(shape), bounded
    limits = np.iinfo(dtype)
    farthest = limits.min if infinite < 0 else limits.max
    return np.array([farthest if b == infinite else int(b) for b in bounds], dtype).reshape(shape), bounded


@short_description.register
def _describe_discrete(space: spaces.Discrete) -> dict[str, object]:
    info: dict[str, object] = {"name": "Discrete", "n": int(space.n)}
    if space.start != 0:
        info["start"] = int(space.start)
    if space.dtype != np.int64:
        info["dtype"] = str(space.dtype)
    return info


def _discrete(info: Description) -> spaces.Discrete:
    # Older releases of Gymnasium have no parameter `dtype` here, and the types of newer ones want a single dtype (Any).
    more: dict[str, Any] = {"dtype": np.dtype(info["dtype"])} if "dtype" in info else {}
    return spaces.Discrete(int(info["n"]), start=int(info.get("start", 0)), **more)


@short_description.register
def _describe_multi_binary(space: spaces.MultiBinary) -> dict[str, object]:
    number = {"n": space.n} if isinstance(space.n, int) else {}
    return {"name": "MultiBinary", **number, "shape": list(space.shape)}


def _multi_binary(info: Description) -> spaces.MultiBinary:
    return spaces.MultiBinary(int(info["n"]) if "n" in info else tuple(info["shape"]))


@short_description.register
def _describe_multi_discrete(space: spaces.MultiDiscrete) -> dict[str, object]:
    start = {"start": space.start.ravel().tolist()} if space.start.any() else {}
    nvec = space.nvec.ravel().tolist()
    return {"name": "MultiDiscrete", "shape": list(space.shape), "nvec": nvec, **start, "dtype": str(space.dtype)}


def _multi_discrete(info: Description) -> spaces.MultiDiscrete:
    dtype: np.dtype = np.dtype(info["dtype"])
    shape = tuple(info["shape"])
    start = np.array(info["start"], dtype).reshape(shape) if "start" in info else None
    return spaces.MultiDiscrete(np.array(info["nvec"], dtype).reshape(shape), dtype, start=start)


@short_description.register
def _describe_text(space: spaces.Text) -> dict[str, object]:
    characters = "".join(space.character_list)
    return {"name": "Text", "min_length": space.min_length, "max_length": space.max_length, "charset": characters}


def _text(info: Description) -> spaces.Text:
    return spaces.Text(info["max_length"], min_length=info["min_length"], charset=info["charset"])


def _part(step: int | str, space: Space) -> dict[str, object]:
    with inside(step):
        return short_description(space)


@short_description.register(spaces.Tuple)
def _describe_tuple(space: spaces.Tuple[object]) -> dict[str, object]:
    return {"name": "Tuple", "spaces": [_part(index, part) for index, part in enumerate(space.spaces)]}


def _tuple(info: Description) -> spaces.Tuple[Value]:
    return spaces.Tuple([from_description(part) for part in info["spaces"]])


@short_description.register(spaces.OneOf)
def _describe_one_of(space: spaces.OneOf[object]) -> dict[str, object]:
    return {"name": "OneOf", "spaces": [_part(index, choice) for index, choice in enumerate(space.spaces)]}


def _one_of(info: Description) -> spaces.OneOf[Value]:
    return spaces.OneOf([from_description(choice) for choice in info["spaces"]])


@short_description.register
def _describe_dict(space: spaces.Dict) -> dict[str, object]:
    keys = [int(key) if isinstance(key, np.integer) else key for key in space.spaces]
    # Only if some keys are not strings, because the keys of a JSON object are.
    own = {} if all(isinstance(key, str) for key in keys) else {"keys": keys}
    return {"name": "Dict", "spaces": {str(key): _part(str(key), part) for key, part in space.spaces.items()}, **own}


def _dict(info: Description) -> spaces.Dict:
    keys = info.get("keys", list(info["spaces"]))
    return spaces.Dict([(key, from_description(info["spaces"][str(key)])) for key in keys])


@short_description.register
def _describe_sequence(space: spaces.Sequence) -> dict[str, object]:
    return {"name": "Sequence", "space": short_description(space.feature_space), "stack": bool(space.stack)}


def _sequence(info: Mapping[str, object]) -> spaces.Sequence:
    return spaces.Sequence(from_description(info["space"]), stack=bool(info["stack"]))


@short_description.register
def _describe_graph(space: spaces.Graph) -> dict[str, object]:
    edge_space = None if space.edge_space is None else short_description(space.edge_space)
    return {"name": "Graph", "node_space": short_description(space.node_space), "edge_space": edge_space}


def _graph(info: Mapping[str, object]) -> spaces.Graph:
    edge_space = None if info["edge_space"] is None else from_description(info["edge_space"])
    return spaces.Graph(from_description(info["node_space"]), edge_space)


_READERS: dict[str, Callable[[Description], Space]] = {
    "Box": _box,
    "Discrete": _discrete,
    "MultiBinary": _multi_binary,
    "MultiDiscrete": _multi_discrete,
    "Text": _text,
    "Tuple": _tuple,
    "Dict": _dict,
    "OneOf": _one_of,
    "Sequence": _sequence,
    "Graph": _graph,
}
