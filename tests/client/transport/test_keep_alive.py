"""The client's own HTTP gives what urllib3 gives, whatever a server answers, and keeps its connections."""

import contextlib
import gc
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gymserve import client
from gymserve.client.transport.address import Address
from gymserve.client.transport.http import Http
from tests.support.proxies import Listener
from tests.support.servers import Server

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
RESPONSES = {
    "plain": JSON + b"Content-Length: 8\r\n\r\n" + b'{"a": 1}',
    "any case": JSON.lower().replace(b"http/1.1", b"HTTP/1.1") + b"CONTENT-LENGTH:8\r\n\r\n" + b'{"a": 1}',
    "chunks": JSON + b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n5;x=y\r\n": 1}\r\n0\r\nEnd: x\r\n\r\n',
    "until the end": JSON + b'\r\n{"a": 1}',
    "of 1.0": b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "after another": b"HTTP/1.1 100 Continue\r\n\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}",
    "nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "large": b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + 300_000 * b"x",
    "bytes": b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\n\x89PNG",
    "closing": JSON + b"Connection: close\r\nContent-Length: 2\r\n\r\n[]",
    "refusal": JSON.replace(b"200 OK", b"409 No") + b'Content-Length: 37\r\n\r\n{"error": "Conflict", "message": "n"}',
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    "of a proxy": b"HTTP/1.1 503 Away\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nAway",
    "damaged": JSON + b"Content-Length: 3\r\n\r\n{{{",
    "cut": JSON + b'Content-Length: 9\r\n\r\n{"a"',
    "cut in a chunk": JSON + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[1",
    "cut in the head": JSON + b"Content-",
    "garbage": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "no number": b"HTTP/1.1 two OK\r\nContent-Length: 0\r\n\r\n",
    "silence": b"",
}


class Canned(Listener):
    """Answers each request with the same bytes, in pieces; it ends the connection if they say so or are not complete."""

    def __init__(self, response: bytes, *, size: int = 1 << 20, ends: bool = True) -> None:
        super().__init__()
        self.response, self.size, self.ends = response, size, ends
        self.requests: list[bytes] = []

    def serve(self, client: socket.socket) -> None:
        while True:
            request = b""
            while b"\r\n\r\n" not in request:
                data = client.recv(1 << 16)
                if not data:
                    return
                request += data
            self.requests.append(request)
            for start in range(0, len(self.response), self.size):
                client.sendall(self.response[start : start + self.size])
                if self.size < 1 << 20:
                    time.sleep(0.001)
            if self.ends:
                return


def outcome(http: Http, **options: Any) -> Any:
    """What a call returns, or the kind and the status of its error."""
    try:
        return http.call("GET", "/path", **options)
    except client.ServerError as error:
        return type(error), error.status_code


def through_urllib3(address: Address) -> Http:
    http = Http(address, client.Limits(2, 2, 0))
    http._plain = None
    return http


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_is_read_as_urllib3_reads_it(name: str) -> None:
    with Canned(RESPONSES[name]) as server:
        address = Address.of(server.url)
        expected = outcome(through_urllib3(address))
        for size in (1 << 20, max(1, len(server.response) // 15)):
            server.size = size
            http = Http(address, client.Limits(2, 2, 0))
            assert outcome(http) == expected
            http.close()


def test_a_connection_is_used_again_until_the_server_ends_it() -> None:
    with Canned(RESPONSES["plain"], ends=False) as server:
        http = Http(Address.of(server.url), client.Limits(2, 2, 0))
        for _ in range(3):
            assert http.call("GET", "/") == {"a": 1}
        assert len(server.connections) == 1
        server.cut()
        for _ in range(3):
            assert http.call("GET", "/") == {"a": 1}
        assert len(server.connections) == 2
        server.response = RESPONSES["closing"]
        for _ in range(2):
            assert http.call("GET", "/") == []
        assert len(server.connections) == 3
        http.close()


def test_threads_have_connections_of_their_own(server: Server) -> None:
    remote = client.Client(server.url)
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(remote.env_create, ["CartPole-v1"] * 8))
        for _ in range(10):
            assert [len(each) for each in pool.map(remote.env_reset, tokens)] == [4] * 8
        list(pool.map(remote.env_close, tokens))
    assert remote._http._plain is not None and len(remote._http._plain._idle) <= 4
    del remote
    gc.collect()  # an open socket would be a warning


def test_a_request_cannot_hold_another_one() -> None:
    with Canned(RESPONSES["plain"], ends=False) as server:
        remote = client.Client(server.url)
        for token in ("a b", "a\r\nX: y\r\n\r\nGET /secret", "ü", "a#b"):
            with contextlib.suppress(KeyError):
                remote.env_reset(token)
        lines = [request.split(b"\r\n")[0] for request in server.requests]
        assert lines == [
            b"POST /v1/envs/a%20b/reset/ HTTP/1.1",
            b"POST /v1/envs/a%0D%0AX:%20y%0D%0A%0D%0AGET%20/secret/reset/ HTTP/1.1",
            b"POST /v1/envs/%C3%BC/reset/ HTTP/1.1",
            b"POST /v1/envs/a%23b/reset/ HTTP/1.1",
        ]
        assert all(b"\r\nContent-Length: 0\r\n" in request for request in server.requests)


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with Listener() as listener:
        http = Http(Address.of(listener.url), client.Limits(0.1, 0.1, 0))
        with pytest.raises(client.TimedOut, match=r"0\.1 s"):
            http.call("POST", "/", {"large": "x" * 100})
        with pytest.raises(client.NotReachable, match="start one with"):
            Http(Address.of("http://127.0.0.1:1"), client.Limits()).call("GET", "/")


def test_a_refusal_is_read_though_the_body_was_not(server: Server) -> None:
    remote = client.Client(server.url)
    token = remote.env_create("CartPole-v1")
    with pytest.raises(client.ServerError) as caught:
        remote.env_step(token, "x" * 40_000_000)
    assert caught.value.status_code == 413
    remote.env_close(token)
