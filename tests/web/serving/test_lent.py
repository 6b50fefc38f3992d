"""Lent connections: an agent that steps on one connection reads what it would read from a web worker, whatever ends."""

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.hosts.supervisor.faulty_servers import FAULTY, kill_hosts, reset, step
from tests.support.environments import faulty as faults
from tests.support.servers import Server, alive, wait_for
from tests.web.serving.lent_agents import Agent, Reply, metric

Connect = Callable[..., Agent]
WAYS = pytest.mark.parametrize(
    "first_seq", [pytest.param(None, id="without seq"), pytest.param(0, id="with seq", marks=pytest.mark.long)]
)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of faulty environments, whose processes tests may kill."""
    started = Server(tmp_path_factory.mktemp("faulty"), STEP_SECONDS=2, RESTART_SECONDS=0, **FAULTY)
    yield started
    assert started.stop() == 0


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects agents; their connections are closed after the test."""
    agents: list[Agent] = []

    def connected(*args: Any, **more: Any) -> Agent:
        agents.append(Agent(*args, **more))
        return agents[-1]

    yield connected
    for agent in agents:
        agent.close()


def numbered(seq: int | None) -> dict[str, Any]:
    return {} if seq is None else {"seq": seq}


def of_worker(server: Server, action: int, first_seq: int | None) -> tuple[Reply, Reply]:
    """What an agent whose connection is not lent reads for a faulty action, and for the good one that follows."""
    token = server.create("SharedFaulty-v0")
    reset(server, token, **numbered(first_seq))
    answers = []
    for number, each in enumerate((faults.WELL, action, faults.WELL), start=1):
        seq = None if first_seq is None else first_seq + min(number, 2)  # a step that fails uses none
        answers.append(step(server, token, each, **numbered(seq)))
    return (answers[1].status, answers[1].json), (answers[2].status, answers[2].json)


def test_a_host_answers_steps_and_resets_itself(server: Server, connect: Connect) -> None:
    agent, token = connect(server, server.create("CartPole-v1")), server.create("CartPole-v1")
    agent.borrow()
    host = agent.answerer
    for seed in range(3):
        assert agent.reset(seed=seed) == (200, reset(server, token, seed=seed).json)
        for _ in range(30):
            plain = step(server, token, 1)
            assert agent.step(1) == (plain.status, plain.json)
            assert agent.last is not None
            assert agent.last.headers.keys() == {name.lower() for name in plain.headers} and agent.answerer == host
    assert agent.step("left")[0] == 400 == agent.ask("step", act=1)[0]


def test_responses_have_the_same_headers(server: Server, connect: Connect) -> None:
    agent = connect(server, server.create("CartPole-v1"))
    worker = {}
    for call, parameters in (("reset", {}), ("step", {"action": 1}), ("step", {"action": 7})):
        agent.ask(call, **parameters)
        assert agent.last is not None
        worker[call, *parameters.values()] = agent.last
    agent.borrow()
    for (call, *values), last in worker.items():
        agent.ask(call, **({"action": values[0]} if values else {}))
        ours = agent.last
        assert ours is not None and ours.status == last.status
        changing = ("date", "x-request-id", "x-process-time", "content-length")
        kept = [{n: v for n, v in each.headers.items() if n not in changing} for each in (ours, last)]
        assert kept[0] == kept[1] and ours.headers.keys() == last.headers.keys()


def test_msgpack_is_answered_in_msgpack(server: Server, connect: Connect) -> None:
    agents = [connect(server, server.create("Pendulum-v1"), packs=True) for _ in range(2)]
    action = np.zeros(1, np.float32).tobytes()
    agents[0].borrow(action)
    host = agents[0].answerer
    calls: list[dict[str, Any]] = [
        {"seed": 3},
        {"action": action},
        {"action": b"x"},
        {"action": action, "render": 5},
        {},
    ]
    for parameters in calls:
        call = "reset" if "seed" in parameters else "step"
        answers = [agent.ask(call, **parameters) for agent in agents]
        assert answers[0] == answers[1], parameters
        is_ordinary = not parameters.keys() - {"seed", "action"} and bool(parameters)
        assert (agents[0].answerer == host) is is_ordinary and agents[1].answerer != host
    assert isinstance(agents[0].ask("reset", seed=3)[1]["observation"], bytes)


