"""Whatever environments put into `info` becomes plain JSON."""

import dataclasses
import datetime
import enum
from collections import OrderedDict, deque, namedtuple
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from gymserve.protocol.spaces import jsonable


@dataclasses.dataclass
class Contact:
    body: str
    force: np.float32


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Opaque:
    pass


class Rude:
    def __str__(self) -> str:
        raise RuntimeError


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({}, {}),
        ({"a": np.float32(0.5), "b": np.int8(3), "c": np.bool_(True)}, {"a": 0.5, "b": 3, "c": True}),
        ({"a": np.array([[1, 2]]), "b": np.array([0.5], np.float32)}, {"a": [[1, 2]], "b": [0.5]}),
        ([float("nan"), float("inf"), float("-inf"), np.float64("nan")], [None, 1e100, -1e100, None]),
        (np.array([np.nan, np.inf]), [None, 1e100]),
        (np.array([], np.float32), []),
        (np.array(1.5), 1.5),
        (np.longdouble(1.5), 1.5),
        (np.array([1, "a", None, {"b": np.int64(1)}], object), [1, "a", None, {"b": 1}]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), [97]),
        (np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f4")]), [[1, 2.5]]),
        (np.array([1 + 2j]), ["(1+2j)"]),
        (np.datetime64("2020-01-01"), "2020-01-01"),
        (1 + 2j, "(1+2j)"),
        ({1: 2, (1, 2): 3, None: 4, np.int64(5): 6}, {"1": 2, "(1, 2)": 3, "None": 4, "5": 6}),
        ((1, [2, {3}], deque([4])), [1, [2, [3]], [4]]),
        ({"b", "a"}, ["a", "b"]),
        (b"\x00\xff", [0, 255]),
        (bytearray(b"\x01"), [1]),
        (Contact("leg", np.float32(2)), {"body": "leg", "force": 2.0}),
        (Point(1, 2), [1, 2]),
        (Level.LOW, 1),
        (Colour.RED, "Colour.RED"),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (datetime.date(2020, 1, 1), "2020-01-01"),
        (Path("a"), "a"),
        (2**64, float(2**64)),
        (-(10**400), -1e100),
        ("\ud800x", "?x"),
        (Rude(), "Rude"),
        (True, True),
        (None, None),
    ],
)  # fmt: skip
def test_values_become_plain_json(value: Any, plain: Any) -> None:
    result = jsonable(value)
    assert result == plain
    assert type(result) is type(plain)


def test_texts_of_objects_have_no_memory_addresses() -> None:
    for thing in (Opaque(), test_values_become_plain_json, Opaque, lambda: 0):
        assert "0x" not in jsonable({"a": thing})["a"]
        assert "Opaque" in jsonable([Opaque()])[0]


def test_long_texts_of_unknown_objects_are_cut() -> None:
    assert len(jsonable(range(5))) == len("range(0, 5)")
    assert len(jsonable(Exception("x" * 5000))) == 1000


def test_deep_and_circular_values_are_cut() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    assert "…" in str(jsonable(deep))
    circle: dict[str, Any] = {"a": 1}
    circle["self"] = circle
    circle["list"] = [circle]
    assert jsonable(circle) == {"a": 1, "self": "…", "list": ["…"]}
