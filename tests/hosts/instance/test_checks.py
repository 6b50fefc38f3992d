"""The limits of trials, allowances and sequence numbers are checked before an instance is created."""

import math
from typing import Any

import pytest

from gymserve.hosts import calls
from gymserve.hosts.instance import allowance, trials
from gymserve.hosts.instance.trials import MAX_SEED, MAX_TRIALS
from gymserve.protocol import params, wire
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.recipe import Trial
from gymserve.protocol.wire import MAX_SEQ


@pytest.mark.parametrize("number", [1, MAX_TRIALS])
def test_a_plan_of_1_to_10000_trials_is_accepted(number: int) -> None:
    assert trials.parse_trials([{"seed": 3}] * number) == (Trial(3, None, {}),) * number


@pytest.mark.parametrize("plan", [None, {}, [], [{"seed": 3}] * (MAX_TRIALS + 1), [3], [{"seed": 3, "speed": 1}]])
def test_a_malformed_plan_is_refused(plan: Any) -> None:
    with pytest.raises(InvalidRequest, match="trial"):
        trials.parse_trials(plan)


@pytest.mark.parametrize("trial", [
    {"seed": 0}, {"seed": MAX_SEED, "options": {"a": 1}, "kwargs": {"b": 2}}, {"seed": 1, "options": None, "kwargs": None},
])  # fmt: skip
def test_a_trial_has_a_seed_and_may_have_options_and_kwargs(trial: dict[str, Any]) -> None:
    (parsed,) = trials.parse_trials([trial])
    expected = trial["seed"], trial.get("options"), trial.get("kwargs") or {}
    assert (parsed.seed, parsed.options, parsed.kwargs) == expected


@pytest.mark.parametrize("trial", [
    {}, {"seed": None}, {"seed": -1}, {"seed": MAX_SEED + 1}, {"seed": 1.0}, {"seed": True}, {"seed": 1, "options": []},
    {"seed": 1, "kwargs": [1]},
])  # fmt: skip
def test_a_malformed_trial_is_refused_with_its_number(trial: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="trial 2"):
        trials.parse_trials([{"seed": 1}, trial])


@pytest.mark.parametrize("seconds", [0, 0.0, 1, 2.5, None])
def test_an_allowance_is_a_number_of_seconds_or_none(seconds: Any) -> None:
    assert allowance.parse_allowance(dict.fromkeys(allowance.NAMES, seconds)) == dict.fromkeys(allowance.NAMES, seconds)


@pytest.mark.parametrize("seconds", [-1, -0.1, math.inf, math.nan, True, "1", [1]])
def test_a_malformed_allowance_is_refused(seconds: Any) -> None:
    for wrong in ({"idle_seconds": seconds}, {"seconds": 1}, [1], None):
        with pytest.raises(InvalidRequest, match="allowance"):
            allowance.parse_allowance(wrong)


def test_a_seq_fits_into_32_bits() -> None:
    for seq in (None, 0, MAX_SEQ):
        assert params.parse({"action": 0, "seq": seq}, calls.StepCall).seq == seq
    for wrong in (-1, MAX_SEQ + 1, True, 1.5, "1"):
        with pytest.raises(InvalidRequest, match="seq must be"):
            params.parse({"action": 0, "seq": wrong}, calls.StepCall)


@pytest.mark.parametrize(
    ("message", "text", "seq"),
    [
        (None, "a binary message is a msgpack array", None),
        ([], "a binary message is a msgpack array", None),
        ([9], "unknown kind of message 9", None),
        (["a", 7], "unknown kind of message 'a'", 7),
        ([True, 7, 0], "unknown kind of message True", 7),
        ([1, -1, 0], "seq must be", None),
        ([1, 7], "a binary message of kind 1 has more elements than 2", 7),
    ],
)
def test_a_malformed_binary_message_is_refused_with_what_is_wrong(message: Any, text: str, seq: int | None) -> None:
    packed = wire.pack(message)
    with pytest.raises(InvalidRequest, match=text):
        calls.decode(packed)
    assert calls.seq_of(packed) == seq
