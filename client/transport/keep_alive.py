"""Plain HTTP/1.1 on connections that stay open, for a request that takes little more time than its bytes on a socket.

What needs TLS or a proxy, and uploads, go through urllib3 (see `Http`). Neither follows redirects or repeats requests.
"""

import contextlib
import http.client
import io
import re
import socket
import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from urllib3.util import wait_for_read

from gymserve.client.transport import sockets
from gymserve.client.transport.address import Address
from gymserve.client.transport.exceptions import ConnectionLost, TimedOut
from gymserve.client.transport.patience import Limits

_CHUNK = 8192  # bytes; making a larger buffer takes longer than reading most responses
_MAX_HEAD = 65536  # bytes
_MOST_IDLE = 4  # connections that are kept
_FIELDS = re.compile(rb"\r\n(content-length|content-type|transfer-encoding|connection):[ \t]*([^\r\n]*)", re.IGNORECASE)
_PLAIN_PATH = re.compile(r"[!\"$-~]*").fullmatch


class RawResponse(NamedTuple):
    """A response whose body has arrived."""

    status: int
    content_type: str
    data: bytes


class KeepAlive:
    """Connections to a server; any thread may call.

    Args:
        headers: those of each request.
    """

    def __init__(self, address: Address, limits: Limits, headers: Mapping[str, str]) -> None:
        self.address = address
        self.limits = limits
        self._head = _lines({"Host": address.netloc, "Accept-Encoding": "identity", **headers})
        self._idle: list[socket.socket] = []
        self._closed = False
        weakref.finalize(self, _close, self._idle)

    def request(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> RawResponse:
        """The response to one request, which is sent once.

        Raises:
            NotReachable: no connection could be made.
            ConnectionLost, TimedOut: the response did not come, or not completely.
        """
        if not _PLAIN_PATH(path):
            path = quote(path, safe="%/?&=:@!$'()*+,;~")
        length = f"Content-Length: {len(content or b'')}\r\n" if content is not None or method != "GET" else ""
        message = f"{method} {path} HTTP/1.1\r\n{self._head}{_lines(headers)}{length}\r\n".encode() + (content or b"")
        sock = self._connection()
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what the server has sent may say why
                sock.sendall(message)
            response, keep = self._receive(sock, method)
        except BaseException as error:
            sock.close()
            if isinstance(error, (TimeoutError, BlockingIOError)):
                raise TimedOut(f"{self.address} did not answer within {self.limits.timeout:g} s") from error
            if isinstance(error, (OSError, ValueError, http.client.HTTPException)):
                raise ConnectionLost(f"the connection to {self.address} was lost: {error}") from error
            raise
        if keep and not self._closed and len(self._idle) < _MOST_IDLE:
            self._idle.append(sock)
        else:
            sock.close()
        return response

    def close(self) -> None:
        """Closes the connections; one that is in use is closed after its response."""
        self._closed = True
        _close(self._idle)

    def _connection(self) -> socket.socket:
        """A connection that the server has not closed, as far as can be seen."""
        while True:
            try:
                sock = self._idle.pop()
            except IndexError:
                sock = sockets.connect(self.address, timeout=self.limits.connect_timeout)
                sockets.set_timeout(sock, self.limits.timeout)
                return sock
            if not wait_for_read(sock, 0.0):
                return sock
            sock.close()

    def _receive(self, sock: socket.socket, method: str) -> tuple[RawResponse, bool]:
        """(the response, whether the connection stays open)."""
        received = sock.recv(_CHUNK)
        while (end := received.find(b"\r\n\r\n")) < 0:
            more = sock.recv(_CHUNK)
            if not more or len(received) > _MAX_HEAD:
                raise ConnectionLost(f"{self.address} ended the connection")
            received += more
        fields = {name.lower(): value.rstrip() for name, value in _FIELDS.findall(received, 0, end)}
        status, length = received[9:12], fields.get(b"content-length", b"")
        is_usual = received.startswith(b"HTTP/1.") and status.isdigit() and status >= b"200" and length.isdigit()
        if not is_usual or b"transfer-encoding" in fields or status == b"304" or method == "HEAD":
            return _read_unusual(sock, received, method)
        data = received[end + 4 :]
        if len(data) < int(length):
            data = _complete(sock, data, int(length))
        keep = received[7:8] == b"1" and fields.get(b"connection", b"").lower() != b"close" and len(data) == int(length)
        return RawResponse(int(status), fields.get(b"content-type", b"").decode("latin-1"), data), keep


def _complete(sock: socket.socket, begun: bytes, length: int) -> bytes:
    parts, size = [begun], len(begun)
    while size < length:
        part = sock.recv(min(length - size, 1 << 20))
        if not part:
            raise ConnectionResetError("it ended in the middle of a response")
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _read_unusual(sock: socket.socket, received: bytes, method: str) -> tuple[RawResponse, bool]:
    """A response of any other kind, for example one in chunks, of which `received` has arrived."""
    response: Any = http.client.HTTPResponse(_Rest(sock, received), method=method)  # type: ignore[arg-type]
    response.begin()
    data = response.read()
    return RawResponse(response.status, response.headers.get("Content-Type", ""), data), not response.will_close


class _Rest(io.RawIOBase):
    """`received`, and then what the socket receives; as far as `http.client` knows, a socket."""

    def __init__(self, sock: socket.socket, received: bytes) -> None:
        self._sock = sock
        self._received = received

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._received:
            return self._sock.recv_into(buffer)
        part, self._received = self._received[: len(buffer)], self._received[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _lines(headers: Mapping[str, str]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


def _close(idle: list[socket.socket]) -> None:
    while idle:
        idle.pop().close()
