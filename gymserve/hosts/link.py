"""The link: messages between processes of one server over UNIX sockets, as a length followed by msgpack."""

import socket
import struct
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar, get_args

import msgspec

from gymserve.protocol import errors, wire

_LENGTH = struct.Struct("<I")
CHUNK = 1 << 16  # bytes received at once
Answer = TypeVar("Answer")


class LinkRequest(msgspec.Struct, Generic[Answer], frozen=True, array_like=True):
    """A message that is answered with an `Answer` or a `Failure`."""

    @property
    def verb(self) -> str:
        """The request's name in error messages."""
        return str(self.__struct_config__.tag)


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """An error as it crosses a link: the name of its class and its arguments."""

    name: str
    args: list[object]

    @classmethod
    def of(cls, error: errors.GymserveError) -> "Failure":
        return cls(type(error).__name__, list(error.args))

    def error(self) -> errors.GymserveError:
        """The error itself."""
        kind = getattr(errors, self.name, errors.GymserveError)
        error: errors.GymserveError = kind(*self.args)
        return error


class Reply(msgspec.Struct, Generic[Answer], frozen=True, array_like=True):
    """The reply to a request: a failure or an answer."""

    failure: Failure | None
    answer: Answer | None


def decoder(kind: object) -> Callable[[bytes], object]:
    """Returns a function that decodes messages of a type or union; it raises `msgspec.MsgspecError` for others."""
    return msgspec.msgpack.Decoder(kind, ext_hook=wire.decode_extension).decode


@cache
def reply_decoder(kind: type[LinkRequest[Any]]) -> Any:
    """Returns a function that decodes the replies to a kind of request."""
    (answer,) = get_args(kind.__orig_bases__[0])  # type: ignore[attr-defined]  # typeshed does not know this attribute
    return decoder(Reply[answer])  # type: ignore[valid-type]  # the type is known at run time only


class LinkClosed(Exception):
    """The other process closed the connection before it answered."""


class LinkTimeout(Exception):
    """No answer within the connection's time limit."""


def encode(message: Any) -> bytes:
    """Encodes a message of `hosts.messages`, with its length."""
    body = wire.pack(message)
    return _LENGTH.pack(len(body)) + body


class Messages:
    """Splits received bytes into messages.

    Args:
        decode: decodes one message; see `hosts.messages`.
    """

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        self._decode = decode
        self._buffer = b""

    def feed(self, data: bytes) -> list[Any]:
        """Returns the messages that `data` completes.

        Raises:
            MsgspecError: a message is malformed.
        """
        buffer = self._buffer + data if self._buffer else data
        messages = []
        at = 0
        while len(buffer) - at >= 4:
            end = at + 4 + _LENGTH.unpack_from(buffer, at)[0]
            if len(buffer) < end:
                break
            messages.append(self._decode(buffer[at + 4 : end]))
            at = end
        self._buffer = buffer[at:]
        return messages


def ended(sock: socket.socket) -> bool:
    """Whether the other process has closed a connection and all that it sent was received."""
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class Link:
    """A blocking connection to a host or to the supervisor; one call at a time."""

    def __init__(self, path: str, *, timeout: float) -> None:
        """Connects to the socket at `path`.

        Raises:
            OSError: no process listens there.
        """
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        # Python's own timeout would add a poll before each receive; the kernel's does not.
        limit = struct.pack("ll", int(timeout), int(timeout % 1 * 1e6))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)

    def call(self, request: LinkRequest[Answer]) -> Answer:
        """Sends a request and returns its answer.

        Raises:
            LinkClosed, LinkTimeout: no answer came.
            GymserveError: the reply is a failure.
        """
        self.send(request)
        return self.answer(request)

    def send(self, request: LinkRequest[Any]) -> None:
        """Sends a request; `answer` must be called next.

        Raises:
            LinkClosed: the other process has ended.
        """
        try:
            self.socket.sendall(encode(request))
        except OSError as error:
            raise LinkClosed from error

    def answer(self, request: LinkRequest[Answer]) -> Answer:
        """Receives the answer to a request that was sent; raises as `call` does."""
        received = self._receive(4)
        wanted = 4 + _LENGTH.unpack_from(received)[0]
        parts = [received]
        have = len(received)
        while have < wanted:
            part = self._receive(1)
            parts.append(part)
            have += len(part)
        reply = reply_decoder(type(request))(b"".join(parts)[4:])
        if reply.failure is not None:
            raise reply.failure.error()
        return reply.answer

    def _receive(self, at_least: int) -> bytes:
        data = b""
        while len(data) < at_least:
            try:
                part = self.socket.recv(CHUNK)
            except BlockingIOError as error:
                raise LinkTimeout from error
            except OSError as error:
                raise LinkClosed from error
            if not part:
                raise LinkClosed
            data = data + part if data else part
        return data

    def ended(self) -> bool:
        """Whether the other process has closed an idle connection."""
        return ended(self.socket)

    def pass_on(self, descriptor: int) -> None:
        """Sends a file descriptor; the other process gets its own copy."""
        try:
            socket.send_fds(self.socket, [b"\0"], [descriptor])
        except OSError as error:
            raise LinkClosed from error

    def close(self) -> None:
        self.socket.close()
