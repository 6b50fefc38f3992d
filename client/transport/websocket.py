"""A stream's WebSocket (RFC 6455) without I/O: the handshake that opens it, and what arrives on it afterwards."""

import base64
import secrets

import msgspec

from gymserve.client.transport.address import Address
from gymserve.client.transport.exceptions import CannotUpgrade, ConnectionLost, ServerError, server_error
from gymserve.protocol import wire

MAX_MESSAGE = 2**30  # bytes
MAX_HANDSHAKE = 65536  # bytes


class Handshake:
    """One attempt to open a stream: send `request`, feed what arrives until `feed` returns True, then `check`."""

    def __init__(self, address: Address, target: str) -> None:
        self._address = address
        self._key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [
            f"GET {address.prefix}{target} HTTP/1.1",
            f"Host: {address.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {self._key}",
            *(f"{name}: {value}" for name, value in address.headers.items()),
        ]
        self.request = "\r\n".join([*lines, "", ""]).encode()
        self.status = 0
        self._received = b""
        self._headers: dict[str, str] = {}
        self._body = 0  # where the head ends

    def feed(self, data: bytes) -> bool:
        """Takes what arrived, or b"" at the end of the connection; returns whether the response is complete."""
        self._received += data
        if not self.status and b"\r\n\r\n" in self._received:
            self._read_head()
        if not data or len(self._received) > MAX_HANDSHAKE or self.status == 101:
            return True
        length = self._headers.get("content-length", "")
        return bool(self.status) and length.isdecimal() and len(self._received) - self._body >= int(length)

    def _read_head(self) -> None:
        self._body = self._received.index(b"\r\n\r\n") + 4
        first, *lines = self._received[: self._body - 4].decode("latin-1").split("\r\n")
        code = first.split(" ")[1:2]
        self.status = int(code[0]) if code and code[0].isdecimal() else -1
        for line in lines:
            name, _, value = line.partition(":")
            self._headers[name.strip().lower()] = value.strip()

    def check(self) -> bytes:
        """The bytes of the open stream that have arrived already.

        Raises:
            ServerError: the server refused, and said why.
            ConnectionLost: the connection ended before a response.
        CannotUpgrade: whatever answered does not speak WebSocket.
        """
        if not self.status:
            raise ConnectionLost(f"{self._address} ended the connection in its handshake")
        if self.status == 101:
            if self._headers.get("sec-websocket-accept") != wire.accept_key(self._key):
                raise CannotUpgrade("the response to the handshake has a wrong Sec-WebSocket-Accept")
            return self._received[self._body :]
        if error := refusal(self.status, self._received[self._body :]):
            raise error
        raise CannotUpgrade(f"the response to the handshake has status {self.status}")


def refusal(status: int, body: bytes) -> ServerError | None:
    """The server's own error in a refused handshake, or None if something else refused it."""
    try:
        payload = msgspec.json.decode(body)
        name, message = payload["error"], payload["message"]
    except (msgspec.MsgspecError, TypeError, KeyError, ValueError):
        busy = status in (502, 503)
        return server_error("Unavailable", f"the server answered with status {status}", status) if busy else None
    if name in ("UpgradeRequired", "NotFound", "MethodNotAllowed"):  # a proxy dropped the headers; an older server
        return None
    return server_error(name, message, status)


class Incoming:
    """Turns what the server sends on an open stream into replies.

    Attributes:
        ended: whether the server has said goodbye.
    """

    def __init__(self) -> None:
        self.ended = False
        self._frames = wire.Frames(limit=MAX_MESSAGE, expect_mask=False)
        self._fresh = True  # whether the next byte begins a frame

    def small(self, data: bytes) -> bytes:
        """The reply if `data` is exactly one small frame, as it nearly always is, else b""."""
        size = len(data) - 2
        return data[2:] if 0 < size < 126 and data[1] == size and data[0] == 0x82 and self._fresh else b""

    def large(self, data: bytes) -> tuple[int, int] | None:
        """(size of the reply, where in `data` it begins) if `data` begins exactly one large frame, else None."""
        if self._fresh and data[:1] == b"\x82" and (head := wire.header(data)) and not head[2]:
            size, start = head[1], head[3]
            if size > 125 and len(data) <= start + size <= MAX_MESSAGE:
                return size, start
        return None

    def feed(self, data: bytes) -> tuple[bytes | None, bytes]:
        """(the reply that `data` completes or None, pongs to send).

        Raises:
            ProtocolError: the server broke the protocol.
        """
        reply, pongs = None, b""
        for opcode, payload in self._frames.feed(data):
            if opcode == wire.BINARY:
                reply = payload
            elif opcode == wire.PING:
                pongs += wire.frame(wire.PONG, payload, mask=True)
            elif opcode == wire.CLOSING:
                self.ended = True
        self._fresh = not (self._frames.has_partial_message or self.ended)
        return reply, pongs


def goodbye() -> bytes:
    """The frame that closes a stream."""
    return wire.frame(wire.CLOSING, wire.closing(1000), mask=True)