@WAYS
@pytest.mark.parametrize(
    "action",
    [faults.RAISE, faults.SEGFAULT, pytest.param(faults.HANG, marks=pytest.mark.long)],
    ids=["raises", "crashes", "hangs"],
)
def test_a_failing_step_is_answered_the_same(
    faulty: Server, connect: Connect, action: int, first_seq: int | None
) -> None:
    expected = of_worker(faulty, action, first_seq)
    agent = connect(faulty, faulty.create("SharedFaulty-v0"))
    seq = agent.borrow(faults.WELL, first_seq)
    count = agent.step(faults.WELL, **numbered(seq))[1]["observation"][0]
    following = None if seq is None else seq + 1
    restarts = metric(faulty, "gymserve_host_restarts_total")
    failed = agent.step(action, **numbered(following))
    assert failed == expected[0]
    if action == faults.HANG:  # it is not tried again
        assert metric(faulty, "gymserve_host_restarts_total") == restarts + 1
    status, answer = agent.step(faults.WELL, **numbered(following))
    assert (status, answer["observation"]) == (200, [count + 1])
    assert expected[1][1]["observation"] == [2.0]


@pytest.mark.guarantee("a host that a connection was lent to ends")
@WAYS
def test_a_host_killed_in_mid_step_is_not_noticed(faulty: Server, connect: Connect, first_seq: int | None) -> None:
    agent = connect(faulty, faulty.create("SharedFaulty-v0"))
    seq = agent.borrow(faults.WELL, first_seq)
    count = agent.step(faults.WELL, **numbered(seq))[1]["observation"][0]
    agent.send(agent.request("step", action=faults.SLOW, **numbered(None if seq is None else seq + 1)))
    assert not agent_is_answered(agent)
    kill_hosts(faulty)
    status, answer = agent.answer()
    assert (status, answer["observation"]) == (200, [count + 1])
    status, answer = agent.step(faults.WELL, **numbered(None if seq is None else seq + 2))
    assert (status, answer["observation"]) == (200, [count + 2])


@pytest.mark.guarantee("a host that a connection was lent to ends")
@WAYS
def test_a_step_in_the_journal_of_a_dead_host_is_not_repeated(
    faulty: Server, connect: Connect, first_seq: int | None
) -> None:
    agent = connect(faulty, faulty.create("Dying-v0"))
    seq = agent.borrow(faults.WELL, first_seq)
    count = agent.step(faults.WELL, **numbered(seq))[1]["observation"][0]
    host = agent.answerer
    status, answer = agent.step(faults.SLOW, **numbered(None if seq is None else seq + 1))
    assert (status, answer["observation"]) == (200, [count + 1]) and agent.answerer != host
    status, answer = agent.step(faults.WELL, **numbered(None if seq is None else seq + 2))
    assert (status, answer["observation"]) == (200, [count + 2])


def agent_is_answered(agent: Agent, seconds: float = 0.2) -> bool:
    agent.socket.settimeout(seconds)
    try:
        return bool(agent.socket.recv(1, 2))  # MSG_PEEK
    except TimeoutError:
        return False
    finally:
        agent.socket.settimeout(60)


@WAYS
def test_a_neighbours_crash_is_not_noticed(faulty: Server, connect: Connect, first_seq: int | None) -> None:
    agents = [connect(faulty, faulty.create("SharedFaulty-v0")) for _ in range(2)]
    seq, _ = [agent.borrow(faults.WELL, first_seq) for agent in agents]
    count = agents[0].step(faults.WELL, **numbered(seq))[1]["observation"][0]
    agents[1].send(agents[1].request("step", action=faults.SLOW, **numbered(seq)))  # keeps the host busy
    agents[0].send(agents[0].request("step", action=faults.WELL, **numbered(None if seq is None else seq + 1)))
    agents[1].send(agents[1].request("step", action=faults.SEGFAULT, **numbered(None if seq is None else seq + 1)))
    status, answer = agents[0].answer()
    assert (status, answer["observation"]) == (200, [count + 1])
    assert agents[1].answer()[0] == 200 and agents[1].answer()[0] == 500


@WAYS
def test_a_killed_worker_ends_its_connections_only(faulty: Server, connect: Connect, first_seq: int | None) -> None:
    token = faulty.create("SharedFaulty-v0")
    agent = connect(faulty, token)
    seq = agent.borrow(faults.WELL, first_seq)
    count = agent.step(faults.WELL, **numbered(seq))[1]["observation"][0]
    for pid in faulty.workers():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(EOFError):
        agent.read()
    wait_for(lambda: len([pid for pid in faulty.workers() if alive(pid)]) == 2)
    again = connect(faulty, token)
    repeated = again.step(faults.WELL, **numbered(seq))
    assert repeated[1]["observation"] == [count + (seq is None)]


