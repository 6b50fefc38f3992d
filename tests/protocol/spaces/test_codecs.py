"""Error messages for wrong values, and unusual values that are accepted."""

import json
import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest
from gymnasium import Space, spaces
from gymnasium.spaces import GraphInstance

from gymserve.protocol.errors import InvalidRequest, InvalidValue
from gymserve.protocol.spaces import codec, from_bytes, to_bytes
from tests.protocol.spaces.strategies import make_box

THREE = spaces.Box(-1, 1, (3,))
TABLE = spaces.Box(-1, 1, (2, 2))
BYTES = spaces.Box(0, 255, (2,), np.uint8)
FREE = spaces.Box(-np.inf, np.inf, (1,))
LEFT = spaces.Dict(left=spaces.Box(-1, 1, (1,)), right=spaces.Discrete(2))
GRAPH = spaces.Graph(spaces.Box(-1, 1, (1,)), spaces.Discrete(2))
NAN, INF = float("nan"), float("inf")


def float32(values: Any) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


REFUSED: list[tuple[Space[Any], Any, str]] = [
    (THREE, [0, 0, 1.5], "action[2] is 1.5, above its limit of 1.0"),
    (THREE, [0, -1.01, 0], "action[1] is -1.01, below its limit of -1.0"),
    (THREE, [0, 0], "action has shape (2,), expected (3,)"),
    (THREE, [[0, 0, 0]], "action has shape (1, 3), expected (3,)"),
    (THREE, [0, [0], 0], "action[1] is a list, expected a number"),
    (THREE, [0, NAN, 0], "action[1] is NaN"),
    (THREE, [0, INF, 0], "action[1] is Infinity, expected a number from -1.0 to 1.0"),
    (THREE, [0, True, 0], "action[1] is true, expected a number from -1.0 to 1.0"),
    (THREE, [0, "0", 0], 'action[1] is "0", expected a number from -1.0 to 1.0'),
    (THREE, [0, None, 0], "action[1] is null, expected a number from -1.0 to 1.0"),
    (THREE, [0, {}, 0], "action[1] is an object, expected a number from -1.0 to 1.0"),
    (THREE, None, "action is null, expected a list of 3 elements"),
    (THREE, {"a": 1}, "action is an object, expected a list of 3 elements"),
    (THREE, 0.5, "action is 0.5, expected a list of 3 elements"),
    (TABLE, [[0, 0], [0]], "action[1] has 1 elements, expected 2"),
    (TABLE, [[0, 0], 0], "action[1] is 0, expected a list of 2 elements"),
    (TABLE, [[0, 0], [0, 2]], "action[1][1] is 2, above its limit of 1.0"),
    (FREE, [NAN], "action[0] is NaN"),
    (spaces.Box(0.1, 0.2, (1,)), [0.3], "action[0] is 0.3, above its limit of 0.2"),
    (FREE, [-INF], "action[0] is -Infinity, expected a number from -3.4028235e+38 to 3.4028235e+38"),
    (FREE, [1e39], "action[0] is 1e+39, above its limit of 3.4028235e+38"),
    (BYTES, [0, 256], "action[1] is 256, expected an integer from 0 to 255"),
    (BYTES, [-1, 0], "action[0] is -1, expected an integer from 0 to 255"),
    (BYTES, [0.5, 0], "action[0] is 0.5, expected an integer from 0 to 255"),
    (BYTES, [True, 0], "action[0] is true, expected an integer from 0 to 255"),
    (BYTES, [NAN, 0], "action[0] is NaN, expected an integer from 0 to 255"),
    (BYTES, [2**70, 0], "action[0] is 1180591620717411303424, expected an integer from 0 to 255"),
    (spaces.Discrete(2), 7, "action is 7, expected an integer from 0 to 1"),
    (spaces.Discrete(3, start=-1), 2, "action is 2, expected an integer from -1 to 1"),
    (spaces.Discrete(1), 1, "action is 1, expected 0"),
    (spaces.Discrete(2), True, "action is true, expected an integer from 0 to 1"),
    (spaces.Discrete(2), [True], "action is true, expected an integer from 0 to 1"),
    (spaces.Discrete(2), 0.5, "action is 0.5, expected an integer from 0 to 1"),
    (spaces.Discrete(2), "1", 'action is "1", expected an integer from 0 to 1'),
    (spaces.Discrete(2), [0, 1], "action is a list, expected an integer from 0 to 1"),
    (spaces.MultiBinary(2), [0, 2], "action[1] is 2, expected an integer from 0 to 1"),
    (spaces.MultiBinary(2), [0, True], "action[1] is true, expected an integer from 0 to 1"),
    (spaces.MultiDiscrete([2, 5], start=[0, 3]), [0, 2], "action[1] is 2, expected an integer from 3 to 7"),
    (spaces.Text(3, charset="ab"), "abab", "action has 4 characters, expected 1 to 3"),
    (spaces.Text(3, charset="ab"), "ac", 'action has the character "c", which its space does not allow'),
    (spaces.Text(3, charset="ab"), 1, "action is 1, expected text"),
    (spaces.Tuple([spaces.Discrete(2)]), [0, 0], "action has 2 elements, expected 1"),
    (spaces.Tuple([spaces.Discrete(2)]), "a", 'action is "a", expected a list of 1 elements'),
    (spaces.Tuple([spaces.Discrete(2), LEFT]), [0, {"left": [9]}], 'action[1] lacks "right"'),
    (LEFT, {"left": [NAN], "right": 0}, 'action["left"][0] is NaN'),
    (LEFT, {"left": [0], "right": 0, "up": 1}, 'action has the unknown key "up", expected "left", "right"'),
    (LEFT, 1, 'action is 1, expected an object with "left", "right"'),
    (spaces.Sequence(spaces.Discrete(2)), [0, 5], "action[1] is 5, expected an integer from 0 to 1"),
    (spaces.Sequence(spaces.Discrete(2), stack=True), [0, 5], "action[1] is 5, expected an integer from 0 to 1"),
    (spaces.Sequence(TABLE, stack=True), [[0]], "action has shape (1, 1), expected (any, 2, 2)"),
    (spaces.Sequence(THREE), 3, "action is 3, expected a list"),
    (spaces.OneOf([spaces.Discrete(2), THREE]), [2, 0], "action[0] is 2, expected an integer from 0 to 1"),
    (spaces.OneOf([spaces.Discrete(2), THREE]), [1, [0, 0, 9]], "action[1][2] is 9, above its limit of 1.0"),
    (spaces.OneOf([spaces.Discrete(2), THREE]), 0, "action is 0, expected [index, value]"),
    (GRAPH, {"nodes": [[2]]}, 'action["nodes"][0][0] is 2, above its limit of 1.0'),
    (GRAPH, {"edges": None}, 'action lacks "nodes"'),
    (GRAPH, {"nodes": [[0]], "edges": [0]}, "action has edges without edge_links, or the other way round"),
    (
        GRAPH,
        {"nodes": [[0]], "edges": [0], "edge_links": [[0, 1]]},
        'action["edge_links"][0][1] is 1, but there are 1 nodes, numbered from 0',
    ),
    (
        GRAPH,
        {"nodes": [[0]], "edges": [0, 1], "edge_links": [[0, 0]]},
        'action["edge_links"] has 1 elements, but there are 2 edges',
    ),
]


