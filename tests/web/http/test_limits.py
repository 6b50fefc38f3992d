"""Accounts' limits are exact across workers and hosts, and the client waits where waiting helps."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gymserve import client
from tests.support.servers import PASSWORD, Answer, Server, wait_for

pytestmark = pytest.mark.long  # it needs a server with low limits; test_floods.py proves the guarantee


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


SETTINGS = {
    "AUTH": "token", "WORKERS": 3, "ACCOUNT_INSTANCES": 3, "ACCOUNT_STREAMS": 2, "MAX_STREAMS": 3,
    "ACCOUNT_STORAGE_MB": 1, "REQUESTS_PER_MINUTE": 30, "MAX_BODY_BYTES": 2000, "MAX_HEADER_BYTES": 1000,
    "SIGN_UP": True, "SIGN_UPS_PER_HOUR": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with low limits; each test has accounts of its own."""
    server = Server(tmp_path_factory.mktemp("limited"), **SETTINGS)
    yield server
    assert server.stop() == 0


def test_instances_and_storage_of_an_account(limited: Server) -> None:
    server = limited
    key, other, hoarder, thrifty = (server.account(f"instances {name}")[1] for name in "abcd")
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
    token = server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **bearer(hoarder)).json["token"]
    (server.data / "instances" / token / "filler").write_bytes(b"x" * 2**21)
    server.stop()
    server.start()  # earlier instances count, and storage is measured first
    create()
    assert answers[-1].status == 429

    def too_large() -> bool:
        answer = server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **bearer(hoarder))
        if answer.status == 200:  # storage is not measured yet, and the instance must not use up another limit
            server.post(f"/v1/envs/{answer.json['token']}/close/", **bearer(hoarder))
        return answer.status == 429 and "ACCOUNT_STORAGE_MB = 1" in answer.json["message"]

    wait_for(too_large)
    assert server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **bearer(thrifty)).status == 200


def count_until_refused(ask: Callable[[], Answer]) -> tuple[int, Answer]:
    """Return the number of responses before the first refusal, at most 30 and one per two seconds, and the refusal."""
    began = time.monotonic()
    for number in itertools.count():
        answer = ask()
        if answer.status == 429:
            return number, answer
        assert number < 30 + (time.monotonic() - began) / 2 + 1
    raise AssertionError


def test_requests_of_an_account_are_counted_across_workers(limited: Server) -> None:
    server = limited
    (_, key), (_, other) = server.account("requests a"), server.account("requests b")
    good, last = count_until_refused(lambda: server.get("/users/me", **bearer(key)))
    assert good >= 30
    assert "REQUESTS_PER_MINUTE = 30" in last.json["message"] and 0 < last.json["retry_after"] <= 2
    assert last.json["error"] == "TooFast" and last.headers["Retry-After"] in ("1", "2")
    assert server.get("/users/me", **bearer(other)).status == 200
    count_until_refused(lambda: server.get("/users/me"))


def test_wrong_keys_are_limited_in_steps(limited: Server) -> None:
    path = f"/v1/envs/s0.1-{'A' * 22}/step/"
    _, last = count_until_refused(lambda: limited.post(path, {"action": 0}, **bearer("gs_wrong")))
    assert "REQUESTS_PER_MINUTE = 30" in last.json["message"]


@pytest.mark.parametrize(("path", "name"), [("/v1/envs/", "token"), ("/v1/upload/", "api_key")])
def test_wrong_keys_in_bodies_are_limited(limited: Server, path: str, name: str) -> None:
    payload = {name: "wrong", "env_id": "CartPole-v1", "training_dir": "x"}
    _, last = count_until_refused(lambda: limited.post(path, payload))
    assert "REQUESTS_PER_MINUTE = 30" in last.json["message"]


def test_an_accounts_steps_are_limited_over_http_and_streams(start: Any) -> None:
    rate = 4  # low enough for a slow machine to exceed it
    server: Server = start(AUTH="token", STEPS_PER_SECOND=rate, REQUESTS_PER_MINUTE=0)
    _, key = server.account("a")
    tokens = [server.post("/v1/envs/", {"env_id": "Pendulum-v1"}, **bearer(key)).json["token"] for _ in range(3)]
    for token in tokens:
        server.post(f"/v1/envs/{token}/reset/", **bearer(key))
    refused: list[Any] = []
    began, taken = time.monotonic(), 0
    while len(refused) < 30:
        for token in tokens:  # on two hosts
            answer = server.post(f"/v1/envs/{token}/step/", {"action": [0.0]}, **bearer(key))
            if answer.status == 200:
                taken += 1
                assert taken <= rate + rate * (time.monotonic() - began) + len(tokens)
            else:
                refused.append(answer)
                assert answer.status == 429 and f"STEPS_PER_SECOND = {rate}" in answer.json["message"]
    assert taken >= rate and all(0 < answer.json["retry_after"] <= 1 for answer in refused)

    env = client.make("Pendulum-v1", server=server.url, token=key)
    env.reset(seed=0)
    began = time.monotonic()
    for _ in range(3 * rate):
        env.step(np.zeros(1, np.float32))  # the client waits by itself
    assert time.monotonic() - began > 1.5  # the first second's steps may have accumulated
    env.close()


def test_streams_are_limited_per_account_and_in_total(limited: Server) -> None:
    server = limited
    keys = [server.account(f"streams {name}")[1] for name in ("a", "b")]
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
    wait_for(lambda: b" 101 " in attach(0))
    for sock in open_sockets:
        sock.close()


def test_bodies_and_heads(limited: Server) -> None:
    server, key = limited, limited.account("bodies")[1]
    token = server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **bearer(key)).json["token"]
    server.post(f"/v1/envs/{token}/reset/", **bearer(key))
    long = b'{"action": 1, "more": "' + b"x" * 2000 + b'"}'
    for path in (f"/v1/envs/{token}/step/", "/v1/envs/"):
        answer = server.request("POST", path, long, Content_Type="application/json", **bearer(key))
        assert answer.status == 413 and answer.json["message"]
    assert server.get("/health", X_Long="x" * 2000).status in (400, 431)
    chunked = (
        f"POST /v1/envs/{token}/step/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(chunked + b"d\r\n" + b'{"action": 1}' + b"\r\n0\r\n\r\n")
        assert sock.recv(4000).startswith(b"HTTP/1.1 200")
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(chunked + b"bb8\r\n" + b"x" * 3000 + b"\r\n0\r\n\r\n")
        assert sock.recv(4000).startswith(b"HTTP/1.1 413")


def test_sign_ups(limited: Server) -> None:
    def sign_up(email: str, **more: str) -> Answer:
        """Return the response, once anonymous requests are allowed again: other tests use up their limit."""

        def answer() -> Answer | None:
            response = limited.post("/users/", {"email": email, "password": PASSWORD, **more})
            return None if b"REQUESTS_PER_MINUTE" in response.body else response

        return wait_for(answer)

    assert sign_up("new", role="admin").status == 403
    assert sign_up("new").json["role"] == "participant"
    assert sign_up("newer").status == 200
    refused = sign_up("newest")
    assert refused.status == 429 and "SIGN_UPS_PER_HOUR = 3" in refused.json["message"]
    assert 0 < int(refused.headers["Retry-After"]) <= 1200
