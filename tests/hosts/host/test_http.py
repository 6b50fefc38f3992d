"""The thinking time of an agent whose connection is lent: only the kernel sees when its request has arrived."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from gymserve.journal.records import Spent
from tests.hosts.instance.graders import Grader
from tests.support.servers import wait_for
from tests.web.serving.lent_agents import Agent

PAUSE = 0.5
JITTER = 0.02  # of the kernel's clock


@pytest.fixture
def agent(grader: Grader) -> Iterator[Agent]:
    """An agent in a trial; each step costs it the time since the last response."""
    allowance = {"step_seconds": 0.0, "overage_seconds": 1000.0}
    agent = Agent(grader.server, grader.create("Telltale-v0", allowance=allowance))
    agent.borrow()
    agent.step(0)
    yield agent
    agent.close()


def pause() -> None:
    began = time.monotonic()
    wait_for(lambda: time.monotonic() > began + PAUSE)


def cost(grader: Grader, token: str) -> float:
    """The thinking time of the last step."""
    before, after = [record.left for record in grader.records(token) if isinstance(record, Spent)][-2:]
    return float(before - after)


def test_waiting_for_a_busy_host_is_not_thinking(grader: Grader, agent: Agent) -> None:
    answered, host = time.monotonic(), agent.answerer
    for pid in grader.server.hosts():
        os.kill(pid, signal.SIGSTOP)
    agent.send(agent.request("step", action=0))
    sent = time.monotonic()
    pause()
    for pid in grader.server.hosts():
        os.kill(pid, signal.SIGCONT)
    assert agent.answer()[0] == 200 and agent.answerer == host
    assert cost(grader, agent.token) <= sent - answered + JITTER


def test_half_a_request_does_not_end_thinking(grader: Grader, agent: Agent) -> None:
    request = agent.request("step", action=0)
    agent.send(request[:40])
    pause()
    agent.send(request[40:])
    assert agent.answer()[0] == 200
    assert cost(grader, agent.token) >= PAUSE


def test_a_request_that_comes_back_keeps_its_time(grader: Grader, agent: Agent) -> None:
    answered = time.monotonic()
    request = agent.request("step", action=0).replace(b'{"action": 0}', b'{"\\u0061ction": 0}')
    agent.send(request.replace(b"Content-Length: 13", b"Content-Length: 18"))
    sent = time.monotonic()
    assert agent.answer()[0] == 200
    assert cost(grader, agent.token) <= sent - answered + JITTER
