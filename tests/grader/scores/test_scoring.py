"""A score counts every trial, whether it was played, cut, failed or never begun."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gymserve.grader.challenges import definition
from gymserve.grader.scores import scoring
from gymserve.grader.scores.scoring import TrialResult
from gymserve.journal import Created, Ended, Record, Reset, Step
from gymserve.protocol.recipe import Recipe, Trial

NUMBER = 4


def rules(**scoring: Any) -> Any:
    return definition.from_dict({"name": "c", "environment": "CartPole-v1", "scoring": scoring}, functions=[
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
    trials = tuple(Trial(seed) for seed in range(number))
    return Created(Recipe(env_id="CartPole-v1", environment="CartPole-v1", trials=trials))


def reset(time: float = 0.0) -> Reset:
    return Reset(None, 0, time, 1, None, None)


def step(reward: float, end: float | None = None) -> Step:
    return Step(None, 0, 0, reward, end is not None, False, end)


JOURNAL: list[Record] = [
    created(), reset(1.0), step(1.0), step(2.0, end=3.0), reset(4.0), step(5.0), reset(6.0), step(1.0), step(math.nan),
    Ended(3, "failed: the reward is not finite", None, 7.0),
]  # fmt: skip


def test_trials_are_read_from_a_journal() -> None:
    assert scoring.trials_of(JOURNAL) == [
        TrialResult(1, "played", 3.0, 2, 2.0), TrialResult(2, "cut", 5.0, 1, 2.0), TrialResult(3, "failed", None, 2),
        TrialResult(4, "unplayed", None, 0),
    ]  # fmt: skip


def test_a_trial_without_a_step_is_unplayed() -> None:
    assert [trial.state for trial in scoring.trials_of([created(2), reset(), reset()])] == ["unplayed", "unplayed"]


def test_a_truncated_trial_is_played() -> None:
    journal = [created(1), reset(1.0), Step(None, 0, 0, 2.0, False, True, 3.0)]
    assert scoring.trials_of(journal) == [TrialResult(1, "played", 2.0, 1, 2.0)]


def test_a_clock_that_is_set_back_makes_no_duration_negative() -> None:
    (trial,) = scoring.trials_of([created(1), reset(9.0), step(1.0, end=3.0)])
    assert trial.seconds == 0.0


def test_a_trial_that_cannot_begin_is_lost_and_later_ones_are_unplayed() -> None:
    journal = [created(3), reset(), step(1.0, end=1.0), Ended(2, "broken: x", None, 2.0)]
    assert [trial.state for trial in scoring.trials_of(journal)] == ["played", "lost", "unplayed"]
    assert scoring.score_journal(journal, rules(worst=0)).void


@pytest.mark.parametrize(
    ("kind", "state"), [("lost", "lost"), ("crashed", "failed"), ("late", "cut"), ("failed", "failed")]
)
def test_a_trials_state_follows_from_its_end(kind: str, state: str) -> None:
    (trial,) = scoring.trials_of([created(1), reset(), step(1.0), Ended(1, f"{kind}: x", None, 2.0)])
    assert trial.state == state


def test_a_trial_that_the_agent_leaves_is_cut() -> None:
    journal = [created(2), reset(), step(1.0)]
    assert scoring.trials_of(journal) == [TrialResult(1, "cut", 1.0, 1, None), TrialResult(2, "unplayed", None, 0)]


def test_a_trial_without_value_needs_a_worst_value() -> None:
    result = scoring.score_journal(JOURNAL, rules())
    assert result.score is None and "1 unplayed, 1 failed" in result.reason and not result.void
    assert scoring.score_journal(JOURNAL, rules(worst=-10)).score == (3 + 5 - 10 - 10) / 4
    assert scoring.score_journal(JOURNAL, rules(worst=-10, cut="worst")).score == (3 - 30) / 4
    with_two = scoring.score_journal(JOURNAL, rules(worst=-10, unplayed=0))
    assert [trial.value for trial in with_two.trials] == [3, 5, -10, 0] and with_two.score == (3 + 5 - 10 + 0) / 4


def test_a_lost_trial_makes_a_submission_void() -> None:
    result = scoring.score_journal([created(1), reset(), step(1.0), Ended(1, "lost: x", None, 2.0)], rules(worst=0))
    assert result.void and result.score is None


def test_scoring_functions() -> None:
    trials = [TrialResult(k, "played", value, 10) for k, value in enumerate([1.0, 2.0, 6.0, 3.0], 1)]
    scores = {
        name: scoring.score_trials(trials, rules(function=name)).score for name in ("mean", "sum", "median", "min")
    }
    assert scores == {"mean": 3.0, "sum": 12.0, "median": 2.5, "min": 1.0}
    own = scoring.score_trials(trials, rules(function="tests.grader.scores.test_scoring:worst_two", secondary="steps"))
    assert (own.score, own.secondary) == (3.0, 40.0)
    assert own.spread == pytest.approx(2.1602469) and own.standard_error == pytest.approx(1.0801234)
    both = scoring.score_trials(trials, rules(function="sum", secondary="min"))
    assert (both.score, both.secondary) == (12.0, 1.0)
    for wrong in ("nothing", "endless"):
        with pytest.raises(scoring.ScoringFailed, match="not a finite number"):
            scoring.score_trials(trials, rules(function=f"tests.grader.scores.test_scoring:{wrong}"))
    with pytest.raises(scoring.ScoringFailed, match="cannot be found"):
        scoring.score_trials(trials, rules(function="no:where"))


def test_one_trial_has_no_spread_and_no_trial_has_no_score() -> None:
    one = scoring.score_trials([TrialResult(1, "played", 3.0, 10)], rules())
    assert (one.score, one.spread, one.standard_error, one.reason) == (3.0, None, None, "")
    two = scoring.score_trials([TrialResult(k, "played", 3.0, 10) for k in (1, 2)], rules())
    assert (two.score, two.spread, two.standard_error) == (3.0, 0.0, 0.0)
    none = scoring.score_trials([], rules())
    assert (none.score, none.spread, none.void, none.reason) == (None, None, False, "not scored: there are no trials")
    assert one.to_dict() == {
        "score": 3.0, "secondary": None, "reason": "", "void": False, "spread": None, "standard_error": None, "steps": 10,
        "trials": [{"number": 1, "state": "played", "total": 3.0, "steps": 10, "seconds": None, "value": 3.0}],
    }  # fmt: skip


def test_the_reason_for_no_score_counts_each_state() -> None:
    states = ["unplayed", "cut", "cut", "failed", "failed", "failed", "played"]
    trials = [TrialResult(k, state, 1.0 if state == "played" else None, 0) for k, state in enumerate(states, 1)]
    assert scoring.score_trials(trials, rules()).reason == "not scored: 1 unplayed, 3 failed, 2 cut (of 7 trials)"


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
    result = scoring.score_journal(journal, rules(worst=0, cut=cut))
    assert [trial.number for trial in result.trials] == [1, 2, 3, 4]
    assert result.score == sum(trial.value or 0.0 for trial in result.trials) / NUMBER
    finite = [record.reward for record in journal if isinstance(record, Step) and math.isfinite(record.reward)]
    assert 0 <= result.score <= len(finite) / NUMBER
