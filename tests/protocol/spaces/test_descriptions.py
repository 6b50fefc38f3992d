"""Descriptions keep the types that typed clients of the old server decode, and describe spaces completely."""

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import Space, spaces
from hypothesis import given, settings

from gymserve.protocol.errors import InvalidRequest, InvalidValue
from gymserve.protocol.spaces import describe, from_description, member
from tests.protocol.spaces.strategies import make_box, nested

pytestmark = pytest.mark.filterwarnings("ignore")


def test_descriptions_have_the_keys_of_the_old_server() -> None:
    assert describe(spaces.Discrete(2)) == {"name": "Discrete", "n": 2}
    assert describe(spaces.Discrete(3, start=-1)) == {"name": "Discrete", "n": 3, "start": -1}
    box = spaces.Box(np.array([[-1, -np.inf]], np.float32), np.array([[np.inf, 0.5]], np.float32))
    assert describe(box) == {
        "name": "Box",
        "shape": [1, 2],
        "low": [-1.0, -1e100],
        "high": [1e100, 0.5],
        "dtype": "float32",
    }


def _types_hold(info: Any) -> None:
    if isinstance(info, list):
        for element in info:
            _types_hold(element)
    if not isinstance(info, dict):
        return
    assert "num_rows" not in info
    assert "matrix" not in info
    assert type(info.get("n", 0)) is int
    assert all(type(size) is int for size in info.get("shape", []))
    for bound in info.get("low", []) + info.get("high", []):
        assert type(bound) in (int, float)
        assert abs(bound) <= 1e100 or info["dtype"] == "float64"
    for key, part in info.items():
        _types_hold(list(part.values()) if key == "spaces" and isinstance(part, dict) else part)


@given(nested)
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_keys_that_typed_clients_decode_keep_their_types(space: Space[Any]) -> None:
    _types_hold(describe(space))


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "uint64", "float16", "float32", "float64"])
def test_extreme_and_infinite_bounds_survive(dtype: str) -> None:
    info: Any = np.finfo(dtype) if dtype.startswith("f") else np.iinfo(dtype)
    spaces_ = [make_box(np.full(2, info.min, dtype), np.full(2, info.max, dtype), dtype=dtype)]
    if not dtype.startswith("u"):
        spaces_.append(make_box(-np.inf, np.inf, (2,), dtype))
        spaces_.append(make_box(np.array([-np.inf, 0]), np.array([1, 1]), dtype=dtype))
    for space in spaces_:
        back: Any = from_description(json.loads(json.dumps(describe(space), allow_nan=False)))
        assert back == space
        assert np.array_equal(back.low, space.low)
        assert np.array_equal(back.high, space.high)
        assert np.array_equal(back.bounded_below, space.bounded_below)
        assert np.array_equal(back.bounded_above, space.bounded_above)


def test_keys_of_any_kind_and_their_order_survive() -> None:
    for pairs in ([("b", 2), ("a", 3)], [(2, 2), (1, 3)], [(1, 2), ("a", 3)], []):
        space = spaces.Dict([(key, spaces.Discrete(n)) for key, n in pairs])
        back: Any = from_description(json.loads(json.dumps(describe(space))))
        assert list(back.spaces.items()) == list(space.spaces.items())


def test_member_compares_the_given_keys_only() -> None:
    info = describe(spaces.Box(-1, 1, (4,)))
    for subset in ({}, {"name": "Box", "shape": [4]}, {"low": [-1, -1, -1, -1.0]}, info):
        assert member(info, subset)
    for subset in ({"name": "Discrete"}, {"shape": [4, 1]}, {"shape": 4}, {"n": 4}, {"name": "Box", "high": [1]}):
        assert not member(info, subset)
    assert not member(describe(spaces.Discrete(1)), {"n": True})
    with pytest.raises(InvalidRequest, match="expected an object"):
        member(info, ["name"])


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (None, "one of the names Box, Discrete"),
        ({"name": "HighLow"}, "one of the names Box, Discrete"),
        ({"name": "Box", "shape": [2], "low": [0, 0], "dtype": "float32"}, "of a Box space lacks 'high'"),
        ({"name": "Box", "shape": [2], "low": [0], "high": [1, 1], "dtype": "float32"}, "not the description of a Box"),
        ({"name": "Box", "shape": [1], "low": [0], "high": [1], "dtype": "O"}, "not the description of a Box"),
        ({"name": "Discrete", "n": 0}, "not the description of a Discrete"),
        ({"name": "Dict", "spaces": []}, None),
        ({"name": "Tuple", "spaces": [{}]}, "one of the names"),
    ],
)
def test_malformed_descriptions_are_refused(info: Any, message: str | None) -> None:
    if message is None:
        assert from_description(info) == spaces.Dict()
        return
    with pytest.raises(InvalidValue, match=message):
        from_description(info)


def test_unknown_spaces_cannot_be_described() -> None:
    with pytest.raises(InvalidRequest, match="only Gymnasium's own"):
        describe(Space())


@pytest.mark.parametrize(
    ("space", "short", "long"),
    [
        (spaces.Box(0, 255, (3, 2), np.uint8), 255, [255] * 6),
        (spaces.Box(0, 255, (1080, 1920, 3), np.uint8), 255, [255]),
        (spaces.Box(-np.inf, np.inf, (2,)), 1e100, [1e100] * 2),
        (spaces.Box(np.array([0.0, 0.0]), np.array([1.0, 2.0]), dtype=np.float64), [1.0, 2.0], [1.0, 2.0]),
        (spaces.Box(-1, 1, ()), 1.0, [1.0]),
        (spaces.Box(0, 1, (0, 4)), [], []),
    ],
)
def test_equal_bounds_have_a_short_form(space: spaces.Box, short: Any, long: Any) -> None:
    nested = spaces.Dict({"a": spaces.Tuple([space]), "b": spaces.Sequence(space)})
    for outer, inner in ((space, lambda d: d), (nested, lambda d: d["spaces"]["a"]["spaces"][0])):
        for description, expected in ((describe(outer, short=True), short), (describe(outer), long)):
            assert inner(description)["high"] == expected
            assert from_description(description) == outer
    assert describe(nested)["spaces"]["b"]["space"]["high"] == long
