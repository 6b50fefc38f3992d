"""A worker that waits for a host no longer: what the host has not begun by then is not carried out."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gymserve.environments import Catalogue
from gymserve.hosts.pool.instances import Instances
from gymserve.protocol import errors
from gymserve.settings import Settings
from tests.hosts.instance.graders import SEEDS, Grader
from tests.support.environments.faulty import SLOW

TRIAL = [{"seed": SEEDS[0], "options": None, "kwargs": {}}]


@pytest.fixture
def impatient(grader: Grader) -> Iterator[Instances]:
    """What a worker has that waits for half a second."""
    made = Instances(Settings(DATA=str(grader.server.data)), Catalogue(["tests.support.environments.faulty"]))
    made.pool._patience = 0.5
    yield made
    made.pool.supervisor.forget()


def given_up(act: Callable[..., Any], token: str, *args: Any) -> None:
    """Three calls without a `seq`, as of an agent that repeats what was answered with 503."""
    for _ in range(3):
        with pytest.raises(errors.Unavailable, match="steps and episode"):
            act(token, *args)


@pytest.mark.guarantee("a host answers later than a worker waits")
def test_what_waits_while_a_host_is_stopped_is_dropped(grader: Grader, impatient: Instances) -> None:
    token = grader.create("Faulty-v0", trials=TRIAL)
    grader.reset(token)
    grader.step(token)
    hosts = grader.server.hosts()
    for host in hosts:
        os.kill(host, signal.SIGSTOP)
    try:
        given_up(impatient.step, token, 0)
        given_up(impatient.reset, token)
    finally:
        for host in hosts:
            os.kill(host, signal.SIGCONT)
    assert grader.step(token).json["observation"] == [2.0]
    assert (grader.describe(token)["trial"], grader.describe(token)["trial_steps"]) == (1, 2)
    grader.instances.close(token)


@pytest.mark.guarantee("a host answers later than a worker waits")
def test_what_waits_for_a_long_replay_is_dropped(grader: Grader, impatient: Instances) -> None:
    token = grader.create("Faulty-v0", trials=TRIAL)
    grader.reset(token)
    for _ in range(6):
        grader.step(token, SLOW)  # half a second each, also when it is replayed
    grader.kill_hosts()
    given_up(impatient.step, token, 0)
    assert grader.step(token).json["observation"] == [7.0]
    assert grader.describe(token)["trial_steps"] == 7
    grader.instances.close(token)
