"""On a lent connection, keys, limits and request counts work as anywhere else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import Server, wait_for
from tests.web.serving.lent_agents import Agent

LIMIT = 40


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    logs = tmp_path_factory.mktemp("logs")
    started = Server(
        tmp_path_factory.mktemp("limited"),
        AUTH="token",
        REQUESTS_PER_MINUTE=LIMIT,
        STEPS_PER_SECOND=200,
        LOG_LEVEL="info",
        LOG_DIR=str(logs),
    )
    yield started
    assert started.stop() == 0


@pytest.fixture
def agent(limited: Server, request: pytest.FixtureRequest) -> Iterator[Agent]:
    """An agent of a new account, whose connection is lent."""
    _, limited.key = limited.account(request.node.name)
    agent = Agent(limited, limited.create("CartPole-v1"))
    agent.borrow()
    yield agent
    agent.close()


@pytest.mark.guarantee("a key is revoked while its connection is lent")
def test_a_revoked_key_is_refused_at_once(limited: Server, agent: Agent) -> None:
    me = limited.get("/users/me").json["id"]
    (key,) = limited.get(f"/users/{me}/keys/").json
    assert agent.step(0)[0] in (200, 409)
    assert limited.request("DELETE", f"/users/{me}/keys/{key['id']}").status == 204
    status, answer = agent.step(0)
    assert (status, answer["error"]) == (401, "Unauthenticated") and agent.reset()[0] == 401


def test_another_keys_end_is_not_noticed(limited: Server, agent: Agent) -> None:
    host = agent.answerer
    keys = f"/users/{limited.get('/users/me').json['id']}/keys/"
    other = limited.post(keys, {"name": "other"}).json["id"]
    assert limited.request("DELETE", f"{keys}{other}").status == 204
    agent.reset()
    assert agent.answerer != host  # it was asked again who sends this
    for _ in range(3):
        assert agent.step(0)[0] == 200
    assert agent.answerer == host


@pytest.mark.long
def test_a_key_that_expires_is_refused(limited: Server) -> None:
    _, limited.key = limited.account("expiring", days=3 / 86400)
    agent = Agent(limited, limited.create("CartPole-v1"))
    agent.borrow()
    assert wait_for(lambda: agent.reset(seed=1)[0] == 401)
    agent.close()


def test_resets_are_logged(limited: Server, agent: Agent) -> None:
    agent.reset()
    assert agent.last is not None
    request_id = agent.last.headers["x-request-id"]
    process = request_id.partition("-")[0]

    def resets() -> dict[str, dict[str, object]]:
        logs = Path(limited.settings["LOG_DIR"]).glob("gymserve-*")
        lines = [json.loads(line) for file in logs for line in file.read_text().splitlines()]
        return {line["request_id"]: line for line in lines if "/reset/" in line["message"]}

    by_host = wait_for(lambda: resets().get(request_id))
    by_worker = next(line for name, line in resets().items() if not name.startswith(process))
    assert by_host["message"] == by_worker["message"]
    assert by_host.keys() == by_worker.keys() and by_host["account"] == limited.get("/users/me").json["id"]


def test_resets_are_counted(limited: Server, agent: Agent) -> None:
    host, statuses = agent.answerer, []
    for _ in range(LIMIT + 10):
        statuses.append(agent.reset()[0])
        if statuses[-1] == 429:
            break
        assert agent.answerer == host
    status, answer = agent.ask("reset")
    assert status == 429 and "REQUESTS_PER_MINUTE" in answer["message"]
    assert len(statuses) >= LIMIT - 10 and agent.step(0)[0] == 200  # steps are not among them


def test_steps_are_counted(limited: Server, agent: Agent) -> None:
    host = agent.answerer

    def refused() -> Any:
        status, answer = agent.step(0)
        assert agent.answerer == host
        return answer if status == 429 else None

    answer = next(each for each in iter(refused, False) if each)
    assert answer["error"] == "TooFast" and "STEPS_PER_SECOND" in answer["message"] and answer["retry_after"] > 0
    assert agent.last is not None and agent.last.headers["retry-after"] == "1"
