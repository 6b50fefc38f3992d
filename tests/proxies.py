"""A TCP proxy that loses answers: what networks do between an agent and a server."""

import contextlib
import random
import socket
import threading


class LossyProxy:
    """Passes connections on to a port of 127.0.0.1; cuts one in place of some of the server's answers.

    Args:
        loss: the chance that an answer, already given by the server, is lost and its connection with it.
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
