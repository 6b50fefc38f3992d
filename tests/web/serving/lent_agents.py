"""An agent whose connection is lent to its instance's host, for tests."""

import json
import socket
from typing import Any, NamedTuple

import msgspec

from tests.support.servers import Server

Reply = tuple[int, Any]  # status, body


class Response(NamedTuple):
    """One response: its status, its headers with lower-case names, and its body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A connection to a server that stays open."""

    def __init__(self, server: Server, timeout: float = 60.0) -> None:
        self.server = server
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> Response:
        """Reads one response.

        Raises:
            EOFError: the connection has ended.
        """
        while b"\r\n\r\n" not in self.received:
            self._receive()
        head, _, rest = self.received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status, self.received = int(first.split(" ")[1]), rest
        length = int(headers.get("content-length", 0)) if status >= 200 else 0
        while len(self.received) < length:
            self._receive()
        body, self.received = self.received[:length], self.received[length:]
        return Response(status, headers, body)

    def _receive(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise EOFError(f"the connection ended after {self.received!r}")
        self.received += data

    def close(self) -> None:
        self.socket.close()


class Agent(Connection):
    """Resets and steps an instance on one connection.

    Args:
        headers: more lines of each request's head.
        packs: whether to send and accept msgpack.
    """

    def __init__(
        self, server: Server, token: str, headers: str = "", *, packs: bool = False, timeout: float = 60.0
    ) -> None:
        super().__init__(server, timeout)
        self.packs = packs
        self.token, self.headers = token, headers
        self.key = f"Authorization: Bearer {server.key}\r\n" if server.key else ""
        self.last: Response | None = None

    def request(self, call: str, **parameters: Any) -> bytes:
        """Returns the bytes of a reset or a step."""
        body = msgspec.msgpack.encode(parameters) if self.packs else json.dumps(parameters).encode()
        kind = "application/msgpack\r\nAccept: application/msgpack" if self.packs else "application/json"
        head = f"POST /v1/envs/{self.token}/{call}/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
        return f"{head}{self.key}{self.headers}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def answer(self) -> Reply:
        """Reads the response to a request that was sent."""
        self.last = self.read()
        is_packed = self.last.headers["content-type"] == "application/msgpack"
        return self.last.status, msgspec.msgpack.decode(self.last.body) if is_packed else json.loads(self.last.body)

    def ask(self, call: str, **parameters: Any) -> Reply:
        self.send(self.request(call, **parameters))
        return self.answer()

    def step(self, action: Any, **more: Any) -> Reply:
        return self.ask("step", action=action, **more)

    def reset(self, **parameters: Any) -> Reply:
        return self.ask("reset", **parameters)

    @property
    def answerer(self) -> str:
        """Which process has answered last: each one begins its request ids in its own way."""
        assert self.last is not None
        return self.last.headers["x-request-id"].partition("-")[0]

    def borrow(self, action: Any = 0, seq: int | None = None) -> int | None:
        """Resets, and steps until the host answers; returns the next `seq`."""

        def more() -> dict[str, Any]:
            nonlocal seq
            if seq is None:
                return {}
            seq += 1
            return {"seq": seq - 1}

        assert self.reset(**more())[0] == 200
        worker = self.answerer
        for _ in range(100):
            assert self.step(action, **more())[0] == 200
            if self.answerer != worker:
                return seq
        raise AssertionError("the connection is not lent")


def metric(server: Server, name: str) -> float:
    """The value of one of the server's metrics that has no labels."""
    lines = server.get("/metrics").body.decode().splitlines()
    return float(next((line.split(" ")[1] for line in lines if line.startswith(f"{name} ")), "0"))
