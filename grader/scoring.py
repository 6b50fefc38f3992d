"""What a journal is worth: the return of each trial, and the score that a challenge makes of them."""

import importlib
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grader.challenge import Scoring
from gymserve.errors import GymserveError
from gymserve.journal import Created, Ended, Record, Reset, Step

PLAYED, CUT, RUNNING, FAILED, LOST, UNPLAYED = "played", "cut", "running", "failed", "lost", "unplayed"


class ScoringFailed(GymserveError):
    """The organiser's scoring function cannot be found, raised an error, or gave no finite number."""


@dataclass(frozen=True)
class Trial:
    """One trial as the journal has it.

    Args:
        number: from 1.
        state: played to its end; cut by a reset or by leaving; running; failed by a reward that is not finite; lost
            by us (with its host and not replayable, or its environment would not begin); unplayed (without a step).
        total: the sum of its rewards; None where it failed or was not played.
        seconds: from its reset to its end, by the clock; None where that is not known.
        value: what it counts in the score, see `scored`; None: it is worth nothing.
    """

    number: int
    state: str
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


def trials_of(records: Iterable[Record], *, final: bool = True) -> list[Trial]:
    """Every trial of a graded instance, in order, the unplayed ones as well.

    Args:
        final: nothing will follow; otherwise the last trial may be running.
    """
    number = 0
    broken: set[int] = set()
    told: list[_Tally] = []
    for record in records:
        if isinstance(record, Created):
            number = len(record.meta.get("trials", ()))
        elif isinstance(record, Reset):
            if told:
                told[-1].end(CUT, record.time)
            told.append(_Tally(record.time))
        elif isinstance(record, Step) and told:
            told[-1].step(record)
        elif isinstance(record, Ended):
            kind = record.reason.partition(":")[0]
            if kind == "broken":
                broken.add(record.trial)
            elif told:
                told[-1].end({"failed": FAILED, "lost": LOST}.get(kind, CUT), record.time)
    if told and told[-1].state == RUNNING and final:
        told[-1].end(CUT, None)
    trials = [tally.trial(index) for index, tally in enumerate(told, 1)]
    unbegun = range(len(trials) + 1, number + 1)
    return trials + [Trial(index, LOST if index in broken else UNPLAYED, None, 0) for index in unbegun]


class _Tally:
    """A trial while its records are read."""

    def __init__(self, began: float) -> None:
        self.began, self.state = began, RUNNING
        self.ended: float | None = None
        self.rewards: list[float] = []

    def step(self, step: Step) -> None:
        self.rewards.append(step.reward)
        if not math.isfinite(step.reward):
            self.end(FAILED, step.time)
        elif step.terminated or step.truncated:
            self.end(PLAYED, step.time)

    def end(self, state: str, time: float | None) -> None:
        if self.state == RUNNING:
            self.state, self.ended = state, time

    def trial(self, number: int) -> Trial:
        state = UNPLAYED if self.state == CUT and not self.rewards else self.state
        total: float | None = None
        if state not in (FAILED, UNPLAYED):
            try:
                total = math.fsum(self.rewards)
            except OverflowError:
                state = FAILED
        seconds = None if self.ended is None else max(0.0, self.ended - self.began)
        return Trial(number, state, total, len(self.rewards), seconds)


def scored(trials: Sequence[Trial], scoring: Scoring) -> Result:
    """The score of a submission whose trials are over.

    Raises:
        ScoringFailed: the organiser's function did.
    """
    counted = tuple(replace(trial, value=_value(trial, scoring)) for trial in trials)
    steps = sum(trial.steps for trial in trials)
    lost = [trial for trial in counted if trial.state == LOST]
    worthless = [trial for trial in counted if trial.value is None]
    values = [trial.value for trial in counted if trial.value is not None]
    spread = statistics.stdev(values) if len(values) > 1 else None
    error = None if spread is None else spread / math.sqrt(len(values))
    if lost:
        reason = f"trial {lost[0].number} was lost by the server: the submission is void"
    elif worthless:
        kinds = {kind: sum(trial.state == kind for trial in worthless) for kind in (UNPLAYED, FAILED, CUT, RUNNING)}
        words = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
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
    if trial.state == PLAYED or (trial.state == CUT and scoring.cut == "stands"):
        return trial.total
    if trial.state == UNPLAYED and isinstance(scoring.unplayed, float):
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