def test_a_request_that_comes_back_is_answered_by_the_worker(server: Server, connect: Connect) -> None:
    agent = connect(server, server.create("CartPole-v1"))
    agent.borrow()
    agent.send(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert agent.read().status == 200
    for spelling in ('{"action": 1, "render": "x"}', '{"\\u0061ction": 1}', '{"action": 1, "action": 1}', "nothing"):
        agent.send(agent.request("step", action=0).partition(b"Content-Length")[0])
        agent.send(f"Content-Length: {len(spelling)}\r\n\r\n{spelling}".encode())
        assert agent.read().status == (200 if "u0061" in spelling or "render" in spelling else 400)
    agent.send(agent.request("close"))
    assert agent.read().status == 204
    assert agent.step(1) == (400, {"message": f"Instance_id {agent.token} unknown", "error": "UnknownInstance"})


def test_requests_may_be_cut_and_sent_together(server: Server, connect: Connect) -> None:
    agent = connect(server, server.create("CartPole-v1"))
    agent.borrow()
    host = agent.answerer
    request = agent.request("reset", seed=1)
    for end in range(1, len(request), 7):
        agent.send(request[:end])
        assert not agent_is_answered(agent, 0.002)
        agent.send(request[end:])
        assert agent.answer()[0] == 200
    assert agent.answerer == host
    agent.send(3 * agent.request("step", action=0) + b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert [agent.read().status for _ in range(4)] == [200] * 4


def test_two_agents_of_an_instance_take_turns(server: Server, connect: Connect) -> None:
    token = server.create("CartPole-v1")
    agents = [connect(server, token) for _ in range(2)]
    for agent in agents:
        agent.borrow()
    assert agents[0].reset(seed=3)[0] == 200
    seen = [agents[index % 2].step(index % 2)[1]["observation"] for index in range(10)]
    other = server.create("CartPole-v1")
    reset(server, other, seed=3)
    assert seen == [step(server, other, index % 2).json["observation"] for index in range(10)]


def test_unlike_requests_are_not_lent_for_long(server: Server, connect: Connect) -> None:
    agent = connect(server, server.create("CartPole-v1"))
    agent.reset()
    workers = {agent.answerer}
    lent = 0
    for _ in range(60):
        assert agent.step(0)[0] in (200, 409)
        lent += agent.answerer not in workers
        agent.send(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert agent.read().status == 200
    assert lent <= 4


def test_a_request_id_of_the_client_is_kept(server: Server, connect: Connect) -> None:
    agent = connect(server, server.create("CartPole-v1"), headers="X-Request-Id: mine\r\n")
    agent.reset()
    for _ in range(6):
        agent.step(0)
        assert agent.last is not None and agent.last.headers["x-request-id"] == "mine"


@pytest.mark.long
def test_a_stopping_server_answers_what_was_sent(start: Any, connect: Connect) -> None:
    server = start(SHUTDOWN_SECONDS=900, **FAULTY)  # the worker must not wait for the idle one
    idle, busy = (connect(server, server.create("SharedFaulty-v0")) for _ in range(2))
    for agent in (idle, busy):
        agent.borrow()
    busy.send(busy.request("step", action=faults.SLOW))
    assert not agent_is_answered(busy, 0.05)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert busy.answer()[0] == 200
    for agent in (idle, busy):
        with pytest.raises(EOFError):
            agent.read()
    stopping.join()
    assert server.process.returncode == 0


def test_a_half_closed_connection_is_closed(server: Server, connect: Connect) -> None:
    agent = connect(server, server.create("CartPole-v1"))
    agent.borrow()
    agent.send(agent.request("step", action=0))
    agent.socket.shutdown(1)
    assert agent.answer()[0] == 200
    with pytest.raises(EOFError):
        agent.read()


def test_a_client_that_leaves_in_mid_step_harms_nobody(faulty: Server, connect: Connect) -> None:
    token = faulty.create("SharedFaulty-v0")
    agents = [connect(faulty, token) for _ in range(3)]
    for agent in agents:
        agent.borrow(faults.WELL)
    agents[0].send(agents[0].request("step", action=faults.SLOW))
    assert not agent_is_answered(agents[0], 0.05)
    agents[0].close()
    agents[1].socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    agents[1].close()  # with a reset
    host = agents[2].answerer
    assert agents[2].step(faults.WELL)[0] == 200 and agents[2].answerer == host


@pytest.mark.long
def test_half_sent_requests_end_as_on_other_connections_and_delay_nobody(server: Server, connect: Connect) -> None:
    token = server.create("CartPole-v1")
    halves, working = [connect(server, token) for _ in range(40)], connect(server, server.create("CartPole-v1"))
    for agent in (*halves, working):
        agent.borrow()
    for agent in halves:
        agent.send(agent.request("step", action=0)[:-3])
    began = time.monotonic()
    while time.monotonic() < began + 5:
        assert working.step(0)[0] in (200, 409)
    for agent in halves:
        with pytest.raises(EOFError):
            agent.read()
    assert time.monotonic() < began + 60
