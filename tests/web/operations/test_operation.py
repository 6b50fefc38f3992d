"""Health, metrics, and a database that becomes unreachable."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gymserve.accounts.authenticator import CACHE_SECONDS
from tests.conftest import Secured
from tests.support.proxies import Gate, behind_a_gate
from tests.support.servers import Server, wait_for
from tests.support.stopped import Stoppable, stoppable


def metrics(server: Server, **headers: str) -> dict[tuple[str, ...], float]:
    """Return (name, values of the labels in the order of their names…) → value."""
    answer = server.get("/metrics", **headers)
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain")
    values = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            values[(sample.name, *dict(sorted(sample.labels.items())).values())] = sample.value
    return values


@pytest.mark.long
def test_metrics_add_up_over_workers_and_hosts(start: Any) -> None:
    server: Server = start(WORKERS=3)
    tokens = [server.create(name) for name in ("CartPole-v1", "CartPole-v1", "Pendulum-v1")]
    for token in tokens:
        server.post(f"/v1/envs/{token}/reset/")
    for _ in range(5):
        for token in tokens:
            action = 1 if server.get(f"/v1/envs/{token}/").json["environment"] == "CartPole-v1" else [0.0]
            assert server.post(f"/v1/envs/{token}/step/", {"action": action}).status == 200
    server.post(f"/v1/envs/{tokens[0]}/step/", {"action": 7})

    def complete() -> dict[tuple[str, ...], float] | None:
        values = metrics(server)
        good = values.get(("gymserve_request_seconds_count", "v1.step", "POST", "200")) == 15
        return values if good and values.get(("gymserve_step_seconds_count", "CartPole-v1", "total")) == 10 else None

    values = wait_for(complete)
    assert values[("gymserve_request_seconds_count", "v1.step", "POST", "400")] == 1
    assert values[("gymserve_request_seconds_count", "v1.create", "POST", "200")] == 3
    assert values[("gymserve_step_seconds_count", "Pendulum-v1", "journal")] == 5
    below = [
        number
        for (name, *labels), number in values.items()
        if name == "gymserve_step_seconds_bucket" and "CartPole-v1" in labels and "total" in labels
    ]
    assert len(below) == 28 and below == sorted(below) and below[0] == 0 and below[-1] == 10
    parts = [values[("gymserve_step_seconds_sum", "CartPole-v1", part)] for part in ("environment", "journal", "total")]
    assert min(parts) > 0 and parts[0] + parts[1] < parts[2] < 1
    assert values[("gymserve_journal_bytes_total", "CartPole-v1")] > 100
    assert (values[("gymserve_instances",)], values[("gymserve_streams",)], values[("gymserve_hosts",)]) == (3, 0, 2)
    assert values[("gymserve_host_restarts_total",)] == 0
    assert {values[("gymserve_submissions", state)] for state in ("created", "running", "verifying")} == {0}
    assert values[("gymserve_media_orders",)] == 0
    os.kill(server.hosts()[0], signal.SIGKILL)
    for token in tokens:
        server.get(f"/v1/envs/{token}/")
    wait_for(lambda: metrics(server)[("gymserve_host_restarts_total",)] == 1)


def test_health(secured: Secured) -> None:
    server = secured.server
    assert server.get("/health/live").json == {"status": "live"}
    ready = server.get("/health/ready")
    assert ready.status == 200 and ready.json["status"] == "ready"
    assert set(ready.json["checks"]) == {"database", "hosts", "disk"}
    assert server.get("/health").json["status"] == "healthy"


@pytest.mark.guarantee("the database is away")
@pytest.mark.parametrize("database_url", ["postgresql", pytest.param("mariadb", marks=pytest.mark.long)], indirect=True)
def test_stepping_continues_while_the_database_is_unreachable(database_url: str, start: Any) -> None:
    with behind_a_gate(database_url) as (gate, url):
        _step_while_unreachable(gate, url, start)


def _step_while_unreachable(gate: Gate, url: str, start: Any) -> None:
    server: Server = start(AUTH="token", DATABASE=url, WORKERS=1, PRELOAD=False)
    number, key = server.account("a")
    bearer = {"Authorization": f"Bearer {key}"}
    token = server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **bearer).json["token"]
    assert server.post(f"/v1/envs/{token}/reset/", **bearer).status == 200
    project = {"title": "kept", "description": "", "project_type": "pymarl"}
    assert server.post(f"/users/{number}/projects/", project, **bearer).status == 200

    gate.shut()
    away = server.post(f"/users/{number}/projects/", {**project, "title": "lost?"}, **bearer)
    assert away.status == 503 and away.headers["Retry-After"] and "database" in away.json["message"]
    ready = server.get("/health/ready")
    assert ready.status == 503 and not ready.json["checks"]["database"]["ok"] and ready.json["checks"]["hosts"]["ok"]
    for _ in range(5):
        assert server.post(f"/v1/envs/{token}/step/", {"action": 1}, **bearer).status == 200
    assert server.get("/health/live").status == 200

    gate.open = True
    wait_for(lambda: server.get("/health/ready").status == 200)
    titles = [row["title"] for row in server.get(f"/users/{number}/projects/", **bearer).json]
    assert titles == ["kept"]
    assert server.post(f"/users/{number}/projects/", project, **bearer).json["id"] == 2
    server.stop()


@pytest.mark.long
@pytest.mark.guarantee("the database accepts and is silent")
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_stepping_continues_while_the_database_is_silent(database_url: str, start: Any) -> None:
    with behind_a_gate(database_url) as (gate, url):
        _step_while_silent(url, gate.silent, start)


@pytest.mark.long
@pytest.mark.guarantee("the database accepts and is silent")
@pytest.mark.needs("initdb")
def test_stepping_continues_while_the_databases_processes_are_stopped(start: Any) -> None:
    with stoppable() as database:
        _step_while_silent(database.url, database, start)


def _step_while_silent(url: str, silence: threading.Event | Stoppable, start: Any) -> None:
    server: Server = start(AUTH="token", DATABASE=url, WORKERS=1, THREADS=8)
    number, key = server.account("a")
    bearer = {"Authorization": f"Bearer {key}"}
    payload = {"env_id": "Pendulum-v1", "max_episode_steps": 10**6}
    token = server.post("/v1/envs/", payload, **bearer).json["token"]
    assert server.post(f"/v1/envs/{token}/reset/", **bearer).status == 200
    silence.set()
    with ThreadPoolExecutor(20) as others:  # more than there are threads or connections for them
        waiting = [others.submit(server.get, f"/users/{number}/projects/", **bearer) for _ in range(40)]
        forgotten = time.monotonic() + 2 * CACHE_SECONDS
        while time.monotonic() < forgotten:
            assert server.post(f"/v1/envs/{token}/step/", {"action": [0.0]}, **bearer).status == 200
        assert {each.result().status for each in waiting} == {503}
    assert server.get("/users/me", Authorization="Bearer gs_unknown").status == 503
    assert server.get("/health/live").status == 200 and server.get("/health/ready").status == 503
    silence.clear()
    wait_for(lambda: server.get(f"/users/{number}/projects/", **bearer).status == 200)
    server.stop()


@pytest.mark.long
def test_a_stopped_supervisor_is_reported_at_once(start: Any) -> None:
    server: Server = start()
    os.kill(server.supervisor(), signal.SIGSTOP)
    try:
        ready = server.get("/health/ready")
        assert ready.status == 503 and "supervisor does not answer" in ready.json["checks"]["hosts"]["reason"]
    finally:
        os.kill(server.supervisor(), signal.SIGCONT)
    wait_for(lambda: server.get("/health/ready").status == 200)
