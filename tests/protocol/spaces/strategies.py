"""Hypothesis strategies for spaces and arbitrary JSON, and equality of values."""

from typing import Any

import numpy as np
from gymnasium import Space, spaces
from gymnasium.spaces import GraphInstance
from hypothesis import strategies as st

make_box: Any = spaces.Box  # Gymnasium's annotations refuse names of dtypes
FLOATS = ["float16", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]

shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)
full_shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)


def limits(dtype: str) -> tuple[int, int]:
    """The range of integers; Gymnasium does not sample larger unsigned ones."""
    info = np.iinfo(dtype)
    return max(int(info.min), -(2**53)), min(int(info.max), 2**53)


@st.composite
def float_boxes(draw: st.DrawFn) -> spaces.Box:
    dtype, shape = draw(st.sampled_from(FLOATS)), draw(shapes)
    size = int(np.prod(shape))
    numbers = st.lists(st.floats(-100, 100, width=16), min_size=size, max_size=size)
    low = np.array(draw(numbers), dtype).reshape(shape)
    high = np.asarray(low + np.abs(np.array(draw(numbers), dtype).reshape(shape)))
    if draw(st.booleans()):
        low.flat[: draw(st.integers(0, size))] = -np.inf
    if draw(st.booleans()):
        high = np.full(shape, np.inf, dtype)
    box: spaces.Box = make_box(low, high, dtype=dtype)
    return box


@st.composite
def integer_boxes(draw: st.DrawFn) -> spaces.Box:
    dtype, shape = draw(st.sampled_from(INTEGERS)), draw(shapes)
    low, high = sorted((draw(st.integers(*limits(dtype))), draw(st.integers(*limits(dtype)))))
    lows: Any = np.full(shape, low, dtype)
    highs = np.full(shape, high, dtype)
    if lows.size > 1:
        lows.flat[0] = high  # so that bounds are not always uniform
    if dtype.startswith("i") and draw(st.booleans()):
        lows = -np.inf
    box: spaces.Box = make_box(lows, highs, shape, dtype)
    return box


bool_boxes = full_shapes.map(lambda shape: spaces.Box(0, 1, shape, dtype=np.bool_))
boxes = float_boxes() | integer_boxes() | bool_boxes
discretes = st.builds(
    lambda n, start, dtype: spaces.Discrete(n, start=0 if dtype.startswith("u") else start, dtype=dtype),
    st.integers(1, 20),
    st.integers(-20, 20),
    st.sampled_from(["int64", "int64", "int8", "uint8", "uint64", "int32"]),
)
multi_binaries = st.builds(spaces.MultiBinary, st.integers(1, 5) | full_shapes)


@st.composite
def multi_discretes(draw: st.DrawFn) -> spaces.MultiDiscrete:
    shape, dtype = draw(full_shapes), draw(st.sampled_from(["int64", "int8", "uint8", "int32"]))
    size = int(np.prod(shape))
    nvec = np.array(draw(st.lists(st.integers(1, 9), min_size=size, max_size=size)), dtype).reshape(shape)
    start = np.full(shape, draw(st.integers(0 if dtype == "uint8" else -9, 9)), dtype)
    return spaces.MultiDiscrete(nvec, dtype, start=draw(st.sampled_from([None, start])))


texts = st.builds(
    lambda shortest, more, charset: spaces.Text(shortest + more, min_length=shortest, charset=charset),
    st.integers(0, 3),
    st.integers(0, 5),
    st.sampled_from(["ab", "01", 'äß☃"\\', "\U0001f600\n x"]),
)
arrays: st.SearchStrategy[Space[Any]] = boxes | discretes | multi_binaries | multi_discretes()
leaves: st.SearchStrategy[Space[Any]] = arrays | texts
keys = st.text("abc /äx", min_size=1, max_size=3)


# No graphs in graphs: Gymnasium would sample thousands of nodes.
features: st.SearchStrategy[Space[Any]] = leaves | st.one_of(
    st.lists(leaves, min_size=1, max_size=2).map(spaces.Tuple),
    st.dictionaries(keys, leaves, min_size=1, max_size=2).map(spaces.Dict),
    st.builds(lambda space, stack: spaces.Sequence(space, stack=stack), leaves, st.booleans()),
)


def grown(inner: st.SearchStrategy[Space[Any]]) -> st.SearchStrategy[Space[Any]]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        several.map(spaces.Tuple),
        st.dictionaries(keys, inner, min_size=1, max_size=3).map(spaces.Dict),
        several.map(spaces.OneOf),
        st.builds(lambda space, stack: spaces.Sequence(space, stack=stack), inner, st.booleans()),
        st.builds(spaces.Graph, boxes | discretes, st.none() | boxes | discretes),
        st.builds(spaces.Graph, features, st.none() | features),
    )


nested: st.SearchStrategy[Space[Any]] = leaves | grown(leaves | grown(leaves | grown(leaves)))

scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10),
    st.integers(),
    st.sampled_from([2**63, -(2**64), 10**400, 1e308, 1e39, -0.0, 1.0, 0.5]),
    st.floats(),
    st.text(max_size=5),
)
arbitrary: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | st.sampled_from(["nodes"]), inner, max_size=3),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in structure, shapes, dtypes and every element."""
    if isinstance(one, np.ndarray):
        is_array = isinstance(other, np.ndarray) and one.shape == other.shape and one.dtype == other.dtype
        return is_array and np.array_equal(one, other)
    if isinstance(one, GraphInstance) != isinstance(other, GraphInstance):
        return False
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)