@pytest.mark.parametrize(("space", "data", "message"), REFUSED)
def test_errors_name_the_element_and_what_is_allowed(space: Space[Any], data: Any, message: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        codec(space).from_json(data)
    assert str(refusal.value) == message
    assert type(refusal.value) is InvalidValue


def test_integers_with_more_digits_than_python_prints_are_refused() -> None:
    for space, data in ((spaces.Discrete(2), 10**5000), (THREE, [10**5000] * 3), (BYTES, [0, 10**5000])):
        with pytest.raises(InvalidValue, match="is an integer of 16610 bits"):
            codec(space).from_json(data)


def test_the_name_of_the_value_can_be_chosen() -> None:
    with pytest.raises(InvalidValue, match=r"^goal\[0\] is NaN$"):
        codec(FREE).from_json([NAN], name="goal")


@pytest.mark.parametrize(
    ("space", "data", "message"),
    [
        (THREE, b"1234", "action has 4 bytes, expected 12 (shape (3,), float32)"),
        (THREE, [0, 0, 0], "action is a list, expected the bytes of an array"),
        (THREE, float32([0, 0, NAN]).tobytes(), "action[2] is NaN"),
        (THREE, float32([0, 2, 0]).tobytes(), "action[1] is 2.0, above its limit of 1.0"),
        (FREE, float32([INF]).tobytes(), "action[0] is Infinity, expected a number from -3.4028235e+38 to 3.4028235e+38"),
        (spaces.MultiBinary(2), b"\x00\x02", "action[1] is 2, expected an integer from 0 to 1"),
        (spaces.Box(0, 1, (2,), np.bool_), b"\x00\x02", "action[1] is 2, expected an integer from 0 to 1"),
        (spaces.Discrete(2), True, "action is true, expected an integer from 0 to 1"),
        (spaces.Discrete(2), 2, "action is 2, expected an integer from 0 to 1"),
        (spaces.Discrete(2), 1.0, "action is 1.0, expected an integer from 0 to 1"),
        (spaces.Sequence(THREE, stack=True), bytes(13), "action has 13 bytes, expected a multiple of 12 (shape (3,), float32)"),
        (LEFT, {"left": bytes(4), "right": 5}, 'action["right"] is 5, expected an integer from 0 to 1'),
        (GRAPH, [bytes(4), None], "action is a list, expected [nodes, edges, edge_links]"),
        (GRAPH, [bytes(4), b"\x00", None], "action has edges without edge_links, or the other way round"),
    ],
)  # fmt: skip
def test_packed_values_get_the_same_error_messages(space: Space[Any], data: Any, message: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        codec(space).unpack(data)
    assert str(refusal.value) == message


@pytest.mark.parametrize("data", [1, 1.0, [1], [1.0]])
def test_integers_of_old_clients_have_four_forms(data: Any) -> None:
    assert codec(spaces.Discrete(2)).from_json(data) == 1


def test_bounds_are_accepted_although_float32_rounds_them() -> None:
    own = codec(spaces.Box(float32([0.1, -2.0]), float32([0.1, 2.0])))
    for data in ([0.1, 2.0], [0.1, -2.0], [0.1, 2]):
        assert np.array_equal(own.from_json(data), float32(data))


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_integers_of_64_bits_keep_every_digit(dtype: str) -> None:
    info = np.iinfo(dtype)
    space = make_box(np.full(2, info.min, dtype), np.full(2, info.max, dtype), dtype=dtype)
    own = codec(space)
    value = np.array([info.min, info.max], dtype)
    assert own.to_json(value) == [info.min, info.max]
    assert np.array_equal(own.from_json([info.min, info.max]), value)
    for outside in (info.min - 1, info.max + 1):
        with pytest.raises(InvalidValue, match="expected an integer from"):
            own.from_json([0, outside])


def test_nan_becomes_null_and_infinity_a_large_number() -> None:
    for shape in ((4,), (2, 2), (4, 1, 1)):
        value = float32([NAN, INF, -INF, 0.5]).reshape(shape)
        data = codec(spaces.Box(-INF, INF, shape)).to_json(value)
        assert np.array(data, object).ravel().tolist() == [None, 1e100, -1e100, 0.5]
    assert codec(spaces.Box(-INF, INF, ())).to_json(np.float32(NAN)) is None


def test_huge_finite_numbers_are_kept_although_their_sum_is_infinite() -> None:
    assert codec(spaces.Box(-INF, INF, (2,), np.float64)).to_json(np.array([1.7e308, 1.7e308])) == [1.7e308, 1.7e308]


def test_observations_outside_their_space_are_not_refused() -> None:
    own = codec(THREE)
    value = float32([5, NAN, -INF])
    assert np.array_equal(own.unpack(own.pack(value), check=False), value, equal_nan=True)
    assert codec(spaces.Discrete(2)).unpack(9, check=False) == 9


def test_unpacked_arrays_are_writable_and_packed_values_are_copies() -> None:
    own = codec(THREE)
    buffer = np.zeros(3, np.float32)
    packed = own.pack(buffer)
    buffer += 1
    value = own.unpack(packed)
    assert value.tolist() == [0, 0, 0]
    value += 1
    assert packed == bytes(12)


def test_environments_may_use_other_dtypes_if_values_are_exact() -> None:
    own = codec(BYTES)
    assert own.pack(np.array([1.0, 2.0])) == own.pack([1, 2]) == own.pack(np.array([1, 2])) == b"\x01\x02"
    for wrong, message in (
        ([0.5, 1], r"value\[0\] is 0.5"),
        ([1, 300], r"value\[1\] is 300"),
        ([NAN, 1], r"value\[0\] is NaN"),
        ([[1, 2]], r"value has shape \(1, 2\), expected \(2,\)"),
        ([[1], [1, 2]], "value cannot be made an array"),
        ("ab", 'value is "ab"'),
        (None, "value is null"),
    ):
        with pytest.raises(InvalidValue, match=message):
            own.pack(wrong)


@pytest.mark.parametrize("value", [1, 1.0, np.int64(1), np.uint8(1), np.array(1), np.array([1]), np.float32(1)])
def test_any_type_of_integer_is_accepted_as_an_action(value: Any) -> None:
    packed = codec(spaces.Discrete(2)).pack(value)
    assert packed == 1
    assert type(packed) is int


@pytest.mark.parametrize("value", [0.5, "1", None, [0, 1], np.array([0, 1]), 10**30, object(), NAN])
def test_values_that_are_no_integers_are_refused(value: Any) -> None:
    with pytest.raises(InvalidValue, match="expected an integer from 0 to 1"):
        codec(spaces.Discrete(2)).pack(value)


def test_values_without_the_structure_of_their_space_are_refused() -> None:
    for space, value in (
        (LEFT, {"left": [0.0]}),
        (LEFT, 1),
        (spaces.Tuple([THREE]), None),
        (spaces.Tuple([THREE]), np.float64(1)),
        (spaces.Sequence(LEFT, stack=True), 3),
        (spaces.OneOf([THREE]), (1, None)),
        (GRAPH, None),
        (spaces.Text(3), None),
    ):
        for write in (codec(space).pack, codec(space).to_json):
            with pytest.raises(InvalidValue, match="^observation"):
                write(value, name="observation")


def test_keys_that_are_no_strings_are_converted_to_text() -> None:
    members: list[Any] = [(1, spaces.Discrete(2)), ("b", spaces.Discrete(3))]  # Gymnasium types only strings as keys
    space = spaces.Dict(members)
    own = codec(space)
    assert own.to_json({1: 1, "b": 2}) == own.pack({1: 1, "b": 2}) == {"1": 1, "b": 2}
    assert own.from_json({"1": 1, "b": 2}) == own.unpack({"b": 2, "1": 1}) == {1: 1, "b": 2}
    with pytest.raises(InvalidRequest, match="same text"):
        codec(spaces.Dict([members[0], ("1", spaces.Discrete(3))]))


def test_stacked_sequences_may_be_empty() -> None:
    for feature in (THREE, LEFT, spaces.Text(3), spaces.Box(0, 1, (0,))):
        own = codec(spaces.Sequence(feature, stack=True))
        value = own.from_json([])
        assert own.to_json(value) == []
        assert own.to_json(own.unpack(own.pack(value))) == []


def test_graphs_may_have_nodes_only() -> None:
    for edge_space in (None, spaces.Discrete(2)):
        space = spaces.Graph(spaces.Discrete(3), edge_space)
        own = codec(space)
        graph = GraphInstance(np.array([0, 2]), None, None)
        assert own.to_json(graph) == {"nodes": [0, 2], "edges": None, "edge_links": None}
        assert space.contains(own.from_json({"nodes": [0, 2]}))
        assert space.contains(own.unpack(own.pack(graph)))
    with pytest.raises(InvalidValue, match=r'action\["edges"\] has edges, expected none|has edges, expected none'):
        codec(spaces.Graph(THREE, None)).from_json({"nodes": [], "edges": [], "edge_links": []})


def test_other_byte_orders_and_long_doubles_are_converted_on_the_wire() -> None:
    for dtype, wire in ((">f4", "<f4"), ("longdouble", "<f8"), (">i2", "<i2")):
        space = make_box(-9, 9, (2,), dtype)
        own, value = codec(space), np.array([1, -2], dtype)
        assert own.pack(value) == value.astype(wire).tobytes()
        for back in (own.unpack(own.pack(value)), own.from_json(own.to_json(value))):
            assert back.dtype == space.dtype
            assert np.array_equal(back, value)


def test_large_input_of_the_wrong_shape_is_refused_with_little_memory() -> None:
    huge = [0.0] * 1_000_000
    tracemalloc.start()
    for space in (THREE, TABLE, spaces.Discrete(2), LEFT, spaces.Tuple([THREE]), spaces.MultiBinary(3)):
        with pytest.raises(InvalidValue):
            codec(space).from_json(huge)
    deep: Any = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(InvalidValue):
        codec(THREE).from_json(deep)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


def test_unknown_spaces_and_bytes_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="spaces of class Space are not supported"):
        codec(Space())
    for data in (b"", b"\xc1", b"\x93\x01"):
        with pytest.raises(InvalidValue):
            from_bytes(THREE, data)


def test_bytes_are_plain_msgpack() -> None:
    assert msgspec.msgpack.decode(to_bytes(LEFT, {"left": [0.5], "right": 1})) == {
        "left": float32([0.5]).tobytes(),
        "right": 1,
    }
    assert json.dumps(codec(LEFT).to_json({"right": np.int64(1), "left": [0.5]})) == '{"left": [0.5], "right": 1}'
