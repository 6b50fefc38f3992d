"""The link: messages between processes of one server, over UNIX sockets. A message is its length and msgpack."""

import socket
import struct
from typing import Any

from gymserve import errors, wire

_LENGTH = struct.Struct("<I")
CHUNK = 1 << 16  # bytes received at once


class Lost(Exception):
    """The other process closed the connection before it answered."""


class Late(Exception):
    """No answer within the connection's time limit."""


def encode(message: Any) -> bytes:
    body = wire.pack(message)
    return _LENGTH.pack(len(body)) + body


class Messages:
    """Turns received bytes into messages."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Any]:
        buffer = self._buffer + data if self._buffer else data
        messages = []
        at = 0
        while len(buffer) - at >= 4:
            end = at + 4 + _LENGTH.unpack_from(buffer, at)[0]
            if len(buffer) < end:
                break
            messages.append(wire.unpack(buffer[at + 4 : end]))
            at = end
        self._buffer = buffer[at:]
        return messages


class Connection:
    """A blocking connection to a host or to the supervisor; one call at a time."""

    def __init__(self, path: str, *, timeout: float) -> None:
        """Connects.

        Raises:
            OSError: nobody listens there.
        """
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        # The kernel's own time-out spares the poll before each receive that Python's would add.
        limit = struct.pack("ll", int(timeout), int(timeout % 1 * 1e6))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)

    def call(self, *message: Any) -> Any:
        """Sends `message` and returns the answer's value.

        Raises:
            Lost, Late: there is no answer.
            GymserveError: the answer is an error.
        """
        try:
            self.socket.sendall(encode(message))
        except OSError as error:
            raise Lost from error
        return self.answer()

    def answer(self) -> Any:
        """The next answer, for a call that was sent."""
        received = self._receive(4)
        wanted = 4 + _LENGTH.unpack_from(received)[0]
        parts = [received]
        have = len(received)
        while have < wanted:
            part = self._receive(1)
            parts.append(part)
            have += len(part)
        error, value = wire.unpack(b"".join(parts)[4:])
        if error is not None:
            raise error_named(error, *value)
        return value

    def _receive(self, at_least: int) -> bytes:
        data = b""
        while len(data) < at_least:
            try:
                part = self.socket.recv(CHUNK)
            except BlockingIOError as error:
                raise Late from error
            except OSError as error:
                raise Lost from error
            if not part:
                raise Lost
            data = data + part if data else part
        return data

    def ended(self) -> bool:
        """Whether the other process has closed an idle connection."""
        try:
            return self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def pass_on(self, descriptor: int) -> None:
        """Sends a descriptor; the other process gets its own copy."""
        try:
            socket.send_fds(self.socket, [b"\0"], [descriptor])
        except OSError as error:
            raise Lost from error

    def close(self) -> None:
        self.socket.close()


def refusal(error: errors.GymserveError) -> tuple[str, list[Any]]:
    """An error as it crosses a link."""
    return type(error).__name__, list(error.args)


def error_named(name: str, *args: Any) -> errors.GymserveError:
    """The error that crossed a link."""
    kind = getattr(errors, name, errors.GymserveError)
    error: errors.GymserveError = kind(*args)
    return error
