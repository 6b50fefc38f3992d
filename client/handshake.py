"""The opening of a stream (RFC 6455, section 4), without I/O."""

import base64
import secrets

import msgspec

from client.address import Address
from client.exceptions import CannotUpgrade, ServerError, named
from gymserve import wire

LIMIT = 65536
"""Bytes that the server's answer may have before its stream begins."""


class Handshake:
    """One attempt: send `request`, feed what arrives until `feed` says that it is done, then `check`."""

    def __init__(self, address: Address, target: str) -> None:
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
        self._ended = False

    def feed(self, data: bytes) -> bool:
        """Takes what arrived (b"": the server ended the connection); True: the answer is whole."""
        self._received += data
        self._ended = not data
        if not self.status and b"\r\n\r\n" in self._received:
            self._read_head()
        if self._ended or len(self._received) > LIMIT or self.status == 101:
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
        """What arrived of the stream already.

        Raises:
            ServerError: the server refused, and said why.
            CannotUpgrade: whoever answered knows no WebSocket.
        """
        if self.status == 101:
            if self._headers.get("sec-websocket-accept") != wire.accept_key(self._key):
                raise CannotUpgrade("the handshake was answered with a wrong key")
            return self._received[self._body :]
        if error := refusal(self.status, self._received[self._body :]):
            raise error
        raise CannotUpgrade(f"the handshake was answered with status {self.status}")


def refusal(status: int, body: bytes) -> ServerError | None:
    """The server's own error in a refused upgrade, if it is one."""
    try:
        told = msgspec.json.decode(body)
        name, message = told["error"], told["message"]
    except (msgspec.MsgspecError, TypeError, KeyError, ValueError):
        return (
            named("Unavailable", f"the server answered with status {status}", status) if status in (502, 503) else None
        )
    if name in ("UpgradeRequired", "NotFound", "MethodNotAllowed"):  # headers were lost on the way; an older server
        return None
    return named(name, message, status)
