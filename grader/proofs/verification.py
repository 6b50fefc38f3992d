"""Verification: replays every trial of a journal on a fresh environment, and compares the results with the records."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from gymserve.environments import Catalogue
from gymserve.environments.foreign import close, error_text, pass_on_interrupt
from gymserve.grader.challenges.states import VerdictState
from gymserve.hosts.versions import versions
from gymserve.journal import Created, Ended, Episode, Record, Reset, Step, episodes_of
from gymserve.journal.records import BROKEN, CRASHED, FAILED, LOST, digest
from gymserve.journal.replay import REWARD, difference, reset
from gymserve.protocol import errors, wire
from gymserve.protocol.generics import ForeignEnv, Value
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.spaces import codec

HEARTBEAT_STEPS = 256  # steps between two calls of `heartbeat`


@dataclass(frozen=True)
class Verdict:
    """The result of a replay.

    Args:
        reason: why the journal is not verified, or "".
        record: the index of the record that differs, or None.
        trial: the number of the trial that differs, from 1, or None.
        steps: the number of steps that were replayed.
        seconds: how long the replay took.
        difference: the largest difference between a trial's replayed and recorded returns.
        tolerance: the difference that the challenge allows.
        answer: the replay's result at the record, in hex; "" if no graded instance could have written the journal.
        sources: the sources of non-determinism that the environment used, if the replay watched for them.
    """

    state: VerdictState
    reason: str = ""
    record: int | None = None
    trial: int | None = None
    steps: int = 0
    seconds: float = 0.0
    difference: float = 0.0
    tolerance: float = 0.0
    answer: str = ""
    sources: tuple[str, ...] = ()


_Answer: TypeAlias = tuple[int, Reset | Step, tuple[Value, ...] | str]


class _CannotCreate(Exception):
    """The environment cannot be created here."""


class _Differs(Exception):
    """The replay's result differs from a record."""

    def __init__(self, record: int, text: str, answer: object = None) -> None:
        super().__init__(text)
        self.record, self.answer = record, answer


def verify(
    records: Sequence[Record],
    catalogue: Catalogue,
    *,
    tolerance: float = 0.0,
    heartbeat: Callable[[], None] = lambda: None,
) -> Verdict:
    """Replays a graded instance's journal.

    Args:
        tolerance: by how much a trial's return may differ. Unless it is 0, observations are not compared.
        heartbeat: called regularly; ends the verification by raising.
    """
    began, steps, worst = time.perf_counter(), 0, 0.0

    def verdict(state: VerdictState, reason: str = "", record: int | None = None, trial: int | None = None) -> Verdict:
        return Verdict(state, reason, record, trial, steps, time.perf_counter() - began, worst, tolerance)

    try:
        trials = _trials(records)
    except _Differs as error:
        return verdict(VerdictState.MISMATCH, str(error), error.record)
    for trial in trials:
        if trial.ended is not None and trial.ended.kind in (LOST, CRASHED):  # such a trial cannot be replayed
            continue
        apart = 0.0
        try:
            if tolerance:
                apart = _replay(trial, catalogue, tolerance, heartbeat)
            elif not _agrees(trial, catalogue, heartbeat):
                _replay(trial, catalogue, tolerance, heartbeat)  # raises with the record that differs
                reason = f"trial {trial.number} replayed identically only at the second attempt"
                return verdict(VerdictState.NOT_REPLAYABLE, reason, None, trial.number)
        except _CannotCreate as error:
            reason = f"the environment cannot be created: {error}"
            return verdict(VerdictState.NOT_REPLAYABLE, reason, None, trial.number)
        except _Differs as error:
            if _varies(trial, catalogue, error.record, heartbeat):
                reason = f"the environment gives other results each time trial {trial.number} is replayed"
                return verdict(VerdictState.NOT_REPLAYABLE, reason, error.record, trial.number)
            reason = f"{error}{_other_versions(trial.recipe)}"
            mismatch = verdict(VerdictState.MISMATCH, reason, error.record, trial.number)
            return replace(mismatch, answer=wire.pack(error.answer).hex())
        steps += len(trial.steps)
        worst = max(worst, apart)
    return verdict(VerdictState.VERIFIED)


