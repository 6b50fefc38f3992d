"""When a worker gives up waiting for a host, the host does not carry out calls that it has not begun."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gymserve.hosts.pool.instances import Instances
from gymserve.protocol import errors
from gymserve.settings import Settings
from tests.hosts.instance.graders import FAULTY, SEEDS, Grader
from tests.support.environments.faulty import SLOW

TRIAL: list[dict[str, object]] = [{"seed": SEEDS[0], "options": None, "kwargs": {}}]


@pytest.fixture
def impatient(grader: Grader) -> Iterator[Instances]:
    """The instances of a worker that waits only half a second for hosts."""
    made = Instances.of(Settings(DATA=str(grader.server.data), **FAULTY))
    made.pool._patience = 0.5
    yield made
    made.pool.supervisor.forget()


def give_up_three_times(act: Callable[..., Any], token: str, *args: Any) -> None:
    """Makes three calls without a `seq`, like an agent that repeats a call after each 503."""
    for _ in range(3):
        with pytest.raises(errors.Unavailable, match="steps and episode"):
            act(token, *args)


@pytest.mark.guarantee("a host answers later than a worker waits")
def test_calls_given_up_while_a_host_is_stopped_are_dropped(grader: Grader, impatient: Instances) -> None:
    token = grader.create("Faulty-v0", trials=TRIAL)
    grader.reset(token)
    grader.step(token)
    hosts = grader.server.hosts()
    for host in hosts:
        os.kill(host, signal.SIGSTOP)
    try:
        give_up_three_times(impatient.step, token, 0)
        give_up_three_times(impatient.reset, token)
    finally:
        for host in hosts:
            os.kill(host, signal.SIGCONT)
    assert grader.step(token).json["observation"] == [2.0]
    assert (grader.describe(token)["trial"], grader.describe(token)["trial_steps"]) == (1, 2)
    grader.instances.close(token)


@pytest.mark.guarantee("a host answers later than a worker waits")
def test_calls_given_up_during_a_long_replay_are_dropped(grader: Grader, impatient: Instances) -> None:
    token = grader.create("Faulty-v0", trials=TRIAL)
    grader.reset(token)
    for _ in range(6):
        grader.step(token, SLOW)  # takes half a second, also during the replay
    grader.kill_hosts()
    give_up_three_times(impatient.step, token, 0)
    assert grader.step(token).json["observation"] == [7.0]
    assert grader.describe(token)["trial_steps"] == 7
    grader.instances.close(token)
