"""A score counts every trial: played, cut, failed or never played."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.challenges import definition
from grader.scores import scoring
from grader.scores.scoring import Trial
from gymserve.journal import Created, Ended, Record, Reset, Step
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.recipe import Trial as RecipeTrial

NUMBER = 4


def rule(**given: Any) -> Any:
    return definition.from_map({"name": "c", "environment": "CartPole-v1", "scoring": given}, functions=[
        "tests.grader.scores.test_scoring:worst_two", "tests.grader.scores.test_scoring:nothing",
        "tests.grader.scores.test_scoring:endless", "no:where",
    ]).scoring  # fmt: skip


def worst_two(values: list[float]) -> float:
    return sum(sorted(values)[:2])


def nothing(values: list[float]) -> float:
    return math.nan


def endless(values: list[float]) -> float:
    return math.inf


def created(number: int = NUMBER) -> Created:
    trials = tuple(RecipeTrial(seed) for seed in range(number))
    return Created(Recipe(env_id="CartPole-v1", environment="CartPole-v1", trials=trials))


def reset(time: float = 0.0) -> Reset:
    return Reset(None, 0, time, 1, None, None)


def step(reward: float, end: float | None = None) -> Step:
    return Step(None, 0, 0, reward, end is not None, False, end)


JOURNAL: list[Record] = [
    created(), reset(1.0), step(1.0), step(2.0, end=3.0), reset(4.0), step(5.0), reset(6.0), step(1.0), step(math.nan),
    Ended(3, "failed: the reward is not finite", None, 7.0),
]  # fmt: skip


def test_trials_are_read_off_a_journal() -> None:
    assert scoring.trials_of(JOURNAL) == [
        Trial(1, "played", 3.0, 2, 2.0), Trial(2, "cut", 5.0, 1, 2.0), Trial(3, "failed", None, 2),
        Trial(4, "unplayed", None, 0),
    ]  # fmt: skip


def test_a_trial_without_a_step_is_unplayed() -> None:
    assert [trial.state for trial in scoring.trials_of([created(2), reset(), reset()])] == ["unplayed", "unplayed"]


def test_a_trial_that_is_truncated_is_played() -> None:
    journal = [created(1), reset(1.0), Step(None, 0, 0, 2.0, False, True, 3.0)]
    assert scoring.trials_of(journal) == [Trial(1, "played", 2.0, 1, 2.0)]


def test_a_clock_that_was_set_back_makes_no_trial_shorter_than_nothing() -> None:
    (trial,) = scoring.trials_of([created(1), reset(9.0), step(1.0, end=3.0)])
    assert trial.seconds == 0.0


def test_a_trial_whose_environment_would_not_begin_is_lost_and_those_after_it_are_unplayed() -> None:
    journal = [created(3), reset(), step(1.0, end=1.0), Ended(2, "broken: x", None, 2.0)]
    assert [trial.state for trial in scoring.trials_of(journal)] == ["played", "lost", "unplayed"]
    assert scoring.of_journal(journal, rule(worst=0)).void


@pytest.mark.parametrize(
    ("kind", "state"), [("lost", "lost"), ("crashed", "failed"), ("late", "cut"), ("failed", "failed")]
)
def test_a_trial_is_what_its_end_says(kind: str, state: str) -> None:
    (trial,) = scoring.trials_of([created(1), reset(), step(1.0), Ended(1, f"{kind}: x", None, 2.0)])
    assert trial.state == state


def test_a_trial_that_was_left_is_cut() -> None:
    journal = [created(2), reset(), step(1.0)]
    assert scoring.trials_of(journal) == [Trial(1, "cut", 1.0, 1, None), Trial(2, "unplayed", None, 0)]


def test_what_is_worth_nothing_leaves_no_score_unless_the_worst_is_known() -> None:
    result = scoring.of_journal(JOURNAL, rule())
    assert result.score is None and "1 unplayed, 1 failed" in result.reason and not result.void
    assert scoring.of_journal(JOURNAL, rule(worst=-10)).score == (3 + 5 - 10 - 10) / 4
    assert scoring.of_journal(JOURNAL, rule(worst=-10, cut="worst")).score == (3 - 30) / 4
    assert scoring.of_journal(JOURNAL, rule(worst=-10, unplayed=0)).score == (3 + 5 - 10 + 0) / 4


def test_a_lost_trial_makes_a_submission_void() -> None:
    result = scoring.of_journal([created(1), reset(), step(1.0), Ended(1, "lost: x", None, 2.0)], rule(worst=0))
    assert result.void and result.score is None


def test_functions() -> None:
    trials = [Trial(k, "played", value, 10) for k, value in enumerate([1.0, 2.0, 6.0, 3.0], 1)]
    found = {name: scoring.scored(trials, rule(function=name)).score for name in ("mean", "sum", "median", "min")}
    assert found == {"mean": 3.0, "sum": 12.0, "median": 2.5, "min": 1.0}
    own = scoring.scored(trials, rule(function="tests.grader.scores.test_scoring:worst_two", secondary="steps"))
    assert (own.score, own.secondary) == (3.0, 40.0)
    assert own.spread == pytest.approx(2.1602469) and own.standard_error == pytest.approx(1.0801234)
    both = scoring.scored(trials, rule(function="sum", secondary="min"))
    assert (both.score, both.secondary) == (12.0, 1.0)
    for wrong in ("nothing", "endless"):
        with pytest.raises(scoring.ScoringFailed, match="no finite number"):
            scoring.scored(trials, rule(function=f"tests.grader.scores.test_scoring:{wrong}"))
    with pytest.raises(scoring.ScoringFailed, match="cannot be found"):
        scoring.scored(trials, rule(function="no:where"))


def test_one_trial_has_no_spread_and_none_has_no_score() -> None:
    one = scoring.scored([Trial(1, "played", 3.0, 10)], rule())
    assert (one.score, one.spread, one.standard_error, one.reason) == (3.0, None, None, "")
    two = scoring.scored([Trial(k, "played", 3.0, 10) for k in (1, 2)], rule())
    assert (two.score, two.spread, two.standard_error) == (3.0, 0.0, 0.0)
    none = scoring.scored([], rule())
    assert (none.score, none.spread, none.void, none.reason) == (None, None, False, "no score: there are no trials")
    assert one.to_map() == {
        "score": 3.0, "secondary": None, "reason": "", "void": False, "spread": None, "standard_error": None, "steps": 10,
        "trials": [{"number": 1, "state": "played", "total": 3.0, "steps": 10, "seconds": None, "value": 3.0}],
    }  # fmt: skip


def test_why_there_is_no_score_counts_each_kind_once() -> None:
    states = ["unplayed", "cut", "cut", "failed", "failed", "failed", "played"]
    trials = [Trial(k, state, 1.0 if state == "played" else None, 0) for k, state in enumerate(states, 1)]
    assert scoring.scored(trials, rule()).reason == "no score: of 7 trials 1 unplayed, 3 failed, 2 cut"


def test_rewards_that_overflow_fail_the_trial() -> None:
    assert scoring.trials_of([created(1), reset(), step(1e308), step(1e308, end=1.0)])[0].state == "failed"


EVENTS = st.lists(st.sampled_from(["reset", "step", "end", "nan"]), max_size=40)


@given(EVENTS, st.sampled_from(["stands", "worst"]))
def test_every_trial_counts_once_whatever_happens(events: list[str], cut: str) -> None:
    journal: list[Record] = [created()]
    running = False
    for event in events:
        if event == "reset" and sum(isinstance(record, Reset) for record in journal) < NUMBER:
            journal.append(reset())
            running = True
        elif event != "reset" and running:
            journal.append({"step": step(1.0), "end": step(1.0, end=1.0), "nan": step(math.nan)}[event])
            running = event == "step"
    result = scoring.of_journal(journal, rule(worst=0, cut=cut))
    assert [trial.number for trial in result.trials] == [1, 2, 3, 4]
    assert result.score == sum(trial.value or 0.0 for trial in result.trials) / NUMBER
    finite = [record.reward for record in journal if isinstance(record, Step) and math.isfinite(record.reward)]
    assert 0 <= result.score <= len(finite) / NUMBER
