"""Verification: replays every trial of a journal on fresh environments, and compares what comes out with what was recorded."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gymserve import errors, wire
from gymserve.environments import Catalogue
from gymserve.hosts import trials
from gymserve.hosts.versions import versions
from gymserve.journal import Created, Ended, Record, Reset, Step
from gymserve.journal.records import digest
from gymserve.spaces import codec

VERIFIED, MISMATCH, NOT_REPLAYABLE = "verified", "mismatch", "not replayable"
BREATH = 256  # steps between two calls of `alive`


@dataclass(frozen=True)
class Verdict:
    """What a replay showed.

    Args:
        state: verified; mismatch (two replays agree with each other, and not with the journal, or the journal is not
            that of its trials); not replayable (the environment answers differently each time, or cannot be made).
        reason: why it is not verified; "" if it is.
        record: the journal's record, from 0, at which it came out; None: none in particular.
        trial: in which trial, from 1.
        steps: how many were replayed.
        difference: the most by which a trial's replayed return differs from the recorded one.
        tolerance: how much of that the challenge allows.
    """

    state: str
    reason: str = ""
    record: int | None = None
    trial: int | None = None
    steps: int = 0
    seconds: float = 0.0
    difference: float = 0.0
    tolerance: float = 0.0


class _Unmakeable(Exception):
    """The environment cannot be made here."""


class _Differs(Exception):
    """A record says something else than the replay."""

    def __init__(self, record: int, text: str) -> None:
        super().__init__(text)
        self.record = record


@dataclass(frozen=True)
class _Part:
    """A trial's records: its reset, and its steps behind it."""

    number: int
    first: int  # the reset's place in the journal
    reset: Reset
    steps: list[tuple[int, Step]]
    lost: bool


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

    def verdict(state: str, reason: str = "", record: int | None = None, trial: int | None = None) -> Verdict:
        return Verdict(state, reason, record, trial, steps, time.perf_counter() - began, worst, tolerance)

    try:
        meta, parts = _parts(records)
    except _Differs as error:
        return verdict(MISMATCH, str(error), error.record)
    for part in parts:
        if part.lost:
            continue
        difference = 0.0
        try:
            if tolerance:
                difference = _replay(part, meta, catalogue, tolerance, alive)
            elif not _agrees(part, meta, catalogue, alive):
                _replay(part, meta, catalogue, tolerance, alive)  # says where
                return verdict(
                    NOT_REPLAYABLE, f"trial {part.number} came out again at a second try only", None, part.number
                )
        except _Unmakeable as error:
            return verdict(NOT_REPLAYABLE, f"the environment cannot be made: {error}", None, part.number)
        except _Differs as error:
            if _wavers(part, meta, catalogue, error.record, alive):
                reason = f"the environment answers differently each time that trial {part.number} is replayed"
                return verdict(NOT_REPLAYABLE, reason, error.record, part.number)
            return verdict(MISMATCH, f"{error}{_other_versions(meta)}", error.record, part.number)
        steps += len(part.steps)
        worst = max(worst, difference)
    return verdict(VERIFIED)


def _parts(records: Sequence[Record]) -> tuple[dict[str, Any], list[_Part]]:
    """The journal's first record, and its trials in order.

    Raises:
        _Differs: no graded instance writes such a journal.
    """
    if not records or not isinstance(records[0], Created) or not records[0].meta.get("trials"):
        raise _Differs(0, "record 0 does not make a graded instance")
    meta = records[0].meta
    parts: list[_Part] = []
    over = True
    for index, record in enumerate(records[1:], 1):
        if isinstance(record, Created):
            raise _Differs(index, f"record {index} makes the instance again")
        if isinstance(record, Reset):
            number = len(parts) + 1
            if number > len(meta["trials"]):
                raise _Differs(index, f"record {index} starts trial {number} of {len(meta['trials'])}")
            planned = meta["trials"][number - 1]
            if (record.seed, record.options) != (planned["seed"], planned["options"]):
                raise _Differs(index, f"record {index} starts trial {number} with another seed or other options")
            parts.append(_Part(number, index, record, [], False))
            over = False
        elif isinstance(record, Step):
            if over:
                raise _Differs(index, f"record {index} is a step after the end of a trial")
            parts[-1].steps.append((index, record))
            over = bool(record.terminated or record.truncated or not math.isfinite(record.reward))
        elif isinstance(record, Ended) and not record.reason.startswith("broken"):
            if not parts or record.trial != len(parts):
                raise _Differs(index, f"record {index} ends trial {record.trial}, which is not under way")
            if record.reason.startswith("failed") and not (parts[-1].steps and _failed(parts[-1].steps[-1][1])):
                raise _Differs(index, f"record {index} fails trial {record.trial}, whose rewards are finite")
            if record.reason.startswith("lost"):
                last = parts[-1]
                parts[-1] = _Part(last.number, last.first, last.reset, last.steps, True)
            over = True
    return meta, parts


