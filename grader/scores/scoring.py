"""Scoring: the return of each trial in a journal, and the score that a challenge computes from them."""

import importlib
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from gymserve.grader.challenges.challenge import Scoring
from gymserve.grader.challenges.states import TrialState
from gymserve.journal import Ended, Episode, Record, episodes_of, recipe_of
from gymserve.journal.records import BROKEN, CRASHED, FAILED, LOST
from gymserve.protocol.errors import GymserveError
from gymserve.protocol.wire import JSONObject


class ScoringFailed(GymserveError):
    """The organiser's scoring function cannot be found, raised an error, or did not return a finite number."""


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial.

    Args:
        number: the trial's number, from 1.
        total: the sum of its rewards; None if it failed or was not played.
        seconds: the wall time from its reset to its end, or None if that is unknown.
        value: its value in the score, see `score_trials`; None if it has none.
    """

    number: int
    state: TrialState
    total: float | None
    steps: int
    seconds: float | None = None
    value: float | None = None


@dataclass(frozen=True)
class ScoringResult:
    """A submission's score.

    Args:
        score: None if there is none, for the `reason`.
        void: whether the server lost a trial, so that the submission should not count and its slot be given back.
        spread: the standard deviation of the trials' values; None for one trial.
        standard_error: that of their mean.
    """

    score: float | None
    secondary: float | None
    reason: str
    void: bool
    spread: float | None
    standard_error: float | None
    steps: int
    trials: tuple[TrialResult, ...]

    def to_dict(self) -> JSONObject:
        """The result as plain data."""
        fields = {name: value for name, value in vars(self).items() if name != "trials"}
        return fields | {"trials": [vars(trial) for trial in self.trials]}


def trials_of(records: Iterable[Record]) -> list[TrialResult]:
    """The results of all trials in a finished journal, in order and including unplayed ones."""
    journal = list(records)
    episodes = episodes_of(journal)
    trials = []
    for episode, following in zip_longest(episodes, episodes[1:]):
        state, ended = _end(episode, None if following is None else following.reset.time)
        trials.append(_trial(episode, state, ended))
    broken = {record.trial for record in journal if isinstance(record, Ended) and record.kind == BROKEN}
    not_begun = range(len(trials) + 1, len(recipe_of(journal).trials) + 1)
    states = {index: TrialState.LOST if index in broken else TrialState.UNPLAYED for index in not_begun}
    return trials + [TrialResult(index, state, None, 0) for index, state in states.items()]


def _end(episode: Episode, following: float | None) -> tuple[TrialState, float | None]:
    """The final state of a trial, and the time at which it ended.

    They follow from the first step that ends the trial, or else from a record of its end, or else from the next trial's
    reset at the time `following`.
    """
    for step in episode.steps:
        if not math.isfinite(step.reward):
            return TrialState.FAILED, step.time
        if step.terminated or step.truncated:
            return TrialState.PLAYED, step.time
    if episode.ended is not None:
        ends = {FAILED: TrialState.FAILED, CRASHED: TrialState.FAILED, LOST: TrialState.LOST}
        return ends.get(episode.ended.kind, TrialState.CUT), episode.ended.time
    return TrialState.CUT, following


def _trial(episode: Episode, state: TrialState, ended: float | None) -> TrialResult:
    rewards = [step.reward for step in episode.steps]
    state = TrialState.UNPLAYED if state == TrialState.CUT and not rewards else state
    total: float | None = None
    if state not in (TrialState.FAILED, TrialState.UNPLAYED):
        try:
            total = math.fsum(rewards)
        except OverflowError:
            state = TrialState.FAILED
    seconds = None if ended is None else max(0.0, ended - episode.reset.time)
    return TrialResult(episode.number, state, total, len(rewards), seconds)


def score_trials(trials: Sequence[TrialResult], scoring: Scoring) -> ScoringResult:
    """The score of a submission whose trials are over.

    Raises:
        ScoringFailed: the organiser's function failed.
    """
    counted = tuple(replace(trial, value=_value(trial, scoring)) for trial in trials)
    steps = sum(trial.steps for trial in trials)
    lost = [trial for trial in counted if trial.state == TrialState.LOST]
    without_value = [trial for trial in counted if trial.value is None]
    values = [trial.value for trial in counted if trial.value is not None]
    spread = statistics.stdev(values) if len(values) > 1 else None
    error = None if spread is None else spread / math.sqrt(len(values))
    if lost:
        reason = f"the server lost trial {lost[0].number}: the submission is void"
    elif without_value:
        counts = Counter(trial.state for trial in without_value)
        states = (TrialState.UNPLAYED, TrialState.FAILED, TrialState.CUT)
        words = ", ".join(f"{counts[state]} {state}" for state in states if counts[state])
        reason = f"not scored: {words} (of {len(counted)} trials)"
    elif not values:
        reason = "not scored: there are no trials"
    else:
        score = _apply(scoring.function, values)
        secondary = None
        if scoring.secondary:
            secondary = float(steps) if scoring.secondary == "steps" else _apply(scoring.secondary, values)
        return ScoringResult(score, secondary, "", False, spread, error, steps, counted)
    return ScoringResult(None, None, reason, bool(lost), spread, error, steps, counted)


def score_journal(records: Iterable[Record], scoring: Scoring) -> ScoringResult:
    """The score of a closed graded instance's journal.

    Raises:
        ScoringFailed: the organiser's function failed.
    """
    return score_trials(trials_of(records), scoring)


def _value(trial: TrialResult, scoring: Scoring) -> float | None:
    """A trial's value in the score, or None if the challenge gives it none."""
    if trial.state == TrialState.PLAYED or (trial.state == TrialState.CUT and scoring.cut == "stands"):
        return trial.total
    if trial.state == TrialState.UNPLAYED and isinstance(scoring.unplayed, float):
        return scoring.unplayed
    return scoring.worst


_BUILT_IN: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean,
    "sum": math.fsum,
    "median": statistics.median,
    "min": min,
}


def _apply(name: str, values: Sequence[float]) -> float:
    try:
        score = float(function(name)(values))
    except ScoringFailed:
        raise
    except Exception as error:
        raise ScoringFailed(f"{name} raised {type(error).__name__}: {error}") from error
    if not math.isfinite(score):
        raise ScoringFailed(f"{name} returned {score}, which is not a finite number")
    return score


def function(name: str) -> Callable[[Sequence[float]], float]:
    """The scoring function with this name: a built-in one, or the organiser's `module:function`.

    Raises:
        ScoringFailed: it cannot be found.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    module, _, attribute = name.partition(":")
    try:
        imported: Callable[[Sequence[float]], float] = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise ScoringFailed(f"the scoring function {name} cannot be found: {error}") from error
    return imported
