"""Networks between an agent and its server in which things go wrong: each is a real TCP listener."""

import contextlib
import itertools
import select
import socket
import threading
from collections.abc import Callable
from typing import Self


class Listener:
    """Accepts connections in a thread and serves each in another, until the `with` block ends."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self._open.append(client)
                self._threads.append(threading.Thread(target=self._run, args=(client,)))
                self._threads[-1].start()

    def _run(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            self._serve(client)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *error: object) -> None:
        for each in [self._socket, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # its thread wakes up, ends, and closes it
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self._socket.close()


class Dropping(Listener):
    """Passes everything on, but drops every `nth` response and its connection."""

    def __init__(self, port: int, nth: int) -> None:
        super().__init__(self._pass_on)
        self.port = port
        self.nth = nth
        self.dropped = 0
        self._answers = itertools.count(1)

    def _pass_on(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 20)
                    if not data:
                        return
                    if ready is server and next(self._answers) % self.nth == 0:
                        self.dropped += 1
                        return
                    (client if ready is server else server).sendall(data)


class NoUpgrades(Listener):
    """Passes HTTP on, and refuses streams as an old proxy does."""

    def __init__(self, port: int) -> None:
        super().__init__(self._pass_on)
        self.port = port
        self.refused = 0

    def _pass_on(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 20)
                    if not data:
                        return
                    if ready is client and b"Upgrade: websocket" in data:
                        self.refused += 1
                        client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found")
                        return
                    (client if ready is server else server).sendall(data)


class Forward(Listener):
    """A proxy, the only way to `gymserve.test`; without `connects` it opens no tunnels."""

    def __init__(self, port: int, *, connects: bool) -> None:
        super().__init__(self._pass_on)
        self.port = port
        self.connects = connects
        self.requests: list[bytes] = []

    def _pass_on(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 20)
                    if not data:
                        return
                    if ready is client and data.startswith((b"CONNECT ", b"GET http", b"POST http")):
                        self.requests.append(data)
                    if data.startswith(b"CONNECT ") and ready is client:
                        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n" if self.connects else b"HTTP/1.1 403 No\r\n\r\n")
                        continue
                    # The server answers to this machine's names only.
                    own = b"127.0.0.1:%d" % self.port
                    whole = data.replace(b" http://gymserve.test:80/", b" /", 1).replace(b"gymserve.test:80", own, 1)
                    whole = whole.replace(b"Host: gymserve.test", b"Host: " + own, 1)
                    (client if ready is server else server).sendall(whole if ready is client else data)


class Prefixed(Listener):
    """Passes on requests below `prefix` without it, and refuses all others, as in front of several applications."""

    def __init__(self, port: int, prefix: str) -> None:
        super().__init__(self._pass_on)
        self.port = port
        self.prefix = prefix.encode()

    def _pass_on(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 20)
                    asks = data.split(b" ", 1)[0] in (b"GET", b"POST")
                    if not data or (ready is client and asks and b" %b/" % self.prefix not in data):
                        return
                    whole = data.replace(b" %b/" % self.prefix, b" /", 1) if ready is client and asks else data
                    (client if ready is server else server).sendall(whole)


def silent() -> Listener:
    """Accepts, reads, and never answers."""

    def serve(client: socket.socket) -> None:
        while client.recv(1 << 16):
            pass

    return Listener(serve)