def _trials(records: Sequence[Record]) -> list[Episode]:
    """The trials in order.

    Raises:
        _Differs: no graded instance could have written the journal.
    """
    if not records or not isinstance(records[0], Created) or not records[0].recipe.is_graded:
        raise _Differs(0, "record 0 does not create a graded instance")
    trials = episodes_of(records)
    first = trials[0].place if trials else len(records)
    _check_order(records[1:first], 1, 0)
    planned = records[0].recipe.trials
    for trial in trials:
        words = f"record {trial.place} starts trial {trial.number}"
        if trial.number > len(planned):
            raise _Differs(trial.place, f"{words} of {len(planned)}")
        plan = planned[trial.number - 1]
        began = (trial.reset.seed, trial.reset.options, trial.reset.global_seed)
        if wire.pack(began) != wire.pack((plan.seed, plan.options, trial.recipe.global_seed)):
            raise _Differs(trial.place, f"{words} with another seed or other options")
        _check_order(trial.records[1:], trial.place + 1, trial.number)
    return trials


def _check_order(records: Sequence[Record], start: int, trial: int) -> None:
    """Checks the order of the records after a trial's reset.

    Args:
        start: the index in the journal of the first of `records`.
        trial: the number of the trial; 0 for the records before the first.

    Raises:
        _Differs: a record cannot stand in its place.
    """
    last: Step | None = None
    over = not trial
    for index, record in enumerate(records, start):
        if isinstance(record, Created):
            raise _Differs(index, f"record {index} creates the instance again")
        if isinstance(record, Step):
            if over:
                raise _Differs(index, f"record {index} is a step after the end of a trial")
            last, over = record, bool(record.terminated or record.truncated or _is_failed(record))
        elif isinstance(record, Ended) and record.kind != BROKEN:
            if not trial or record.trial != trial:
                raise _Differs(index, f"record {index} ends trial {record.trial}, which is not under way")
            if record.kind == FAILED and (last is None or not _is_failed(last)):
                raise _Differs(index, f"record {index} fails trial {record.trial}, whose rewards are finite")
            over = True


def _agrees(trial: Episode, catalogue: Catalogue, heartbeat: Callable[[], None]) -> bool:
    """Whether a replay is identical. This is faster than `_replay`, but does not find the record that differs.

    Raises:
        _CannotCreate: the environment cannot be created.
    """
    env = _make(trial, catalogue)
    pack, unpack = codec(env.observation_space).pack, codec(env.action_space).unpack

    began = (trial.reset.seed, trial.reset.options, trial.reset.global_seed)

    def reset_agrees() -> bool:
        observation, _ = reset(env, *began)
        return not difference(trial.reset, digest(pack(observation)))

    def steps_agree(steps: list[Step]) -> bool:
        for step in steps:
            observation, reward, terminated, truncated, _ = env.step(unpack(step.action))
            if difference(step, digest(pack(observation)), float(reward), terminated, truncated):
                return False
        return True

    try:
        heartbeat()
        if not _without_error(reset_agrees):
            return False
        for start in range(0, len(trial.steps), HEARTBEAT_STEPS):
            heartbeat()
            if not _without_error(steps_agree, trial.steps[start : start + HEARTBEAT_STEPS]):
                return False
        return True
    finally:
        close(env)


def _without_error(call: Callable[..., bool], *args: object) -> bool:
    """The result of a call, or False if it raises an error."""
    try:
        return call(*args)
    except BaseException as error:
        pass_on_interrupt(error)
        return False


def _make(trial: Episode, catalogue: Catalogue) -> ForeignEnv:
    """A fresh environment for the trial.

    Raises:
        _CannotCreate: it cannot be created.
    """
    try:
        return catalogue.make(trial.recipe)
    except errors.GymserveError as error:
        raise _CannotCreate(str(error)) from error


