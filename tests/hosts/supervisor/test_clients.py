"""The supervisor's clients: every request is answered, and no client harms the others."""

import selectors
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from gymserve.hosts.link import Link, LinkClosed, Reply, encode
from gymserve.hosts.messages import EnsureHost, GetStatus
from gymserve.hosts.supervisor.clients import Clients
from gymserve.protocol import errors


class Served:
    """`Clients` with the loop of a supervisor, in a thread."""

    def __init__(self, path: Path, answer: Callable[[Any], Any]) -> None:
        self.path = path
        self.selector = selectors.DefaultSelector()
        self.clients = Clients(path, self.selector, answer)
        self._running = True
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while self._running:
            for key, _ in self.selector.select(0.02):
                key.data()

    def connect(self) -> Link:
        return Link(str(self.path), timeout=30)

    def stop(self) -> None:
        self._running = False
        self._thread.join()
        for each in self.clients.sockets:
            each.close()
        self.selector.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    def answer(request: Any) -> None:
        if request.slot == "full":
            raise errors.LimitReached("there are MAX_INSTANCES = 1 instances already")
        if request.slot == "broken":
            raise OSError("no process can be made")

    running = Served(tmp_path / "supervisor", answer)
    yield running
    running.stop()


def test_an_error_reaches_the_client_as_what_it_is(served: Served) -> None:
    client = served.connect()
    with pytest.raises(errors.LimitReached, match="MAX_INSTANCES = 1"):
        client.call(EnsureHost("full"))
    with pytest.raises(errors.Unavailable, match="ensure: no process can be made"):
        client.call(EnsureHost("broken"))
    assert client.call(EnsureHost("s0")) is None  # the connection still works
    client.close()


def test_a_message_that_cannot_be_read_ends_its_connection_alone(served: Served) -> None:
    broken, other = served.connect(), served.connect()
    broken.socket.sendall(encode(["NoSuchRequest", 1]))
    with pytest.raises(LinkClosed):
        broken.answer(GetStatus())
    assert other.call(EnsureHost("s0")) is None and len(served.clients) == 1
    for each in (broken, other):
        each.close()


def test_a_request_may_arrive_in_pieces_and_several_at_once(served: Served) -> None:
    client = served.connect()
    message = encode(EnsureHost("s0"))
    for byte in message:
        client.socket.sendall(bytes([byte]))
    assert client.answer(EnsureHost("s0")) is None
    client.socket.sendall(message * 3)
    whole = b""
    while len(whole) < 3 * len(reply := encode(Reply(None, None))):
        whole += client.socket.recv(1000)
    assert whole == 3 * reply
    client.close()


def test_a_client_that_has_gone_is_forgotten(served: Served) -> None:
    client, other = served.connect(), served.connect()
    assert client.call(EnsureHost("s0")) is None
    client.socket.shutdown(socket.SHUT_RDWR)
    client.close()
    while len(served.clients) != 1:
        assert other.call(EnsureHost("s0")) is None
    other.close()
