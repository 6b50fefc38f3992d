"""Error messages for requests name the field, its value, and what it must be."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from gymserve.protocol import params
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.params import Secret, Seed


class Evaluation(Struct, frozen=True, forbid_unknown_fields=True):
    every: Annotated[int, Meta(ge=0)] = 0


class Wrapper(Struct):
    name: Literal["one", "two"]


class Creation(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=5, description="any")]
    seed: Seed | list[Seed | None] | None = None
    evaluation: Evaluation = Evaluation()
    wrappers: Annotated[list[Wrapper], Meta(max_length=2)] = []
    values: dict[str, float] = {}
    days: Annotated[Annotated[float, Meta(gt=0, le=3650)] | None, Meta(description="long")] = None
    rate: Annotated[float, Meta(ge=1e-7, le=1000)] = 1.0
    kept: bool = True
    password: Secret | None = None
    anything: Any = None


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "A required request parameter 'name' was not provided"),
        ({"name": None}, "A required request parameter 'name' was not provided"),
        ({"name": ""}, "A required request parameter 'name' was not provided"),
        ({"name": 5}, "name must be a string of 1 to 5 characters, not 5"),
        ({"name": "x" * 60}, f"name must be a string of 1 to 5 characters, not '{'x' * 49}"),
        ({"seed": -1}, "seed must be an integer from 0 to 2**32 - 1 or a list, not -1"),
        ({"seed": 2**70}, f"seed must be an integer from 0 to 2**32 - 1 or a list, not {2**70}"),
        ({"seed": True}, "seed must be an integer from 0 to 2**32 - 1 or a list, not True"),
        ({"seed": [1, None, "x"]}, "seed[2] must be an integer from 0 to 2**32 - 1, not 'x'"),
        ({"evaluation": 3}, "evaluation must be an object, not 3"),
        ({"evaluation": {"every": -1}}, "evaluation.every must be an integer from 0, not -1"),
        ({"evaluation": {"often": 1}}, "evaluation.often is unknown: evaluation may have every"),
        ({"wrappers": {}}, "wrappers must be a list of 0 to 2 elements, not {}"),
        ({"wrappers": [{}]}, "A required request parameter 'wrappers[0].name' was not provided"),
        ({"wrappers": [{"name": "three"}]}, "wrappers[0].name must be one of one, two, not 'three'"),
        ({"values": {"a": "x"}}, "values must be an object, not {'a': 'x'}"),
        ({"days": 0}, "days must be a number, more than 0 and at most 3650, not 0"),
        ({"rate": "fast"}, "rate must be a number from 1e-07 to 1000, not 'fast'"),
        ({"kept": "yes"}, "kept must be true or false, not 'yes'"),
        ({"password": 123456}, "password must be a string"),
    ],
)
def test_an_error_names_the_field_the_value_and_what_is_allowed(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        params.parse({"name": "n", **values} if values and "name" not in values else values, Creation)
    assert str(error.value) == text


def test_null_counts_as_missing_and_unknown_fields_are_ignored() -> None:
    parsed = params.parse({"name": "n", "values": None, "kept": None, "anything": [None], "more": 1}, Creation)
    assert parsed == Creation("n", anything=[None])


def test_fields_of_an_array_message_are_named() -> None:
    class Ask(Struct, array_like=True, tag=5):
        seq: Seed | None

    class Reset(Struct, array_like=True, tag=0):
        seq: Seed | None
        seed: Seed | None

    for message, name in (([5, -1], "seq"), ([0, 1, -1], "seed")):
        with pytest.raises(msgspec.ValidationError) as error:
            msgspec.convert(message, Ask | Reset)
        text = params.describe_error(error.value, Ask | Reset, message)
        assert text == f"{name} must be an integer from 0 to 2**32 - 1, not -1"
