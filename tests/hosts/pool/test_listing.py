"""The list of environments is complete even if some fail when they are made or closed; every fault is real."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gymserve.environments import Catalogue
from tests.support.servers import Server, wait_for

Start = Callable[..., Server]
STEP_SECONDS = 5.0
ENOUGH = 60.0  # seconds for a request that may take twice STEP_SECONDS, on a busy machine
REASONS = {
    "Hanging": "a call took longer than STEP_SECONDS",
    "Crashing": "its host was ended by signal",
    "Leaving": "its host ended by itself with exit code 7",
    "Exiting": "enough",
    "Hoarding": "HOST_MEMORY_MB",
    "Failing": "the muscles are tired",
}
FAULTY = {
    "ENVIRONMENT_MODULES": ["tests.support.environments.unmakable"],
    "STEP_SECONDS": STEP_SECONDS,
    "HOST_MEMORY_MB": 512,
}


def timely(server: Server, path: str) -> Any:
    """The answer's JSON, which must come without waiting for an environment."""
    began = time.monotonic()
    answer = server.get(path)
    assert answer.status == 200, answer.body
    assert time.monotonic() - began < ENOUGH
    return answer.json


def rows(server: Server) -> dict[str, Any]:
    return {row["id"]: row for row in timely(server, "/v1/environments/")["environments"]}


@pytest.mark.long
def test_a_faulty_environment_hides_no_other_from_the_list(start: Start) -> None:
    server = start(**FAULTY)
    workers = _workers(server)
    quick = set(
        Catalogue(["tests.support.environments.unmakable"]).quick()
    )  # includes what other tests registered here
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rows, [server] * 4))
    listed = wait_for(lambda: _complete(rows(server), quick))
    assert {f"Unmakable{name}-v0" for name in REASONS} < quick & listed.keys()
    for name, reason in REASONS.items():
        for env_id in (f"Unmakable{name}-v0", f"Unclosable{name}-v0"):
            assert reason in listed[env_id]["missing"] and "action_space" not in listed[env_id]
            assert timely(server, f"/v1/environments/{env_id}/") == listed[env_id]
    for env_id in ("CartPole-v1", "HalfCheetah-v5", "Faulty-v0"):
        assert listed[env_id].items() >= Catalogue().spaces(env_id, {}).items() and listed[env_id]["missing"] is None
    restarts = 2 * (2 * 1 + 2 * 2)  # an environment that ends its host is tried twice, in case another was the cause
    assert f"gymserve_host_restarts_total {restarts}" in server.get("/metrics").body.decode()
    assert server.workers() == workers
    server.stop()
    server.start()
    assert rows(server) == listed and not server.hosts()  # the list was stored


def _workers(server: Server) -> list[int]:
    wait_for(lambda: len(server.workers()) == 2)
    return server.workers()


def _complete(listed: dict[str, Any], quick: set[str]) -> dict[str, Any] | None:
    """The rows, once each has either spaces or a reason why it has none."""
    expected = [listed[env_id] for env_id in quick & listed.keys()]
    pending = [row for row in expected if row["missing"] is None and "action_space" not in row]
    wrong = [row["id"] for row in expected if row["missing"] and not row["id"].startswith("Un")]
    assert set(wrong) <= {"Counting-v0", "SharedCounting-v0"}, wrong  # these need the argument `file`
    return None if pending else listed


@pytest.mark.long
def test_an_experiment_in_a_faulty_environment_is_refused(start: Start) -> None:
    server = start(**FAULTY)
    workers = _workers(server)
    for name in ("Hanging", "Crashing"):
        plan = {"name": "first", "algorithm": "PPO", "environment": f"Unmakable{name}-v0"}
        answer = server.post("/experiments/", plan)
        assert answer.status == 422 and REASONS[name] in answer.json["message"], answer.body
    assert server.workers() == workers
