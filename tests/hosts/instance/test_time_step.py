"""Time steps: each constructor sets the step type, time steps are immutable, and journals give equal ones back."""

from typing import Any

import numpy as np
import pytest

from gymserve.hosts.instance import time_step as made
from gymserve.hosts.instance.answers import binary
from gymserve.hosts.instance.time_step import EXHAUSTED, FIRST, LAST, MID, TimeStep
from gymserve.journal import Reset, Step
from gymserve.protocol import wire

INFO = wire.pack({"lives": 3})
RESET = Reset(None, 0, 0.0, 7, None, None)
ARRAYS = np.array([1.0, 2.0]), np.array([True, False]), np.array([False, False])


def record(reward: Any, terminated: Any, truncated: Any) -> Step:
    return Step(None, 0, 1, reward, terminated, truncated, None)


CASES = {
    "restart": (made.restart(b"o", INFO), FIRST, RESET),
    "transition": (made.transition(b"o", 1.5, INFO), MID, record(1.5, False, False)),
    "termination": (made.termination(b"o", 1.5, INFO), LAST, record(1.5, True, False)),
    "termination at the time limit": (made.termination(b"o", 1.5, INFO, truncated=True), LAST, record(1.5, True, True)),
    "truncation": (made.truncation(b"o", 1.5, INFO), LAST, record(1.5, False, True)),
    "vector transition": (made.vector_transition(b"o", *ARRAYS, INFO), MID, record(*ARRAYS)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_replayed_record_gives_the_same_time_step(name: str) -> None:
    time_step, step_type, written = CASES[name]
    assert time_step.step_type is step_type
    assert made.of_record(written, b"o", INFO) == time_step


@pytest.mark.parametrize("name", CASES)
def test_a_time_step_is_immutable(name: str) -> None:
    time_step = CASES[name][0]
    with pytest.raises(AttributeError):
        time_step.info = b""
    other = time_step.replace_info(made.NO_INFO)
    assert (time_step.info, other.info, other.step_type) == (INFO, made.NO_INFO, time_step.step_type)


def test_an_exhausted_time_step_is_a_reset_without_an_observation() -> None:
    time_step: TimeStep = made.exhausted()
    assert time_step.step_type is EXHAUSTED and time_step.is_of_reset
    assert wire.unpack(binary(time_step, 4)) == [wire.RESET, 4, None, {}]
