"""A challenge is read from TOML or plain data, and errors name the file and the line."""

import contextlib
import dataclasses
import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gymserve.grader.challenges import definition
from gymserve.grader.challenges.challenge import Baseline
from gymserve.grader.challenges.fields import InvalidChallenge
from gymserve.grader.challenges.toml_lines import lines_of
from gymserve.protocol.errors import InvalidRequest

TEXT = '''name = "cart"
environment = "CartPole-v1"
description = """
[scoring]
number = 3
"""
kwargs = { a = [1,
  2] }

[trials]
number = 10

[[trials.variants]]
options = { difficulty = 1 }

[[trials.variants]]
options.difficulty = 2
kwargs.word = "x # y"

[scoring]
worst = -3

[[phases]]
name = "practice"
kind = "practice"
closes = 2030-01-01T00:00:00

[[phases]]
name = "final"
kind = "final"
opens = 2030-01-01T00:00:00+02:00
trials = 30
'''


def test_all_fields_are_read() -> None:
    challenge = definition.read(TEXT)
    assert (challenge.title, challenge.kwargs, challenge.trials.number) == ("cart", {"a": [1, 2]}, 10)
    assert [variant.options for variant in challenge.trials.variants] == [{"difficulty": 1}, {"difficulty": 2}]
    assert challenge.trials.variants[1].kwargs == {"word": "x # y"}
    assert [phase.trials for phase in challenge.phases] == [10, 30]
    assert challenge.phases[1].opens == datetime(2029, 12, 31, 22, tzinfo=UTC)
    assert (challenge.scoring.function, challenge.scoring.worst, challenge.scoring.unplayed) == ("mean", -3.0, "worst")


@pytest.mark.parametrize(
    ("right", "wrong", "line", "words"),
    [
        ("number = 10", "number = 0", 11, "trials.number: must be an integer from 1"),
        ("number = 10", "numbr = 10", 11, "did you mean number"),
        ("worst = -3", "worst = nan", 21, "scoring.worst: must be a finite number"),
        ("worst = -3", "worst = inf", 21, "scoring.worst: must be a finite number"),
        ("[trials]", "tolerance = -0.5\n[trials]", 10, "tolerance: must be a number of 0 or more"),
        ("worst = -3", 'function = "maximum"', 21, "one of mean, sum"),
        ("options.difficulty = 2", "option.difficulty = 2", 17, "trials.variants.2.option"),
        ('name = "final"', 'name = "practice"', 29, "two phases practice"),
        ("trials = 30", 'trials = 30\ncloses = "soon"', 33, "must be a date"),
        ("trials = 30", "trials = 30\ncloses = 2020-01-01", 33, "later than opens"),
        ("[scoring]\nworst", "[scores]\nworst", 20, "did you mean scoring"),
        ('environment = "CartPole-v1"', "", 1, "environment is missing"),
        ('environment = "CartPole-v1"', 'environment = "a:b"', 2, "an id such as"),
        ('name = "cart"', 'name = "Cart Pole"', 1, "lower-case letters"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, right: str, wrong: str, line: int, words: str) -> None:
    file = tmp_path / "cart.toml"
    file.write_text(TEXT.replace(right, wrong, 1) if right != "[scoring]\nworst" else _last(right, wrong))
    with pytest.raises(InvalidChallenge) as error:
        definition.load(file)
    assert str(error.value).startswith(f"{file}, line {line}: ") and words in str(error.value)
    assert isinstance(error.value, InvalidRequest)


def _last(right: str, wrong: str) -> str:
    head, _, tail = TEXT.rpartition(right)
    return head + wrong + tail


def test_broken_toml_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidChallenge, match=r"cart\.toml.*line 1"):
        definition.read("name = = 3", "cart.toml")
    with pytest.raises(InvalidChallenge, match="nowhere"):
        definition.load(tmp_path / "nowhere.toml")


def test_plain_data_is_equivalent_to_toml() -> None:
    challenge = definition.read(TEXT)
    again = definition.from_dict(json.loads(challenge.to_json()))
    assert again == challenge and again.digest == challenge.digest


def test_plain_data_may_use_allowed_functions_only() -> None:
    data = {"name": "c", "environment": "CartPole-v1", "scoring": {"function": "os:getpid"}}
    with pytest.raises(InvalidChallenge, match="not among the functions"):
        definition.from_dict(data)
    assert definition.from_dict(data, functions=["os:getpid"]).scoring.function == "os:getpid"


def test_phases_open_and_close_on_their_dates() -> None:
    challenge = definition.read(TEXT)
    before, between, after = (datetime(year, 1, 1, tzinfo=UTC) for year in (2029, 2030, 2031))
    assert [phase.name for when in (before, between, after) if (phase := challenge.phase_at(when))] == [
        "practice", "final", "final",
    ]  # fmt: skip
    ended = definition.read(TEXT.replace('kind = "practice"', 'kind = "public"')).phases[0]
    assert ended.is_over(between) and ended.is_over(after) and not ended.is_over(before)
    assert not challenge.phases[1].is_over(after)


@pytest.mark.parametrize(
    ("closes", "end"),
    [
        ("2030-01-31", datetime(2030, 2, 1, tzinfo=UTC)),  # the day is part of the phase
        ("2030-01-31T00:00:00", datetime(2030, 1, 31, tzinfo=UTC)),
        ("2030-01-31T12:00:00-01:00", datetime(2030, 1, 31, 13, tzinfo=UTC)),
    ],
)
def test_a_phase_that_closes_on_a_date_closes_at_that_days_end(closes: str, end: datetime) -> None:
    for written in (closes, f'"{closes}"'):
        text = f'name = "c"\nenvironment = "CartPole-v1"\n[[phases]]\nname = "final"\nopens = 2030-01-01\ncloses = {written}'
        (phase,) = definition.read(text).phases
        assert (phase.opens, phase.closes) == (datetime(2030, 1, 1, tzinfo=UTC), end)


@pytest.mark.parametrize("when", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "9999-12-31", "12:00:00"])
def test_an_impossible_date_is_refused(when: str) -> None:
    with pytest.raises(InvalidChallenge, match="closes"):
        definition.read(f'name = "c"\nenvironment = "CartPole-v1"\n[[phases]]\nname = "final"\ncloses = {when}')


