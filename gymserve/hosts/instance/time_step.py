"""A time step: what a reset or a step answers, as one immutable value. dm_env's, with both of Gymnasium's ways to end."""

import enum
from typing import Any

import msgspec
import numpy as np

from gymserve.journal import Reset, Step
from gymserve.protocol import wire
from gymserve.protocol.spaces import jsonable

NO_INFO = wire.pack({})


class StepType(enum.Enum):
    """Where in its episode a time step stands.

    Attributes:
        FIRST: it starts the episode: a reset's answer.
        MID: the episode goes on.
        LAST: it ends the episode.
        EXHAUSTED: no trial is left to start, so there is no observation.
    """

    FIRST = enum.auto()
    MID = enum.auto()
    LAST = enum.auto()
    EXHAUSTED = enum.auto()


FIRST, MID, LAST, EXHAUSTED = StepType


class TimeStep(msgspec.Struct, frozen=True, gc=False):
    """What a reset or a step answers; made by the functions below.

    Attributes:
        observation: packed, see `gymserve.protocol.spaces`.
        reward: of a step; of a vector instance an array of (num_envs,), as are the next two.
        terminated: whether the environment ended the episode.
        truncated: whether the episode was cut off, at a time limit for example.
        info: msgpack.
    """

    step_type: StepType
    observation: Any
    reward: Any
    terminated: Any
    truncated: Any
    info: bytes

    @property
    def is_of_reset(self) -> bool:
        """Whether a reset answered it."""
        return self.step_type is FIRST or self.step_type is EXHAUSTED

    def replace_info(self, info: bytes) -> "TimeStep":
        """The same with another info."""
        return msgspec.structs.replace(self, info=info)


def restart(observation: Any, info: bytes = NO_INFO) -> TimeStep:
    """The first of an episode."""
    return TimeStep(FIRST, observation, None, None, None, info)


def transition(observation: Any, reward: float, info: bytes = NO_INFO) -> TimeStep:
    """One after which the episode goes on."""
    return TimeStep(MID, observation, reward, False, False, info)


def termination(observation: Any, reward: float, info: bytes = NO_INFO, *, truncated: bool = False) -> TimeStep:
    """One with which the environment ends the episode, at its time limit or before."""
    return TimeStep(LAST, observation, reward, True, truncated, info)


def truncation(observation: Any, reward: float, info: bytes = NO_INFO) -> TimeStep:
    """One that cuts the episode off."""
    return TimeStep(LAST, observation, reward, False, True, info)


def ending(observation: Any, reward: float, info: bytes, *, terminated: bool, truncated: bool) -> TimeStep:
    """A termination or a truncation."""
    if terminated:
        return termination(observation, reward, info, truncated=truncated)
    return truncation(observation, reward, info)


def vector_transition(observation: Any, reward: Any, terminated: Any, truncated: Any, info: bytes) -> TimeStep:
    """One of a vector instance, whose copies end their episodes each for itself."""
    return TimeStep(MID, observation, reward, terminated, truncated, info)


def exhausted() -> TimeStep:
    """What a reset answers when no trial is left."""
    return TimeStep(EXHAUSTED, None, None, None, None, NO_INFO)


def of_record(record: Reset | Step, observation: Any, info: bytes) -> TimeStep:
    """The answer to a journal's record, once it was replayed."""
    if isinstance(record, Reset):
        return restart(observation, info)
    reward, terminated, truncated = record.reward, record.terminated, record.truncated
    if isinstance(reward, np.ndarray):
        return vector_transition(observation, reward, terminated, truncated, info)
    if terminated or truncated:
        return ending(observation, reward, info, terminated=terminated, truncated=truncated)
    return transition(observation, reward, info)


def pack_info(info: Any) -> bytes:
    """An environment's `info` as msgpack, whatever it holds."""
    if not info:
        return NO_INFO
    try:
        return wire.pack_info(info)
    except Exception:  # not a dict, or with keys or numbers that msgpack lacks
        return wire.pack(jsonable(info))