def _is_failed(step: Step) -> bool:
    return not math.isfinite(step.reward)


def _replay(trial: Episode, catalogue: Catalogue, tolerance: float, heartbeat: Callable[[], None]) -> float:
    """Replays a trial and returns by how much its return differs.

    Raises:
        _Differs: the difference is larger than the tolerance.
        _CannotCreate: the environment cannot be created.
    """
    exact = tolerance == 0
    recorded, replayed = 0.0, 0.0
    for index, record, answer in _with_heartbeat(_answers(trial, catalogue), heartbeat):
        if isinstance(answer, str):
            raise _Differs(index, f"record {index} (trial {trial.number}): {answer}", answer)
        observed, reward, terminated, truncated = answer
        what = difference(record, observed if exact else None, reward, terminated, truncated)
        text = f"the {what} differs"
        is_tolerable = False
        if what == REWARD and isinstance(record, Step):
            text = f"the reward is {reward}, not {record.reward}"
            is_tolerable = not exact and math.isfinite(record.reward) == math.isfinite(reward)
        if what and not is_tolerable:
            raise _Differs(index, f"record {index} (trial {trial.number}): {text}", answer)
        if not exact and isinstance(record, Step) and math.isfinite(reward):
            recorded, replayed = recorded + record.reward, replayed + reward
    apart = abs(recorded - replayed)
    if apart > tolerance:
        text = f"trial {trial.number}: its return differs by {apart:g}, more than the tolerance of {tolerance:g}"
        raise _Differs(trial.place, f"record {trial.place} ({text})", replayed)
    return apart


def _answers(trial: Episode, catalogue: Catalogue) -> Iterator[_Answer]:
    """Replays a trial record by record.

    Yields:
        The record's index, the record, and the replay's (digest, reward, terminated, truncated) or error message.
    """
    env = _make(trial, catalogue)
    observations, actions = codec(env.observation_space), codec(env.action_space)

    def replay(record: Reset | Step) -> tuple[Value, ...]:
        if isinstance(record, Reset):
            observation, _ = reset(env, record.seed, record.options, record.global_seed)
            return digest(observations.pack(observation)), None, None, None
        observation, reward, terminated, truncated, _ = env.step(actions.unpack(record.action))
        return digest(observations.pack(observation)), float(reward), bool(terminated), bool(truncated)

    try:
        for index, record in enumerate(trial.records, trial.place):
            if not isinstance(record, (Reset, Step)):
                continue
            try:
                answer = replay(record)
            except errors.InvalidValue as error:
                yield index, record, str(error)
                return
            except BaseException as error:
                pass_on_interrupt(error)
                yield index, record, f"the environment raised {error_text(error)}"
                return
            yield index, record, answer
    finally:
        close(env)


def _with_heartbeat(answers: Iterator[_Answer], heartbeat: Callable[[], None]) -> Iterator[_Answer]:
    for count, answer in enumerate(answers):
        if count % HEARTBEAT_STEPS == 0:
            heartbeat()
        yield answer


def _varies(trial: Episode, catalogue: Catalogue, until: int, heartbeat: Callable[[], None]) -> bool:
    """Whether two replays up to a record differ from each other."""

    def answers() -> bytes:
        collected = []
        for index, _, answer in _with_heartbeat(_answers(trial, catalogue), heartbeat):
            collected.append(answer)
            if index >= until:
                break
        return wire.pack(collected)

    return answers() != answers()


def _other_versions(recipe: Recipe) -> str:
    """A note on packages whose versions here are not the journal's, or ""."""
    here, there = versions(), recipe.versions
    others = [
        f"{name} {here.get(name, 'none')} instead of {there[name]}"
        for name in sorted(there)
        if name not in ("gymserve", "python") and here.get(name) != there[name]
    ]
    return f" (replayed with {', '.join(others)})" if others else ""
