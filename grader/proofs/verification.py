"""Verification: replays every trial of a journal on fresh environments, and compares what comes out with what was recorded."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grader.challenges.states import VerdictState
from gymserve.environments import Catalogue
from gymserve.environments.foreign import close, error_text, pass_on_interrupt
from gymserve.hosts.versions import versions
from gymserve.journal import Created, Ended, Episode, Record, Reset, Step, episodes_of
from gymserve.journal.records import BROKEN, CRASHED, FAILED, LOST, digest
from gymserve.journal.replay import REWARD, difference, reset
from gymserve.protocol import errors, wire
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.spaces import codec

BREATH = 256  # steps between two calls of `alive`


@dataclass(frozen=True)
class Verdict:
    """What a replay showed.

    Args:
        reason: why it is not verified; "" if it is.
        record: the journal's record, from 0, at which it came out; None: none in particular.
        trial: in which trial, from 1.
        steps: how many were replayed.
        difference: the most by which a trial's replayed return differs from the recorded one.
        tolerance: how much of that the challenge allows.
        answer: what the replay gave at the record, as hexadecimal digits; "": no graded instance writes such a journal.
        sources: what the environment asked for that differs between processes, where that was watched.
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


class _Unmakeable(Exception):
    """The environment cannot be made here."""


class _Differs(Exception):
    """A record says something else than the replay."""

    def __init__(self, record: int, text: str, answer: Any = None) -> None:
        super().__init__(text)
        self.record, self.answer = record, answer


def verify(
    records: Sequence[Record],
    catalogue: Catalogue,
    *,
    tolerance: float = 0.0,
    alive: Callable[[], None] = lambda: None,
) -> Verdict:
    """Replays a graded instance's journal.

    Args:
        tolerance: by how much a trial's return may differ. Where it is not 0, observations are not compared.
        alive: called now and then; what it raises ends the verification.
    """
    began, steps, worst = time.perf_counter(), 0, 0.0

    def verdict(state: VerdictState, reason: str = "", record: int | None = None, trial: int | None = None) -> Verdict:
        return Verdict(state, reason, record, trial, steps, time.perf_counter() - began, worst, tolerance)

    try:
        trials = _trials(records)
    except _Differs as error:
        return verdict(VerdictState.MISMATCH, str(error), error.record)
    for trial in trials:
        if trial.ended is not None and trial.ended.kind in (LOST, CRASHED):  # it does not replay
            continue
        apart = 0.0
        try:
            if tolerance:
                apart = _replay(trial, catalogue, tolerance, alive)
            elif not _agrees(trial, catalogue, alive):
                _replay(trial, catalogue, tolerance, alive)  # says where
                return verdict(
                    VerdictState.NOT_REPLAYABLE,
                    f"trial {trial.number} came out again at a second try only",
                    None,
                    trial.number,
                )
        except _Unmakeable as error:
            return verdict(VerdictState.NOT_REPLAYABLE, f"the environment cannot be made: {error}", None, trial.number)
        except _Differs as error:
            if _wavers(trial, catalogue, error.record, alive):
                reason = f"the environment answers differently each time that trial {trial.number} is replayed"
                return verdict(VerdictState.NOT_REPLAYABLE, reason, error.record, trial.number)
            told = verdict(VerdictState.MISMATCH, f"{error}{_other_versions(trial.recipe)}", error.record, trial.number)
            return replace(told, answer=wire.pack(error.answer).hex())
        steps += len(trial.steps)
        worst = max(worst, apart)
    return verdict(VerdictState.VERIFIED)


def _trials(records: Sequence[Record]) -> list[Episode]:
    """The trials in order.

    Raises:
        _Differs: no graded instance writes such a journal.
    """
    if not records or not isinstance(records[0], Created) or not records[0].recipe.is_graded:
        raise _Differs(0, "record 0 does not make a graded instance")
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
    """Checks what follows the reset of a trial.

    Args:
        start: the place of the first of `records` in the journal.
        trial: its number; 0 before the first.

    Raises:
        _Differs: one of the records cannot stand where it does.
    """
    last: Step | None = None
    over = not trial
    for index, record in enumerate(records, start):
        if isinstance(record, Created):
            raise _Differs(index, f"record {index} makes the instance again")
        if isinstance(record, Step):
            if over:
                raise _Differs(index, f"record {index} is a step after the end of a trial")
            last, over = record, bool(record.terminated or record.truncated or _failed(record))
        elif isinstance(record, Ended) and record.kind != BROKEN:
            if not trial or record.trial != trial:
                raise _Differs(index, f"record {index} ends trial {record.trial}, which is not under way")
            if record.kind == FAILED and (last is None or not _failed(last)):
                raise _Differs(index, f"record {index} fails trial {record.trial}, whose rewards are finite")
            over = True


