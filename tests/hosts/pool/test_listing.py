"""The catalogue is told whatever its environments do when they are made or closed; every fault is caused for real."""

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
SAID = {
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
    """What is answered, without waiting for any environment."""
    began = time.monotonic()
    answer = server.get(path)
    assert answer.status == 200, answer.body
    assert time.monotonic() - began < ENOUGH
    return answer.json


def rows(server: Server) -> dict[str, Any]:
    return {row["id"]: row for row in timely(server, "/v1/environments/")["environments"]}


@pytest.mark.long
def test_whatever_an_environment_does_the_others_are_told(start: Start) -> None:
    server = start(**FAULTY)
    workers = _workers(server)
    quick = set(
        Catalogue(["tests.support.environments.unmakable"]).quick()
    )  # and what other tests have registered in this process
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rows, [server] * 4))
    told = wait_for(lambda: _whole(rows(server), quick))
    assert {f"Unmakable{name}-v0" for name in SAID} < quick & told.keys()
    for name, said in SAID.items():
        for env_id in (f"Unmakable{name}-v0", f"Unclosable{name}-v0"):
            assert said in told[env_id]["missing"] and "action_space" not in told[env_id]
            assert timely(server, f"/v1/environments/{env_id}/") == told[env_id]
    for env_id in ("CartPole-v1", "HalfCheetah-v5", "Faulty-v0"):
        assert told[env_id].items() >= Catalogue().spaces(env_id, {}).items() and told[env_id]["missing"] is None
    restarts = 2 * (2 * 1 + 2 * 2)  # one that ends its host is asked once more, since it may have been another's fault
    assert f"gymserve_host_restarts_total {restarts}" in server.get("/metrics").body.decode()
    assert server.workers() == workers
    server.stop()
    server.start()
    assert rows(server) == told and not server.hosts()  # it was kept


def _workers(server: Server) -> list[int]:
    wait_for(lambda: len(server.workers()) == 2)
    return server.workers()


def _whole(told: dict[str, Any], quick: set[str]) -> dict[str, Any] | None:
    """The rows, if they tell of each either its spaces or why not."""
    found = [told[env_id] for env_id in quick & told.keys()]
    untold = [row for row in found if row["missing"] is None and "action_space" not in row]
    wrong = [row["id"] for row in found if row["missing"] and not row["id"].startswith("Un")]
    assert set(wrong) <= {"Counting-v0", "SharedCounting-v0"}, wrong  # which need to be told a file
    return None if untold else told


@pytest.mark.long
def test_an_experiment_in_one_of_them_is_refused(start: Start) -> None:
    server = start(**FAULTY)
    workers = _workers(server)
    for name in ("Hanging", "Crashing"):
        asked = {"name": "first", "algorithm": "PPO", "environment": f"Unmakable{name}-v0"}
        answer = server.post("/experiments/", asked)
        assert answer.status == 422 and SAID[name] in answer.json["message"], answer.body
    assert server.workers() == workers
