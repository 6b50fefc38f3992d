"""A time step: the immutable answer to a reset or a step. It is dm_env's, with Gymnasium's two ways to end an episode."""

import enum
from typing import Any

import msgspec
import numpy as np

from gymserve.journal import Reset, Step
from gymserve.protocol import wire
from gymserve.protocol.spaces import jsonable

NO_INFO = wire.pack({})


class StepType(enum.Enum):
    """The position of a time step in its episode.

    Attributes:
        FIRST: the answer to a reset, which starts the episode.
        MID: a step after which the episode goes on.
        LAST: the step that ends the episode.
        EXHAUSTED: the answer to a reset when no trial is left; it has no observation.
    """

    FIRST = enum.auto()
    MID = enum.auto()
    LAST = enum.auto()
    EXHAUSTED = enum.auto()


FIRST, MID, LAST, EXHAUSTED = StepType


class TimeStep(msgspec.Struct, frozen=True, gc=False):
    """The answer to a reset or a step; the functions below make it.

    Attributes:
        observation: the packed observation, see `gymserve.protocol.spaces`.
        reward: the step's reward; an array of (num_envs,) for a vector instance, as are the next two.
        terminated: whether the environment ended the episode.
        truncated: whether the episode was cut off, for example by a time limit.
        info: the packed `info` dictionary.
    """

    step_type: StepType
    observation: Any
    reward: Any
    terminated: Any
    truncated: Any
    info: bytes

    @property
    def is_of_reset(self) -> bool:
        """Whether this is the answer to a reset."""
        return self.step_type is FIRST or self.step_type is EXHAUSTED

    def replace_info(self, info: bytes) -> "TimeStep":
        """Returns a copy with another info."""
        return msgspec.structs.replace(self, info=info)


def restart(observation: object, info: bytes = NO_INFO) -> TimeStep:
    """The first time step of an episode."""
    return TimeStep(FIRST, observation, None, None, None, info)


def transition(observation: object, reward: float, info: bytes = NO_INFO) -> TimeStep:
    """A time step after which the episode goes on."""
    return TimeStep(MID, observation, reward, False, False, info)


def termination(observation: object, reward: float, info: bytes = NO_INFO, *, truncated: bool = False) -> TimeStep:
    """A time step with which the environment ends the episode."""
    return TimeStep(LAST, observation, reward, True, truncated, info)


def truncation(observation: object, reward: float, info: bytes = NO_INFO) -> TimeStep:
    """A time step that cuts the episode off."""
    return TimeStep(LAST, observation, reward, False, True, info)


def ending(observation: object, reward: float, info: bytes, *, terminated: bool, truncated: bool) -> TimeStep:
    """A termination or a truncation."""
    if terminated:
        return termination(observation, reward, info, truncated=truncated)
    return truncation(observation, reward, info)


def vector_transition(
    observation: object, reward: object, terminated: object, truncated: object, info: bytes
) -> TimeStep:
    """A time step of a vector instance, whose copies end their episodes independently."""
    return TimeStep(MID, observation, reward, terminated, truncated, info)


def exhausted() -> TimeStep:
    """The answer to a reset when no trial is left."""
    return TimeStep(EXHAUSTED, None, None, None, None, NO_INFO)


def of_record(record: Reset | Step, observation: object, info: bytes) -> TimeStep:
    """The time step of a journal's record, with the replayed observation and info."""
    if isinstance(record, Reset):
        return restart(observation, info)
    reward, terminated, truncated = record.reward, record.terminated, record.truncated
    if isinstance(reward, np.ndarray):
        return vector_transition(observation, reward, terminated, truncated, info)
    if terminated or truncated:
        return ending(observation, reward, info, terminated=terminated, truncated=truncated)
    return transition(observation, reward, info)


def pack_info(info: Any) -> bytes:
    """Packs an environment's `info`, whatever it contains."""
    if not info:
        return NO_INFO
    try:
        return wire.pack_info(info)
    except Exception:  # `info` is not a dict, or has keys or numbers that msgpack does not support
        return wire.pack(jsonable(info))
