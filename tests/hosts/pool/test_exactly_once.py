"""Exactly once: although answers are lost and hosts are killed, each step is carried out once."""

import contextlib
import http.client
import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.exceptions import InvalidHandshake, InvalidMessage, WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.support.proxies import Lossy
from tests.support.servers import Server

STEPS = 60
pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
COUNTING = {
    "ENVIRONMENT_MODULES": ["tests.support.environments.faulty"],
    "ENVIRONMENT_KWARGS": {"Counting-v0": ["file"]},
}


class HttpAgent:
    """Repeats every request over HTTP until it is answered."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token

    def ask(self, call: str, body: dict[str, Any]) -> dict[str, Any]:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                headers = {"Content-Type": "application/json"}
                connection.request("POST", f"/v1/envs/{self.token}/{call}/", json.dumps(body), headers)
                answer = connection.getresponse()
                assert answer.status == 200, answer.read()
                return dict(json.loads(answer.read()))
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()

    def reset(self, seq: int | None) -> list[float]:
        return list(self.ask("reset", {"seq": seq})["observation"])

    def step(self, action: int, seq: int | None) -> list[float]:
        return list(self.ask("step", {"action": action, "seq": seq})["observation"])

    def close(self) -> None:
        pass


class StreamAgent:
    """Reconnects and repeats every request on the stream until it is answered."""

    def __init__(self, port: int, token: str) -> None:
        self.url = f"ws://127.0.0.1:{port}/v1/envs/{token}/stream"
        self.connection: ClientConnection | None = None

    def ask(self, *message: Any) -> Any:
        while True:
            try:
                if self.connection is None:
                    self.connection = connect(self.url).__enter__()
                self.connection.send(pack(message))
                answer = self.connection.recv(timeout=30)
                assert isinstance(answer, bytes)
                decoded = unpack(answer)
                assert decoded[0] == message[0], decoded
                return decoded
            except (OSError, EOFError, WebSocketException, InvalidHandshake, InvalidMessage):
                self.close()

    def reset(self, seq: int | None) -> list[float]:
        return _floats(self.ask(0, seq, None, None)[2])

    def step(self, action: int, seq: int | None) -> list[float]:
        return _floats(self.ask(1, seq, action)[2])

    def close(self) -> None:
        if self.connection is not None:
            with contextlib.suppress(WebSocketException, OSError):
                self.connection.close()
            self.connection = None


def _floats(raw: bytes) -> list[float]:
    return list(map(float, memoryview(raw).cast("d")))


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("data"), **COUNTING)
    yield server
    server.stop()


def run(
    server: Server, agent: type[HttpAgent] | type[StreamAgent], file: Path, seed: int, *, loss: float, numbered: bool,
    disturb: Callable[[int], None] = lambda step: None,
) -> tuple[list[list[float]], int, int]:  # fmt: skip
    """Plays an episode; returns (observations, number of steps that the environment made, number of lost answers)."""
    token = server.create("Counting-v0", kwargs={"file": str(file)})
    chance = random.Random(seed)
    with Lossy(server.port, loss=loss, seed=seed) as proxy, contextlib.closing(agent(proxy.port, token)) as asking:
        seen = [asking.reset(0 if numbered else None)]
        for number in range(1, STEPS + 1):
            disturb(number)
            seen.append(asking.step(chance.randrange(2), number if numbered else None))
    server.post(f"/v1/envs/{token}/close/")
    return seen, len(file.read_text().splitlines()), proxy.lost


UNDISTURBED = [[float(step)] for step in range(STEPS + 1)]


@pytest.mark.guarantee("an answer is lost, and the call repeated")
@pytest.mark.parametrize("seeds", [6, pytest.param(20, marks=pytest.mark.long)])
@pytest.mark.parametrize("agent", [HttpAgent, StreamAgent])
def test_each_step_with_seq_is_carried_out_once(counting: Server, tmp_path: Path, agent: Any, seeds: int) -> None:
    lost_in_all = 0
    for seed in range(seeds):
        seen, stepped, lost = run(counting, agent, tmp_path / f"{seed}", seed, loss=0.1, numbered=True)
        assert seen == UNDISTURBED and stepped == STEPS
        lost_in_all += lost
    assert lost_in_all > seeds  # otherwise the test shows nothing


@pytest.mark.parametrize("agent", [HttpAgent, StreamAgent])
def test_repeated_steps_without_seq_are_carried_out_twice(counting: Server, tmp_path: Path, agent: Any) -> None:
    seen, stepped, lost = run(counting, agent, tmp_path / "steps", 1, loss=0.3, numbered=False)
    assert lost and stepped > STEPS and seen != UNDISTURBED


@pytest.mark.parametrize("agent", [HttpAgent, StreamAgent])
def test_killed_hosts_change_nothing(counting: Server, tmp_path: Path, agent: Any) -> None:
    chance = random.Random(3)

    def kill(step: int) -> None:
        if chance.random() < 0.1:
            for pid in counting.hosts():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    seen, _, lost = run(counting, agent, tmp_path / "steps", 5, loss=0.1, numbered=True, disturb=kill)
    assert seen == UNDISTURBED and lost


def test_http_steps_without_seq_survive_killed_hosts(counting: Server, tmp_path: Path) -> None:
    def kill(step: int) -> None:
        if step % 7 == 0:
            for pid in counting.hosts():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    seen, _, _ = run(counting, HttpAgent, tmp_path / "steps", 5, loss=0.0, numbered=False, disturb=kill)
    assert seen == UNDISTURBED
