"""All values and spaces survive a round trip through JSON, msgpack and descriptions."""

import contextlib
import json
from typing import Any

import msgspec
import numpy as np
import pytest
from gymnasium import Space, spaces
from gymnasium.vector.utils import batch_space
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from gymserve.protocol.errors import InvalidValue
from gymserve.protocol.spaces import codec, describe, from_bytes, from_description, jsonable, to_bytes
from tests.protocol.spaces.strategies import arbitrary, arrays, nested, same

# Gymnasium warns when it samples int64 bounds, and when `contains` gets numbers instead of arrays.
pytestmark = pytest.mark.filterwarnings("ignore")

PHASES = [Phase.explicit, Phase.generate, Phase.shrink]
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
many = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, phases=PHASES, suppress_health_check=SLOW
)
seeds = st.integers(0, 99)
NAMES = ["Box", "Discrete", "MultiBinary", "MultiDiscrete", "Text", "Tuple", "Dict", "OneOf", "Sequence", "Graph"]
KEYS = ["n", "shape", "low", "high", "dtype", "nvec", "start", "spaces", "space", "stack", "min_length", "max_length"]


def sampled(space: Space[Any], seed: int) -> Any:
    """Samples `space`. Gymnasium cannot sample some combinations, or does not recognise its own samples."""
    space.seed(seed)
    try:
        value = space.sample()
        assume(space.contains(value))
    except (TypeError, ValueError, IndexError, AttributeError, OverflowError):
        assume(False)
    return value


@given(nested, seeds)
@many
def test_values_survive_json(space: Space[Any], seed: int) -> None:
    value, own = sampled(space, seed), codec(space)
    data = json.loads(json.dumps(own.to_json(value), allow_nan=False))
    back = own.from_json(data)
    assert space.contains(back)
    assert same(value, back)
    assert own.to_json(back) == data


@given(nested, seeds)
@many
def test_values_survive_bytes_and_equal_values_give_equal_bytes(space: Space[Any], seed: int) -> None:
    value = sampled(space, seed)
    data = to_bytes(space, value)
    back = from_bytes(space, data)
    assert space.contains(back)
    assert same(value, back)
    assert to_bytes(space, back) == data
    unchecked = codec(space).unpack(msgspec.msgpack.decode(data), check=False)
    assert same(value, unchecked)


@given(nested)
@many
def test_spaces_survive_their_description(space: Space[Any]) -> None:
    info = json.loads(json.dumps(describe(space), allow_nan=False))
    assert info == describe(space)
    assert from_description(info) == space
    assert describe(from_description(info)) == info


@given(arrays | st.lists(arrays, min_size=1, max_size=2).map(spaces.Tuple) | nested, seeds)
@many
def test_batches_of_vector_environments_survive(space: Space[Any], seed: int) -> None:
    try:
        batch = batch_space(space, 3)
    except (TypeError, ValueError, AttributeError):
        assume(False)
    value, own = sampled(batch, seed), codec(batch)
    assert same(value, own.from_json(json.loads(json.dumps(own.to_json(value), allow_nan=False))))
    assert same(value, from_bytes(batch, to_bytes(batch, value)))
    assert from_description(describe(batch)) == batch


@given(nested, arbitrary)
@many
def test_any_json_is_a_member_or_refused(space: Space[Any], data: Any) -> None:
    own = codec(space)
    for read in (own.from_json, own.unpack):
        try:
            value = read(data)
        except InvalidValue as error:
            assert str(error).startswith("action")
            assert len(str(error)) < 600
        else:
            try:
                assert space.contains(value), (space, value)
            except (TypeError, ValueError):  # Gymnasium's own, over empty stacks
                assume(False)


@given(nested, seeds, st.data())
@many
def test_one_element_changed_is_a_member_or_refused(space: Space[Any], seed: int, draw: st.DataObject) -> None:
    own = codec(space)
    value = sampled(space, seed)
    for written, read in ((own.to_json(value), own.from_json), (own.pack(value), own.unpack)):
        changed = _changed(written, draw)
        try:
            back = read(changed)
        except InvalidValue:
            continue
        assert space.contains(back)


def _changed(data: Any, draw: st.DataObject) -> Any:
    """Replaces one element of `data`, at any depth, by another value."""
    if draw.draw(st.integers(0, 4)) == 0:
        return draw.draw(arbitrary)
    if isinstance(data, list) and data:
        at = draw.draw(st.integers(0, len(data) - 1))
        return [*data[:at], _changed(data[at], draw), *data[at + 1 :]]
    if isinstance(data, dict) and data:
        at = draw.draw(st.sampled_from(sorted(data)))
        return {**data, at: _changed(data[at], draw)}
    if isinstance(data, bytes):
        return draw.draw(st.binary(min_size=len(data), max_size=len(data)) | st.binary(max_size=40))
    return draw.draw(arbitrary)


@given(st.binary(max_size=60))
@many
def test_any_bytes_are_a_member_or_refused(data: bytes) -> None:
    space = spaces.Dict(a=spaces.Box(-1, 1, (2,)), b=spaces.Sequence(spaces.Discrete(3)))
    with contextlib.suppress(InvalidValue):
        assert space.contains(from_bytes(space, data))


@given(
    st.sampled_from(NAMES),
    arbitrary,
    st.dictionaries(st.sampled_from(KEYS), arbitrary),
)
@many
def test_any_description_is_a_space_or_refused(name: str, data: Any, more: dict[str, Any]) -> None:
    for info in (data, {"name": name, **more}, {"name": "Tuple", "spaces": [data]}):
        with contextlib.suppress(InvalidValue):
            assert isinstance(from_description(info), Space)


@given(
    st.recursive(
        arbitrary | st.binary(max_size=5), lambda inner: st.tuples(inner) | st.dictionaries(st.integers(), inner)
    )
)
@many
def test_any_info_becomes_json(value: Any) -> None:
    plain = jsonable(value)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert json.loads(msgspec.json.encode(plain)) == plain


@given(nested, seeds)
@many
def test_samples_become_json_as_info(space: Space[Any], seed: int) -> None:
    json.dumps(jsonable(sampled(space, seed)), allow_nan=False)


def test_one_value_has_one_form_whatever_its_dtype_and_layout() -> None:
    own = codec(spaces.Box(-9, 9, (3, 2), np.float32))
    value = np.arange(6, dtype=np.float32).reshape(3, 2)
    forms = [value, value.astype(np.float64), np.asfortranarray(value), value.tolist(), value.astype(">f4")]
    assert {own.pack(form) for form in forms} == {value.astype("<f4").tobytes()}
    assert all(own.to_json(form) == value.tolist() for form in forms)
