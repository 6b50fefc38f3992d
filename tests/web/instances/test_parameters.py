"""The fast parser of a step's parameters agrees with the slow one."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gymserve.protocol import params
from gymserve.protocol.errors import InvalidRequest
from gymserve.web.http import parameters
from gymserve.web.instances import parameters as instance_parameters
from gymserve.web.instances.schemas import StepRequest

JSON = "application/json"


def parse_slowly(body: bytes) -> StepRequest:
    return params.parse(instance_parameters.normalized(parameters.read(body, JSON)), StepRequest)


READ = (
    (1, None, b'{"action": 1}'),
    ([1.5, "x:y"], 3, b'{"action": [1.5, "x:y"], "seq": 3}'),
    ({"a": {"b": 1}}, None, b'{"action": {"a": {"b": 1}}}'),
    ("\u00e9", None, '{"action": "\u00e9"}'.encode()),
    (2**64 - 1, None, b'{"action": 18446744073709551615, "render": true}'),
    (0, None, b'{"action": 0, "render": "false", "seq": ""}'),
    (0.1, 2**32 - 1, b'{"render": false, "seq": 4294967295, "action": 0.1}'),
)


@pytest.mark.parametrize(("action", "seq", "body"), READ)
def test_a_step_is_parsed(action: Any, seq: int | None, body: bytes) -> None:
    read = instance_parameters.step(body, JSON)
    assert (read.action, read.seq) == (action, seq) and type(read.action) is type(action)


TEXTS = st.text(alphabet='{}[]":,01e.- \\aNu', max_size=40).map('"action": 1, {}'.format)


@given(TEXTS)
@example('"action": 0, "action": 1')
@example('"action": {"b": 1, "b": 2}')
@example('"action": 0, "action": "render"')
@example('"action": "x", "action": "\\"render\\":"')
@example('"action": 0, "other": 1')
@example('"action": 18446744073709551616')
@example('"action": -9223372036854775809, "seq": 1')
@example('"action": "\\ud800"')
@example('"action": "\u202e"')
@example('"action": NaN')
@example('"action": 1e999')
@example('"action": ' + "[" * 101 + "]" * 101)
@example('"action": ""')
@example('"action": [], "seq": 1')
@example('"action": null')
def test_the_fast_parser_accepts_nothing_that_the_slow_one_refuses(inside: str) -> None:
    body = f"{{{inside}}}".encode()
    try:
        quick = instance_parameters.step(body, JSON)
    except InvalidRequest as error:
        with pytest.raises(InvalidRequest) as refused:
            parse_slowly(body)
        assert str(error) == str(refused.value)
    else:
        slow = parse_slowly(body)
        assert (quick.action, quick.seq) == (slow.action, slow.seq)