def test_a_default_value_does_not_change_the_digest() -> None:
    plain = definition.read(TEXT)
    refuse, clip = (definition.read(f'actions = "{actions}"\n{TEXT}') for actions in ("refuse", "clip"))
    assert plain.actions == "refuse" and refuse.digest == plain.digest and "actions" not in plain.to_dict()
    assert clip.digest != plain.digest and definition.from_dict(clip.to_dict()) == clip


@given(st.text(max_size=200))
def test_any_text_is_a_challenge_or_an_invalid_challenge(text: str) -> None:
    with contextlib.suppress(InvalidChallenge):
        definition.read(text)


NAMES = st.sampled_from(["name", "environment", "trials", "scoring", "phases", "kwargs", "limits"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner)))
def test_any_data_is_a_challenge_or_an_invalid_challenge(data: object) -> None:
    with contextlib.suppress(InvalidChallenge):
        definition.from_dict(data)


def test_lines_are_found_after_values_over_several_lines() -> None:
    lines = lines_of("a = '''\n[b]\n'''\nc = [ # [\n 1,\n]\n[d.\"e f\"]\ng.h = 'x'\n")
    assert (lines["a",], lines["c",], lines["d", "e f"], lines["d", "e f", "g", "h"]) == (1, 4, 7, 8)
    assert ("b",) not in lines


def test_lines_are_found_after_strings_that_are_empty_or_contain_quotes() -> None:
    text = '''a = [""""""]
b = [ "]", '"', """x""", # "
]
c = "\\"["
d = """
e = 1 \\""" [
"""
[[f]]
g = {h = "}"}
[[f]]
'''
    tomllib.loads(text)
    assert lines_of(text) == {
        (): 1, ("a",): 1, ("b",): 2, ("c",): 4, ("d",): 5, ("f", 0): 8, ("f", 0, "g"): 9, ("f", 1): 10,
    }  # fmt: skip


def test_challenges_are_immutable_and_compare_by_value() -> None:
    """Challenges from the same text are equal, and none can be changed."""
    challenge, same = definition.read(TEXT), definition.read(TEXT)
    parts: list[Any] = [challenge, challenge.trials, challenge.trials.variants[0], challenge.scoring, challenge.ranking]
    for part in [*parts, challenge.limits, challenge.phases[0], challenge.teams, Baseline("random", 1.0, "")]:
        name = dataclasses.fields(part)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, getattr(part, name))
    assert challenge == same
