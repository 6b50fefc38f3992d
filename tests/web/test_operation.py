"""Health, figures, and a database that goes away."""

import contextlib
import os
import re
import signal
import socket
import threading
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Secured
from tests.servers import Server, wait_for


def figures(server: Server, **headers: str) -> dict[tuple[str, ...], float]:
    """(name, labels' values in the order of their names…) → value."""
    answer = server.get("/metrics", **headers)
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            found[(sample.name, *dict(sorted(sample.labels.items())).values())] = sample.value
    return found


def test_figures_add_up_over_workers_and_hosts(start: Any) -> None:
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
        told = figures(server)
        good = told.get(("gymserve_request_seconds_count", "v1.step", "POST", "200")) == 15
        return told if good and told.get(("gymserve_step_seconds_count", "CartPole-v1", "total")) == 10 else None

    told = wait_for(complete, 10)
    assert told[("gymserve_request_seconds_count", "v1.step", "POST", "400")] == 1
    assert told[("gymserve_request_seconds_count", "v1.create", "POST", "200")] == 3
    assert told[("gymserve_step_seconds_count", "Pendulum-v1", "journal")] == 5
    parts = [told[("gymserve_step_seconds_sum", "CartPole-v1", part)] for part in ("environment", "journal", "total")]
    assert min(parts) > 0 and parts[0] + parts[1] < parts[2] < 1
    assert told[("gymserve_journal_bytes_total", "CartPole-v1")] > 100
    assert (told[("gymserve_instances",)], told[("gymserve_streams",)], told[("gymserve_hosts",)]) == (3, 0, 2)
    assert told[("gymserve_host_restarts_total",)] == 0
    assert {told[("gymserve_submissions", state)] for state in ("created", "running", "verifying")} == {0}
    assert told[("gymserve_media_orders",)] == 0
    os.kill(server.hosts()[0], signal.SIGKILL)
    for token in tokens:
        server.get(f"/v1/envs/{token}/")
    wait_for(lambda: figures(server)[("gymserve_host_restarts_total",)] == 1)


def test_health(secured: Secured) -> None:
    server = secured.server
    assert server.get("/health/live").json == {"status": "live"}
    ready = server.get("/health/ready")
    assert ready.status == 200 and ready.json["status"] == "ready"
    assert set(ready.json["checks"]) == {"database", "hosts", "disk"}
    assert server.get("/health").json["status"] == "healthy"


class Gate:
    """A TCP proxy that can be shut, which cuts what goes through it."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.open = True
        self.pairs: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if not self.open:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            self.pairs += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def shut(self) -> None:
        self.open = False
        for end in self.pairs:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.shut()
        self.listener.close()
        for end in self.pairs:
            end.close()


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_while_the_database_is_away_stepping_goes_on(database_url: str, start: Any) -> None:
    match = re.search(r"127\.0\.0\.1:(\d+)", database_url)
    assert match is not None
    gate = Gate(int(match[1]))
    url = database_url.replace(match[0], f"127.0.0.1:{gate.port}")
    server: Server = start(AUTH="token", DATABASE=url, WORKERS=1)
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
    gate.close()
