"""The stream's socket: one WebSocket, blocking, with time-outs; as few system calls a question as can be."""

import contextlib
import socket
import ssl
import struct
import sys
import time
from typing import Any

from client.address import Address
from client.conversation import LIMIT
from client.exceptions import ConnectionLost, NotReachable, TimedOut
from client.handshake import Handshake
from gymserve import wire

_CHUNK = 8192
_KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 40_000}
_WINDOWS = sys.platform == "win32"


def prepare(sock: socket.socket) -> None:
    """Sends at once, and finds out in under a minute that the other machine is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Stream:
    """An open stream.

    Args:
        timeout: seconds to wait for an answer.
        connect_timeout: seconds for the connection, and again for the handshake.

    Raises:
        NotReachable, TimedOut, ConnectionLost: the server is not there, or hangs.
        CannotUpgrade: something in between knows no WebSocket.
        ServerError: the server refused.
    """

    def __init__(self, address: Address, target: str, *, timeout: float, connect_timeout: float) -> None:
        self.address = address
        self.timeout = timeout
        self._frames = wire.Frames(limit=LIMIT, expect_mask=False)
        self._held = False  # the frames hold something
        self._ended = False  # the server said good-bye after its last answer
        self._answer: Any = None
        self._sock = _connected(address, connect_timeout)
        try:
            early = self._shake_hands(Handshake(address, target), time.monotonic() + connect_timeout)
            self._set_timeouts()
        except BaseException:
            self._sock.close()
            raise
        if early:
            self._take(early)

    def exchange(self, message: bytes) -> Any:
        """The answer to `message`, as bytes or a bytearray of its own.

        Raises:
            ConnectionLost, TimedOut: there is none; the stream cannot be used any more.
        """
        try:
            self._sock.sendall(wire.frame(wire.BINARY, message, mask=True))
            data = self._sock.recv(_CHUNK)
            # Nearly always: one small whole frame.
            if len(data) > 2 and data[0] == 0x82 and data[1] == len(data) - 2 and data[1] < 126 and not self._held:
                return data[2:]
            return self._received(data)
        except (TimeoutError, BlockingIOError) as error:
            raise TimedOut(f"{self.address} did not answer within {self.timeout:g} s") from error
        except (OSError, wire.ProtocolError) as error:
            raise ConnectionLost(f"the connection to {self.address} was lost: {error}") from error

    def close(self) -> None:
        """Says good-bye and closes; never raises."""
        with contextlib.suppress(OSError):
            self._sock.settimeout(0)
            self._sock.send(wire.frame(wire.CLOSING, wire.closing(1000), mask=True))
        self._sock.close()

    # --- receiving what is not one small frame ---------------------------------------------------------------------

    def _received(self, data: bytes) -> Any:
        """The answer that `data` begins."""
        deadline = time.monotonic() + self.timeout
        self._answer = None
        if not self._held and data[:1] == b"\x82" and (head := wire.header(data)) and not head[2]:
            size, start = head[1], head[3]
            if size > 125 and len(data) <= start + size <= LIMIT:
                return self._whole(data[start:], size, deadline)
        while True:
            if not data or self._ended:
                raise ConnectionLost(f"{self.address} ended the connection")
            self._take(data)
            if self._answer is not None:
                return self._answer
            if time.monotonic() > deadline:
                raise TimeoutError
            data = self._sock.recv(_CHUNK)

    def _whole(self, begun: bytes, size: int, deadline: float) -> bytearray:
        """A large message, received into its place."""
        message = bytearray(size)
        got = len(begun)
        message[:got] = begun
        with memoryview(message) as view:
            while got < size:
                count = self._sock.recv_into(view[got:])
                if not count:
                    raise ConnectionLost(f"{self.address} ended the connection in mid-answer")
                got += count
                if time.monotonic() > deadline:
                    raise TimeoutError
        return message

    def _take(self, data: bytes) -> None:
        """Sorts what arrived: the answer, pings, a good-bye."""
        for opcode, payload in self._frames.feed(data):
            if opcode == wire.BINARY:
                self._answer = payload
            elif opcode == wire.PING:
                self._sock.sendall(wire.frame(wire.PONG, payload, mask=True))
            elif opcode == wire.CLOSING:
                self._ended = True
        self._held = self._frames.holding or self._ended

    # --- opening -------------------------------------------------------------------------------------------------

    def _shake_hands(self, handshake: Handshake, deadline: float) -> bytes:
        try:
            self._sock.sendall(handshake.request)
            whole = False
            while not whole:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._sock.settimeout(left)
                whole = handshake.feed(self._sock.recv(_CHUNK))
        except TimeoutError as error:
            raise TimedOut(f"{self.address} accepted a connection, and did not answer its handshake in time") from error
        except OSError as error:
            raise ConnectionLost(f"the connection to {self.address} was lost in its handshake: {error}") from error
        if not handshake.status:
            raise ConnectionLost(f"{self.address} ended the connection in its handshake")
        return handshake.check()

    def _set_timeouts(self) -> None:
        """Lets the kernel watch the time where it can: Python's own way costs two more system calls a question."""
        if isinstance(self._sock, ssl.SSLSocket) or _WINDOWS:
            self._sock.settimeout(self.timeout)
            return
        self._sock.settimeout(None)
        seconds = int(self.timeout)
        span = struct.pack("@ll", seconds, max(1, int((self.timeout - seconds) * 1e6)))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)


def _connected(address: Address, timeout: float) -> socket.socket:
    try:
        sock = socket.create_connection((address.host, address.port), timeout)
    except OSError as error:
        raise NotReachable(f"no server answers at {address}: {error}") from error
    try:
        prepare(sock)
        context = address.tls()
        return context.wrap_socket(sock, server_hostname=address.host) if context else sock
    except OSError as error:
        sock.close()
        raise NotReachable(f"no secure connection to {address}: {error}") from error