def _agrees(part: _Part, meta: dict[str, Any], catalogue: Catalogue, alive: Callable[[], None]) -> bool:
    """Whether a replay gives the very same; the quick way, which does not say where it differs.

    Raises:
        _Unmakeable: the environment cannot be made.
    """
    env = _made(part, meta, catalogue)
    pack, unpack = codec(env.observation_space).pack, codec(env.action_space).unpack

    def begins_alike() -> bool:
        observation, _ = env.reset(seed=part.reset.seed, options=part.reset.options)
        return digest(pack(observation)) == part.reset.digest

    def goes_on_alike(steps: list[tuple[int, Step]]) -> bool:
        for _, step in steps:
            observation, reward, terminated, truncated, _ = env.step(unpack(step.action))
            if (
                digest(pack(observation)) != step.digest
                or (float(reward) != step.reward and (reward == reward or step.reward == step.reward))
                or terminated != step.terminated
                or truncated != step.truncated
            ):
                return False
        return True

    try:
        alive()
        if not _without_error(begins_alike):
            return False
        for start in range(0, len(part.steps), BREATH):
            alive()
            if not _without_error(goes_on_alike, part.steps[start : start + BREATH]):
                return False
        return True
    finally:
        env.close()


def _without_error(call: Callable[..., bool], *args: Any) -> bool:
    try:
        return call(*args)
    except (Exception, SystemExit):
        return False


def _made(part: _Part, meta: dict[str, Any], catalogue: Catalogue) -> Any:
    """A fresh environment for the trial.

    Raises:
        _Unmakeable: there is none to be had.
    """
    try:
        return trials.make(catalogue, trials.order(meta, part.number - 1))
    except errors.GymserveError as error:
        raise _Unmakeable(str(error)) from error


def _failed(step: Step) -> bool:
    return not math.isfinite(step.reward)


def _replay(
    part: _Part, meta: dict[str, Any], catalogue: Catalogue, tolerance: float, alive: Callable[[], None]
) -> float:
    """By how much the trial's return differs.

    Raises:
        _Differs: more than the tolerance allows.
        _Unmakeable: the environment cannot be made.
    """
    exact = tolerance == 0
    kept, replayed = 0.0, 0.0
    for index, record, answer in _breathing(_answers(part, meta, catalogue), alive):
        if isinstance(answer, str):
            raise _Differs(index, f"record {index} (trial {part.number}): {answer}")
        found, reward, terminated, truncated = answer
        if exact and found != record.digest:
            raise _Differs(index, f"record {index} (trial {part.number}): the observation is another one")
        if not isinstance(record, Step):
            continue
        same = record.reward == reward or (record.reward != record.reward and reward != reward)
        if exact and not same:
            raise _Differs(index, f"record {index} (trial {part.number}): the reward is {reward}, not {record.reward}")
        if (record.terminated, record.truncated) != (terminated, truncated):
            raise _Differs(index, f"record {index} (trial {part.number}): the trial's end is another one")
        if not same and math.isfinite(record.reward) != math.isfinite(reward):
            raise _Differs(index, f"record {index} (trial {part.number}): the reward is {reward}, not {record.reward}")
        if not exact and math.isfinite(reward):
            kept, replayed = kept + record.reward, replayed + reward
    difference = abs(kept - replayed)
    if difference > tolerance:
        text = f"trial {part.number}: its return differs by {difference:g}, more than the tolerance of {tolerance:g}"
        raise _Differs(part.first, f"record {part.first} ({text})")
    return difference


def _answers(
    part: _Part, meta: dict[str, Any], catalogue: Catalogue
) -> Iterator[tuple[int, Reset | Step, tuple[Any, ...] | str]]:
    """(place, record, (digest, reward, terminated, truncated) or what went wrong) of a trial's replay."""
    env = _made(part, meta, catalogue)
    observations, actions = codec(env.observation_space), codec(env.action_space)
    index: int = part.first
    record: Reset | Step = part.reset
    try:
        observation, _ = env.reset(seed=part.reset.seed, options=part.reset.options)
        yield index, record, (digest(observations.pack(observation)), None, None, None)
        for index, record in part.steps:
            observation, reward, terminated, truncated, _ = env.step(actions.unpack(record.action))
            found = digest(observations.pack(observation))
            yield index, record, (found, float(reward), bool(terminated), bool(truncated))
    except errors.InvalidValue as error:
        yield index, record, str(error)
    except (Exception, SystemExit) as error:
        yield index, record, f"the environment raised {type(error).__name__}: {error}"
    finally:
        env.close()


def _breathing(answers: Iterator[tuple[int, Any, Any]], alive: Callable[[], None]) -> Iterator[tuple[int, Any, Any]]:
    for count, answer in enumerate(answers):
        if count % BREATH == 0:
            alive()
        yield answer


def _wavers(part: _Part, meta: dict[str, Any], catalogue: Catalogue, until: int, alive: Callable[[], None]) -> bool:
    """Whether two replays up to a record give two things."""

    def told() -> bytes:
        found = []
        for index, _, answer in _breathing(_answers(part, meta, catalogue), alive):
            found.append(answer)
            if index >= until:
                break
        return wire.pack(found)

    return told() != told()


def _other_versions(meta: dict[str, Any]) -> str:
    """The packages of which this machine has other versions than the journal's."""
    here, there = versions(), meta.get("versions", {})
    others = [
        f"{name} {here.get(name, 'none')} instead of {there[name]}"
        for name in sorted(there)
        if name not in ("gymserve", "python") and here.get(name) != there[name]
    ]
    return f" (replayed with {', '.join(others)})" if others else ""
