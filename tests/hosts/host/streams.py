"""Streams for tests: a standard WebSocket client, and bare sockets after the handshake."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from websockets.sync.client import ClientConnection, connect

from tests.support.servers import Server

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


HANDSHAKE = (
    "GET /v1/envs/{token}/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@contextmanager
def stream(server: Server, token: str, query: str = "", **options: Any) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{server.port}/v1/envs/{token}/stream{query}", **options) as socket_:
        yield socket_


def ask(connection: ClientConnection, *message: Any) -> Any:
    connection.send(pack(message))
    answer = connection.recv(timeout=30)
    assert isinstance(answer, bytes)
    return unpack(answer)


def tell(connection: ClientConnection, **message: Any) -> Any:
    connection.send(json.dumps(message))
    answer = connection.recv(timeout=30)
    assert isinstance(answer, str)
    return json.loads(answer)


def raw(server: Server, token: str) -> socket.socket:
    """A bare socket after the handshake."""
    connection = socket.create_connection(("127.0.0.1", server.port), 30)
    connection.sendall(HANDSHAKE.format(token=token).encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
    return connection
