"""Floods of requests and malformed bodies do not affect other accounts, and their instances and streams become free.

FLOOD=10000 CUT=1000 python -m pytest -m '' tests/web/serving/test_floods.py    for full numbers; the defaults are smaller
"""

import concurrent.futures
import contextlib
import os
import pickle
import socket
from collections.abc import Iterator

import pytest

from gymserve.hosts.link import Link
from gymserve.hosts.messages import GetStatus
from tests.support.servers import Server, wait_for
from tests.web.challenges.playing import bearer

FLOOD = int(os.environ.get("FLOOD", "400"))  # creations in the long test
CUT = int(os.environ.get("CUT", "40"))  # streams
PLACES = 5


class Flooded:
    """A server with two accounts: one that floods it, and one that works."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.greedy, self.working = (server.account(name)[1] for name in ("greedy", "working"))
        payload = {"env_id": "Pendulum-v1", "max_episode_steps": 10**6}
        self.token = server.post("/v1/envs/", payload, **bearer(self.working)).json["token"]
        server.post(f"/v1/envs/{self.token}/reset/", **bearer(self.working))

    def works(self) -> None:
        path = f"/v1/envs/{self.token}/step/"
        assert self.server.post(path, {"action": [0.0]}, **bearer(self.working)).status == 200


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flooded]:
    limits = {"ACCOUNT_INSTANCES": PLACES, "ACCOUNT_STREAMS": CUT, "REQUESTS_PER_MINUTE": 0, "STREAM_PING_SECONDS": 0.3}
    server = Server(tmp_path_factory.mktemp("flooded"), AUTH="token", **limits)
    yield Flooded(server)
    assert server.stop() == 0


@pytest.mark.guarantee("an account creates without end; streams are cut without a word; bodies cannot be digested")
@pytest.mark.parametrize("number", [40, pytest.param(FLOOD, marks=pytest.mark.long)])
def test_a_flood_of_creations_is_limited_to_its_account(flooded: Flooded, number: int) -> None:
    server, key = flooded.server, bearer(flooded.greedy)
    for token in server.get("/v1/envs/", **key).json["all_envs"]:
        server.post(f"/v1/envs/{token}/close/", **key)

    def create() -> tuple[int, str]:
        answer = server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **key)
        return answer.status, answer.json["token"] if answer.status == 200 else answer.json["message"]

    with concurrent.futures.ThreadPoolExecutor(8) as attackers:
        flood = [attackers.submit(create) for _ in range(number)]
        while not all(each.done() for each in flood):
            flooded.works()
    answers = [each.result() for each in flood]
    tokens = [text for status, text in answers if status == 200]
    assert len(tokens) == PLACES
    refused = {answer for answer in answers if answer[0] != 200}
    assert refused == {(429, f"the account has ACCOUNT_INSTANCES = {PLACES} instances already: close one")}
    assert len(server.get("/v1/envs/", **key).json["all_envs"]) == PLACES
    for token in tokens:
        assert server.post(f"/v1/envs/{token}/close/", **key).status == 204
    assert create()[0] == 200


def attach(flooded: Flooded, token: str, sockets: contextlib.ExitStack) -> bytes:
    """Open a stream and return the status of its handshake; `sockets` closes it."""
    sock = sockets.enter_context(socket.create_connection(("127.0.0.1", flooded.server.port), timeout=60))
    sock.sendall(
        f"GET /v1/envs/{token}/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {flooded.greedy}\r\n\r\n".encode()
    )
    return sock.recv(4000)[9:12]


@pytest.mark.guarantee("an account creates without end; streams are cut without a word; bodies cannot be digested")
def test_broken_streams_stop_counting(flooded: Flooded) -> None:
    """To the server, a cut cable is a socket that sends nothing any more, not even that it is closed."""
    key = bearer(flooded.greedy)
    listed = list(flooded.server.get("/v1/envs/", **key).json["all_envs"])
    token = listed[0] if listed else flooded.server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **key).json["token"]
    supervisor = Link((flooded.server.data / "supervisor").read_text() + "/supervisor", timeout=60)
    with contextlib.closing(supervisor), contextlib.ExitStack() as sockets:
        for _ in range(2):
            assert {attach(flooded, token, sockets) for _ in range(CUT)} == {b"101"}
            flooded.works()
            wait_for(lambda: supervisor.call(GetStatus()).streams == 0)  # though no socket was closed


DEEP = 10**5
MALFORMED = {
    "a hundred thousand lists": b'{"env_id": "CartPole-v1", "kwargs": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a hundred thousand objects": b'{"action": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "an integer of a hundred thousand digits": b'{"action": ' + b"9" * DEEP + b"}",
    "a number beyond infinity": b'{"action": 1e999, "env_id": 1e999}',
    "half a character": b'{"action": "\\ud800", "env_id": "\xff"}',
    "a pickle": pickle.dumps({"action": 1, "env_id": "CartPole-v1"}),
    "a key twice": b'{"action": 0, "action": [], "env_id": "x", "env_id": "CartPole-v1", "num_envs": -1}',
}


@pytest.mark.guarantee("an account creates without end; streams are cut without a word; bodies cannot be digested")
@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_bodies_are_refused_and_end_nothing(flooded: Flooded, what: str) -> None:
    hosts = flooded.server.hosts()
    for path in ("/v1/envs/", f"/v1/envs/{flooded.token}/step/", f"/v1/envs/{flooded.token}/reset/"):
        answer = flooded.server.request(
            "POST", path, MALFORMED[what], Content_Type="application/json", **bearer(flooded.working)
        )
        assert answer.status in (200, 400), (path, answer.status, answer.body[:300])
        assert answer.status != 200 or path.endswith("/reset/")  # a reset needs no body
    flooded.works()
    assert set(hosts) <= set(flooded.server.hosts())


def test_a_body_of_a_gibibyte_is_refused_before_it_is_sent(flooded: Flooded) -> None:
    head = (
        f"POST /v1/envs/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {flooded.working}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {2**30}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", flooded.server.port), timeout=60) as sock:
        sock.sendall(head.encode() + b"{")
        assert sock.recv(4000).startswith(b"HTTP/1.1 413")
    flooded.works()
