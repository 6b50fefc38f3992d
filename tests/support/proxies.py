"""Networks between an agent, a server and its database in which things go wrong: each is a real TCP listener."""

import contextlib
import itertools
import random
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Self


class Listener:
    """Accepts connections in a thread and serves each in another, until the `with` block ends.

    Attributes:
        connections: the sockets of clients, and of a relay also those to its target, the closed ones included.
    """

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._accepting = threading.Thread(target=self._accept)
        self._serving: list[threading.Thread] = []
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        """Reads, and never answers."""
        while client.recv(1 << 16):
            pass

    def cut(self) -> None:
        """Ends all connections."""
        for each in [*self.connections]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # its thread wakes up, ends, and closes it

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self.connections.append(client)
                self._serving.append(threading.Thread(target=self._run, args=(client,)))
                self._serving[-1].start()

    def _run(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            self.serve(client)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.join(10)
        self.cut()
        for thread in [self._accepting, *self._serving]:
            thread.join(10)
            assert not thread.is_alive()
        self._socket.close()


class Relay(Listener):
    """Passes everything on to a port of 127.0.0.1 and back; subclasses change what arrives, and end connections."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self.target = target

    def request(self, data: bytes, client: socket.socket) -> bytes | None:
        """What the target gets in place of the client's `data`; None ends the connection."""
        return data

    def response(self, data: bytes) -> bytes | None:
        """What the client gets in place of the target's `data`; None ends the connection."""
        return data

    def serve(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.target)) as target:
            self.connections.append(target)
            while True:
                for ready in select.select([client, target], [], [])[0]:
                    data = ready.recv(1 << 20)
                    changed = (self.request(data, client) if ready is client else self.response(data)) if data else None
                    if changed is None:
                        return
                    (target if ready is client else client).sendall(changed)


class Dropping(Relay):
    """Drops every `nth` response and its connection."""

    def __init__(self, target: int, nth: int) -> None:
        super().__init__(target)
        self.nth = nth
        self.dropped = 0
        self._responses = itertools.count(1)

    def response(self, data: bytes) -> bytes | None:
        if next(self._responses) % self.nth:
            return data
        self.dropped += 1
        return None


class Lossy(Relay):
    """Drops responses and their connections at random, except those that open a stream.

    Args:
        loss: the probability that a response is lost.
    """

    def __init__(self, target: int, *, loss: float, seed: int) -> None:
        super().__init__(target)
        self.loss = loss
        self.lost = 0
        self._chance = random.Random(seed)

    def response(self, data: bytes) -> bytes | None:
        if data.startswith(b"HTTP/1.1 101") or self._chance.random() >= self.loss:
            return data
        self.lost += 1
        return None


class NoUpgrades(Relay):
    """Refuses streams as an old proxy does."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.refused = 0

    def request(self, data: bytes, client: socket.socket) -> bytes | None:
        if b"Upgrade: websocket" not in data:
            return data
        self.refused += 1
        client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found")
        return None


class Forward(Relay):
    """A proxy, the only way to `gymserve.test`; without `connects` it opens no tunnels."""

    def __init__(self, target: int, *, connects: bool) -> None:
        super().__init__(target)
        self.connects = connects
        self.requests: list[bytes] = []

    def request(self, data: bytes, client: socket.socket) -> bytes | None:
        if data.startswith((b"CONNECT ", b"GET http", b"POST http")):
            self.requests.append(data)
        if data.startswith(b"CONNECT "):
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n" if self.connects else b"HTTP/1.1 403 No\r\n\r\n")
            return b""
        own = b"127.0.0.1:%d" % self.target  # the server answers to this machine's names only
        whole = data.replace(b" http://gymserve.test:80/", b" /", 1).replace(b"gymserve.test:80", own, 1)
        return whole.replace(b"Host: gymserve.test", b"Host: " + own, 1)


class Prefixed(Relay):
    """Passes on requests below `prefix` without it, and refuses all others, as in front of several applications."""

    def __init__(self, target: int, prefix: str) -> None:
        super().__init__(target)
        self.prefix = prefix.encode()

    def request(self, data: bytes, client: socket.socket) -> bytes | None:
        if data.split(b" ", 1)[0] not in (b"GET", b"POST"):
            return data
        below = b" %b/" % self.prefix
        return data.replace(below, b" /", 1) if below in data else None


class Gate(Relay):
    """Can be shut, which cuts its connections, or silent, when it still accepts but passes nothing on."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.open, self.silent = True, threading.Event()

    def serve(self, client: socket.socket) -> None:
        if self.open:
            super().serve(client)

    def request(self, data: bytes, client: socket.socket) -> bytes | None:
        return self.response(data)

    def response(self, data: bytes) -> bytes | None:
        while self.silent.is_set():
            time.sleep(0.01)
        return data if self.open else None

    def shut(self) -> None:
        self.open = False
        self.cut()

    def __exit__(self, *error: object) -> None:
        self.silent.clear()
        self.shut()
        super().__exit__(*error)


@contextlib.contextmanager
def behind_a_gate(url: str) -> Iterator[tuple[Gate, str]]:
    """(a gate in front of the database at `url`, the URL through the gate)."""
    match = re.search(r"127\.0\.0\.1:(\d+)", url)
    assert match is not None
    with Gate(int(match[1])) as gate:
        yield gate, url.replace(match[0], f"127.0.0.1:{gate.port}")