def _agrees(trial: Episode, catalogue: Catalogue, alive: Callable[[], None]) -> bool:
    """Whether a replay gives the very same; the quick way, which does not say where it differs.

    Raises:
        _Unmakeable: the environment cannot be made.
    """
    env = _made(trial, catalogue)
    pack, unpack = codec(env.observation_space).pack, codec(env.action_space).unpack

    began = (trial.reset.seed, trial.reset.options, trial.reset.global_seed)

    def begins_alike() -> bool:
        observation, _ = reset(env, *began)
        return not difference(trial.reset, digest(pack(observation)))

    def goes_on_alike(steps: list[Step]) -> bool:
        for step in steps:
            observation, reward, terminated, truncated, _ = env.step(unpack(step.action))
            if difference(step, digest(pack(observation)), float(reward), terminated, truncated):
                return False
        return True

    try:
        alive()
        if not _without_error(begins_alike):
            return False
        for start in range(0, len(trial.steps), BREATH):
            alive()
            if not _without_error(goes_on_alike, trial.steps[start : start + BREATH]):
                return False
        return True
    finally:
        close(env)


def _without_error(call: Callable[..., bool], *args: Any) -> bool:
    try:
        return call(*args)
    except BaseException as error:
        pass_on_interrupt(error)
        return False


def _made(trial: Episode, catalogue: Catalogue) -> Any:
    """A fresh environment for the trial.

    Raises:
        _Unmakeable: there is none to be had.
    """
    try:
        return catalogue.make(trial.recipe)
    except errors.GymserveError as error:
        raise _Unmakeable(str(error)) from error


def _failed(step: Step) -> bool:
    return not math.isfinite(step.reward)


def _replay(trial: Episode, catalogue: Catalogue, tolerance: float, alive: Callable[[], None]) -> float:
    """By how much the trial's return differs.

    Raises:
        _Differs: more than the tolerance allows.
        _Unmakeable: the environment cannot be made.
    """
    exact = tolerance == 0
    kept, replayed = 0.0, 0.0
    for index, record, answer in _breathing(_answers(trial, catalogue), alive):
        if isinstance(answer, str):
            raise _Differs(index, f"record {index} (trial {trial.number}): {answer}", answer)
        observed, reward, terminated, truncated = answer
        what = difference(record, observed if exact else None, reward, terminated, truncated)
        forgivable = not exact and what == REWARD and math.isfinite(record.reward) == math.isfinite(reward)
        if what and not forgivable:
            words = f"the {what} is another one" if what != REWARD else f"the reward is {reward}, not {record.reward}"
            raise _Differs(index, f"record {index} (trial {trial.number}): {words}", answer)
        if not exact and isinstance(record, Step) and math.isfinite(reward):
            kept, replayed = kept + record.reward, replayed + reward
    apart = abs(kept - replayed)
    if apart > tolerance:
        text = f"trial {trial.number}: its return differs by {apart:g}, more than the tolerance of {tolerance:g}"
        raise _Differs(trial.place, f"record {trial.place} ({text})", replayed)
    return apart


def _answers(trial: Episode, catalogue: Catalogue) -> Iterator[tuple[int, Record, tuple[Any, ...] | str]]:
    """(place, record, (digest, reward, terminated, truncated) or what went wrong) of a trial's replay."""
    env = _made(trial, catalogue)
    observations, actions = codec(env.observation_space), codec(env.action_space)

    def answered(record: Reset | Step) -> tuple[Any, ...]:
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
                answer = answered(record)
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


def _breathing(answers: Iterator[tuple[int, Any, Any]], alive: Callable[[], None]) -> Iterator[tuple[int, Any, Any]]:
    for count, answer in enumerate(answers):
        if count % BREATH == 0:
            alive()
        yield answer


def _wavers(trial: Episode, catalogue: Catalogue, until: int, alive: Callable[[], None]) -> bool:
    """Whether two replays up to a record give two things."""

    def told() -> bytes:
        found = []
        for index, _, answer in _breathing(_answers(trial, catalogue), alive):
            found.append(answer)
            if index >= until:
                break
        return wire.pack(found)

    return told() != told()


def _other_versions(recipe: Recipe) -> str:
    """The packages of which this machine has other versions than the journal's."""
    here, there = versions(), recipe.versions
    others = [
        f"{name} {here.get(name, 'none')} instead of {there[name]}"
        for name in sorted(there)
        if name not in ("gymserve", "python") and here.get(name) != there[name]
    ]
    return f" (replayed with {', '.join(others)})" if others else ""
