"""The connection and the stream of `client.make`: blocking sockets, with as few system calls a step as possible."""

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from gymserve.client.transport import sockets
from gymserve.client.transport.address import Address
from gymserve.client.transport.connection import Connection
from gymserve.client.transport.conversation import Command, Connect, Exchange, Flow, Sleep
from gymserve.client.transport.exceptions import (
    BUSY,
    CLOSED,
    Conflict,
    ConnectionLost,
    NotReachable,
    ServerError,
    TimedOut,
)
from gymserve.client.transport.http import Http
from gymserve.client.transport.http_format import Call
from gymserve.client.transport.instance import InstanceRequest
from gymserve.client.transport.patience import Limits
from gymserve.client.transport.websocket import Handshake, Incoming, goodbye
from gymserve.protocol import wire

_CHUNK = 8192


class SyncStream:
    """An open stream.

    Args:
        target: the path, and the query, that opens it.

    Raises:
        NotReachable, TimedOut, ConnectionLost: the server is not there, or hangs.
        CannotUpgrade: something on the way does not speak WebSocket.
        ServerError: the server refused.
    """

    def __init__(self, address: Address, target: str, limits: Limits) -> None:
        self.address = address
        self.timeout = limits.timeout
        self._incoming = Incoming()
        self._sock = _connected(address, limits.connect_timeout)
        try:
            early = self._shake_hands(Handshake(address, target), time.monotonic() + limits.connect_timeout)
            sockets.set_timeout(self._sock, limits.timeout)
            self._feed(early)
        except BaseException:
            self._sock.close()
            raise

    def exchange(self, message: bytes) -> bytes | bytearray:
        """The reply to `message`, in a buffer of its own.

        Raises:
            ConnectionLost, TimedOut: no reply came; the stream can no longer be used.
        """
        self.send(message)
        return self.receive()

    def send(self, message: bytes) -> None:
        """Sends `message`; the next thing to do is to receive its reply.

        Raises:
            ConnectionLost, TimedOut: as in `exchange`.
        """
        try:
            self._sock.sendall(wire.frame(wire.BINARY, message, mask=True))
        except OSError as error:
            raise self._lost(error) from error

    def receive(self) -> bytes | bytearray:
        """The reply to what was sent, as `exchange` returns it."""
        try:
            data = self._sock.recv(_CHUNK)
            return self._incoming.small(data) or self._rest(data)
        except (OSError, wire.ProtocolError) as error:
            raise self._lost(error) from error

    def close(self) -> None:
        """Says goodbye and closes; never raises."""
        with contextlib.suppress(OSError):
            self._sock.settimeout(0)
            self._sock.send(goodbye())
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for a reply
        self._sock.close()

    def leave(self) -> None:
        """Closes without a goodbye, because another process goes on with the stream."""
        self._sock.close()

    # --- replies that are not one small frame ----------------------------------------------------------------------

    def _rest(self, data: bytes) -> bytes | bytearray:
        """The reply that `data` begins."""
        deadline = time.monotonic() + self.timeout
        if large := self._incoming.large(data):
            size, start = large
            return self._fill(bytearray(size), data[start:], deadline)
        while True:
            if not data or self._incoming.ended:
                raise ConnectionLost(f"{self.address} ended the connection")
            reply = self._feed(data)
            if reply is not None:
                return reply
            if time.monotonic() > deadline:
                raise TimeoutError
            data = self._sock.recv(_CHUNK)

    def _fill(self, reply: bytearray, begun: bytes, deadline: float) -> bytearray:
        """`reply`, whose first bytes are `begun`, with the others received in place."""
        size = len(begun)
        reply[:size] = begun
        with memoryview(reply) as view:
            while size < len(reply):
                count = self._sock.recv_into(view[size:])
                if not count:
                    raise ConnectionLost(f"{self.address} ended the connection in the middle of a reply")
                size += count
                if time.monotonic() > deadline:
                    raise TimeoutError
        return reply

    def _lost(self, error: Exception) -> ServerError:
        if isinstance(error, (TimeoutError, BlockingIOError)):
            return TimedOut(f"{self.address} did not answer within {self.timeout:g} s")
        return ConnectionLost(f"the connection to {self.address} was lost: {error}")

    def _feed(self, data: bytes) -> bytes | None:
        reply, pongs = self._incoming.feed(data)
        if pongs:
            self._sock.sendall(pongs)
        return reply

    # --- opening ---------------------------------------------------------------------------------------------------

    def _shake_hands(self, handshake: Handshake, deadline: float) -> bytes:
        try:
            self._sock.sendall(handshake.request)
            complete = False
            while not complete:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._sock.settimeout(left)
                complete = handshake.feed(self._sock.recv(_CHUNK))
        except TimeoutError as error:
            raise TimedOut(f"{self.address} accepted a connection, and did not answer its handshake in time") from error
        except OSError as error:
            raise ConnectionLost(f"the connection to {self.address} was lost in its handshake: {error}") from error
        return handshake.check()


def _connected(address: Address, timeout: float) -> socket.socket:
    sock = sockets.connect(address, timeout=timeout)
    try:
        context = address.tls()
        return context.wrap_socket(sock, server_hostname=address.host) if context else sock
    except OSError as error:
        sock.close()
        raise NotReachable(f"no secure connection to {address}: {error}") from error


class SyncConnection(Connection[SyncStream]):
    """A connection whose results are returned."""

    def __init__(
        self, address: Address, request: InstanceRequest, limits: Limits, *, compression: str | None = None
    ) -> None:
        super().__init__(address, request, limits, compression=compression)
        _live.add(self)

    def another(self) -> "SyncConnection":
        """A connection to a new instance that is made in the same way.

        Raises:
            ServerError: it was a submission, or the server refused.
        """
        if self.instance.submission_id:
            raise ServerError(CLOSED)
        return SyncConnection(self.address, self.instance.request, self.limits, compression=self.compression)

    def close(self) -> None:
        """Closes the instance and ends a request that is under way; a second time does nothing."""
        if self._conversation.close():
            self._close_instance()

    def _send(self, build: Callable[..., bytes], *arguments: object) -> Any:
        conversation = self._conversation
        if not conversation.turn.acquire(False):
            raise Conflict(BUSY)
        try:
            message = build(*arguments)
            stream = conversation.stream
            if stream is None:
                return self._run(self._flow())
            try:
                return conversation.read(stream.exchange(message))
            except BaseException as error:
                return self._run(self._flow(error))
        finally:
            conversation.turn.release()

    def _run(self, flow: Flow[SyncStream]) -> Any:
        try:
            command = next(flow)
            while True:
                try:
                    result = self._do(command)
                except BaseException as error:
                    command = flow.throw(error)
                else:
                    command = flow.send(result)
        except StopIteration as end:
            return end.value

    def _do(self, command: Command[SyncStream]) -> Any:
        match command:
            case Exchange(stream, message):
                return stream.exchange(message)
            case Connect(target):
                return SyncStream(self.address, target, self.limits)
            case Sleep(seconds):
                return time.sleep(seconds)
            case Call():
                return self._http.call(*command)

    def _forked(self) -> None:
        """Leaves the parent process its sockets, and its thread its turn."""
        conversation = self._conversation
        conversation.turn = threading.Lock()
        self._http = Http(self.address, self.limits)
        stream, conversation.stream = conversation.stream, None
        if stream is not None:
            stream.leave()


_live: weakref.WeakSet[SyncConnection] = weakref.WeakSet()


def _after_fork() -> None:
    for connection in list(_live):
        connection._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
