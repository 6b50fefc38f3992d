"""TCP proxies that lose responses or stall, like networks between an agent, a server and its database."""

import contextlib
import random
import re
import socket
import threading
import time
from collections.abc import Iterator


class LossyProxy:
    """Forwards connections to a port of 127.0.0.1; cuts a connection instead of forwarding some of the server's responses.

    Args:
        loss: the probability that a response of the server is lost, together with its connection.
    """

    def __init__(self, port: int, *, loss: float, seed: int) -> None:
        self.target, self.loss = port, loss
        self.chance = random.Random(seed)
        self.lost = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            for source, sink, answers in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._carry, args=(source, sink, answers), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if answers and not data.startswith(b"HTTP/1.1 101") and self.chance.random() < self.loss:
                    self.lost += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self.listener.close()


class Gate:
    """A TCP proxy that can be shut, which cuts its connections, or silent, when it still accepts but forwards nothing."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.open, self.silent = True, threading.Event()
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
                while self.silent.is_set():
                    time.sleep(0.01)
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
        self.silent.clear()
        self.shut()
        self.listener.close()
        for end in self.pairs:
            end.close()


@contextlib.contextmanager
def behind_a_gate(url: str) -> Iterator[tuple[Gate, str]]:
    """(a gate in front of the database at `url`, the URL through the gate)."""
    match = re.search(r"127\.0\.0\.1:(\d+)", url)
    assert match is not None
    with contextlib.closing(Gate(int(match[1]))) as gate:
        yield gate, url.replace(match[0], f"127.0.0.1:{gate.port}")
