"""Limits of accounts: exact, right across workers and hosts, and the client waits where waiting helps."""

import socket
import threading
import time
from typing import Any

import numpy as np
import pytest

import client
from gymserve.hosts.pace import LEASES
from tests.servers import Server, wait_for


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_instances_of_an_account(start: Any) -> None:
    server: Server = start(AUTH="token", ACCOUNT_INSTANCES=3)
    (_, key), (_, other) = server.account("a"), server.account("b")
    tokens = []
    answers = []

    def create() -> None:
        answers.append(server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **bearer(key)))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tokens = [answer.json["token"] for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status != 200]
    assert len(tokens) == 3
    for answer in refused:
        assert answer.status == 429 and "ACCOUNT_INSTANCES = 3" in answer.json["message"]
        assert int(answer.headers["Retry-After"]) >= 1
    assert server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **bearer(other)).status == 200
    assert server.post(f"/v1/envs/{tokens[0]}/close/", **bearer(key)).status == 204
    create()
    assert answers[-1].status == 200
    server.stop()
    server.start()  # what was placed before counts
    create()
    assert answers[-1].status == 429


def test_requests_of_an_account_are_counted_across_workers(start: Any) -> None:
    server: Server = start(AUTH="token", REQUESTS_PER_MINUTE=30, WORKERS=3)
    (_, key), (_, other) = server.account("a"), server.account("b")
    answers = [server.get("/users/me", **bearer(key)) for _ in range(40)]
    good = sum(answer.status == 200 for answer in answers)
    assert 30 <= good <= 33  # one comes back each two seconds
    last = next(answer for answer in answers if answer.status == 429)
    assert "REQUESTS_PER_MINUTE = 30" in last.json["message"] and 0 < last.json["retry_after"] <= 2
    assert last.json["error"] == "TooFast" and last.headers["Retry-After"] in ("1", "2")
    assert server.get("/users/me", **bearer(other)).status == 200
    strangers = [server.get("/users/me").status for _ in range(40)]
    assert strangers.count(401) <= 33 and strangers[-1] == 429


def test_steps_of_an_account_are_paced_over_http_and_streams_alike(start: Any) -> None:
    rate = 100
    server: Server = start(AUTH="token", STEPS_PER_SECOND=rate, REQUESTS_PER_MINUTE=0)
    _, key = server.account("a")
    tokens = [server.post("/v1/envs/", {"env_id": "Pendulum-v1"}, **bearer(key)).json["token"] for _ in range(3)]
    for token in tokens:
        server.post(f"/v1/envs/{token}/reset/", **bearer(key))
    began, taken, refused = time.monotonic(), 0, []
    while time.monotonic() < began + 2:
        for token in tokens:  # on two hosts
            answer = server.post(f"/v1/envs/{token}/step/", {"action": [0.0]}, **bearer(key))
            if answer.status == 200:
                taken += 1
            else:
                refused.append(answer)
                assert answer.status == 429 and f"STEPS_PER_SECOND = {rate}" in answer.json["message"]
    elapsed = time.monotonic() - began
    assert refused and all(0 < answer.json["retry_after"] <= 1 for answer in refused)
    assert taken <= rate + rate * elapsed + rate / LEASES * 2

    env = client.make("Pendulum-v1", server=server.url, token=key)
    env.reset(seed=0)
    began = time.monotonic()
    for _ in range(rate):
        env.step(np.zeros(1, np.float32))  # waits by itself
    assert time.monotonic() - began > 0.5
    env.close()


def test_streams_of_an_account_and_in_all(start: Any) -> None:
    server: Server = start(AUTH="token", ACCOUNT_STREAMS=2, MAX_STREAMS=3)
    keys = [server.account(name)[1] for name in ("a", "b")]
    tokens = [server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **bearer(key)).json["token"] for key in keys]
    open_sockets = []

    def attach(who: int) -> bytes:
        sock = socket.create_connection(("127.0.0.1", server.port))
        open_sockets.append(sock)
        sock.sendall(
            f"GET /v1/envs/{tokens[who]}/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {keys[who]}\r\n\r\n".encode()
        )
        return sock.recv(4000)

    assert b" 101 " in attach(0) and b" 101 " in attach(0)
    refused = attach(0)
    assert b" 429 " in refused and b"ACCOUNT_STREAMS = 2" in refused
    assert b" 101 " in attach(1)
    assert b"MAX_STREAMS = 3" in attach(1)
    open_sockets[0].close()
    wait_for(lambda: b" 101 " in attach(0), 10)
    for sock in open_sockets:
        sock.close()


def test_storage_of_an_account(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server: Server = start(AUTH="token", ACCOUNT_STORAGE_MB=1)
    _, key = server.account("a")
    token = server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **bearer(key)).json["token"]
    (server.data / "instances" / token / "filler").write_bytes(b"x" * 2**21)
    server.stop()
    server.start()  # which measures first
    refused = wait_for(
        lambda: (answer := server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **bearer(key))).status == 429 and answer
    )
    assert "ACCOUNT_STORAGE_MB = 1" in refused.json["message"]
    _, other = server.account("b")
    assert server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **bearer(other)).status == 200


def test_bodies_and_heads(start: Any) -> None:
    server: Server = start(MAX_BODY_BYTES=2000, MAX_HEADER_BYTES=1000)
    token = server.create("CartPole-v1")
    server.post(f"/v1/envs/{token}/reset/")
    long = b'{"action": 1, "more": "' + b"x" * 2000 + b'"}'
    for path in (f"/v1/envs/{token}/step/", "/v1/envs/"):
        answer = server.request("POST", path, long, Content_Type="application/json")
        assert answer.status == 413 and answer.json["message"]
    assert server.get("/health", X_Long="x" * 2000).status in (400, 431)
    chunked = (
        f"POST /v1/envs/{token}/step/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(chunked + b"d\r\n" + b'{"action": 1}' + b"\r\n0\r\n\r\n")
        assert sock.recv(4000).startswith(b"HTTP/1.1 200")
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(chunked + b"bb8\r\n" + b"x" * 3000 + b"\r\n0\r\n\r\n")
        assert sock.recv(4000).startswith(b"HTTP/1.1 413")
