"""What a journal is worth: the return of each trial, and the score that a challenge makes of them."""

import importlib
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from grader.challenges.challenge import Scoring
from grader.challenges.states import TrialState
from gymserve.journal import Ended, Episode, Record, episodes_of, recipe_of
from gymserve.journal.records import BROKEN, CRASHED, FAILED, LOST
from gymserve.protocol.errors import GymserveError


class ScoringFailed(GymserveError):
    """The organiser's scoring function cannot be found, raised an error, or gave no finite number."""


@dataclass(frozen=True)
class Trial:
    """One trial as the journal has it.

    Args:
        number: from 1.
        total: the sum of its rewards; None where it failed or was not played.
        seconds: from its reset to its end, by the clock; None where that is not known.
        value: what it counts in the score, see `scored`; None: it is worth nothing.
    """

    number: int
    state: TrialState
    total: float | None
    steps: int
    seconds: float | None = None
    value: float | None = None


@dataclass(frozen=True)
class Result:
    """A submission's score.

    Args:
        score: None where there is none, and `reason` says why.
        void: something of ours lost a trial: the submission should not count, and its slot be given back.
        spread: the standard deviation of the trials' values; None for one trial.
        standard_error: of their mean.
    """

    score: float | None
    secondary: float | None
    reason: str
    void: bool
    spread: float | None
    standard_error: float | None
    steps: int
    trials: tuple[Trial, ...]

    def to_map(self) -> dict[str, Any]:
        """As plain data."""
        own = {name: value for name, value in vars(self).items() if name != "trials"}
        return own | {"trials": [vars(trial) for trial in self.trials]}


def trials_of(records: Iterable[Record]) -> list[Trial]:
    """Every trial of a graded instance to whose journal nothing is added any more, in order, the unplayed ones as well."""
    kept = list(records)
    episodes = episodes_of(kept)
    trials = []
    for episode, following in zip_longest(episodes, episodes[1:]):
        state, ended = _end(episode, None if following is None else following.reset.time)
        trials.append(_trial(episode, state, ended))
    broken = {record.trial for record in kept if isinstance(record, Ended) and record.kind == BROKEN}
    unbegun = range(len(trials) + 1, len(recipe_of(kept).trials) + 1)
    states = {index: TrialState.LOST if index in broken else TrialState.UNPLAYED for index in unbegun}
    return trials + [Trial(index, state, None, 0) for index, state in states.items()]


def _end(episode: Episode, following: float | None) -> tuple[TrialState, float | None]:
    """(state, when it was reached) of a trial: what its first step that ends it says, else a record of its end, else
    the reset of the next trial, at `following`."""
    for step in episode.steps:
        if not math.isfinite(step.reward):
            return TrialState.FAILED, step.time
        if step.terminated or step.truncated:
            return TrialState.PLAYED, step.time
    if episode.ended is not None:
        ends = {FAILED: TrialState.FAILED, CRASHED: TrialState.FAILED, LOST: TrialState.LOST}
        return ends.get(episode.ended.kind, TrialState.CUT), episode.ended.time
    return TrialState.CUT, following


def _trial(episode: Episode, state: TrialState, ended: float | None) -> Trial:
    rewards = [step.reward for step in episode.steps]
    state = TrialState.UNPLAYED if state == TrialState.CUT and not rewards else state
    total: float | None = None
    if state not in (TrialState.FAILED, TrialState.UNPLAYED):
        try:
            total = math.fsum(rewards)
        except OverflowError:
            state = TrialState.FAILED
    seconds = None if ended is None else max(0.0, ended - episode.reset.time)
    return Trial(episode.number, state, total, len(rewards), seconds)


def scored(trials: Sequence[Trial], scoring: Scoring) -> Result:
    """The score of a submission whose trials are over.

    Raises:
        ScoringFailed: the organiser's function did.
    """
    counted = tuple(replace(trial, value=_value(trial, scoring)) for trial in trials)
    steps = sum(trial.steps for trial in trials)
    lost = [trial for trial in counted if trial.state == TrialState.LOST]
    worthless = [trial for trial in counted if trial.value is None]
    values = [trial.value for trial in counted if trial.value is not None]
    spread = statistics.stdev(values) if len(values) > 1 else None
    error = None if spread is None else spread / math.sqrt(len(values))
    if lost:
        reason = f"trial {lost[0].number} was lost by the server: the submission is void"
    elif worthless:
        counts = Counter(trial.state for trial in worthless)
        shown = (TrialState.UNPLAYED, TrialState.FAILED, TrialState.CUT)
        words = ", ".join(f"{counts[state]} {state}" for state in shown if counts[state])
        reason = f"no score: of {len(counted)} trials {words}"
    elif not values:
        reason = "no score: there are no trials"
    else:
        score = _apply(scoring.function, values)
        secondary = None
        if scoring.secondary:
            secondary = float(steps) if scoring.secondary == "steps" else _apply(scoring.secondary, values)
        return Result(score, secondary, "", False, spread, error, steps, counted)
    return Result(None, None, reason, bool(lost), spread, error, steps, counted)


def of_journal(records: Iterable[Record], scoring: Scoring) -> Result:
    """The score of a closed graded instance's journal."""
    return scored(trials_of(records), scoring)


def _value(trial: Trial, scoring: Scoring) -> float | None:
    """What a trial counts; None: there is no number for it."""
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
        raise ScoringFailed(f"{name} gave {score}, which is no finite number")
    return score


def function(name: str) -> Callable[[Sequence[float]], float]:
    """The scoring function of this name: built in, or `module:function` of the organiser's.

    Raises:
        ScoringFailed: it cannot be found.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    module, _, attribute = name.partition(":")
    try:
        found: Callable[[Sequence[float]], float] = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise ScoringFailed(f"the scoring function {name} cannot be found: {error}") from error
    return found
