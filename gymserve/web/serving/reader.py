"""Reads a client's requests completely before gunicorn parses them."""

import collections
import contextlib
import errno
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator

from gunicorn.http.unreader import SocketUnreader

from gymserve.web.serving.lending import Loans

STAY_SECONDS = 0.05  # how long a thread waits on its connection for the next request
REQUEST_SECONDS = 10.0  # the time for a client to send a request, and to receive the response
BYTES_PER_SECOND = 20_000  # large requests and responses get more time, at the rate of the slowest client served
WHOLE_BYTES = 65536  # requests up to this size are read completely before they get a thread; no head may be longer

TLS_HANDSHAKE = 22  # the first byte that an https:// client sends
HEAD_END = re.compile(rb"\n\r?\n")
CONTENT_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r?\n", re.IGNORECASE)
AWAITS_CONTINUE = re.compile(rb"\nexpect:", re.IGNORECASE)
NOTHING_YET = (TimeoutError, BlockingIOError, ssl.SSLWantReadError)


class Permits(collections.deque[int]):
    """A limit on the threads that wait for clients at a time, which leaves the others to complete requests."""

    def __init__(self, number: int) -> None:
        super().__init__(range(max(1, number)))

    @contextlib.contextmanager
    def acquire(self) -> Iterator[bool]:
        """Hold a permit if one is left, and yield whether one was."""
        try:
            permit = self.pop()
        except IndexError:
            yield False
            return
        try:
            yield True
        finally:
            self.append(permit)


class RequestRefused(Exception):
    """The request does not get a thread: it arrives too slowly, its head is too long, or it is not HTTP."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status, self.reason = status, reason


class RequestReader(SocketUnreader):
    """Reads and buffers what a client has sent and gunicorn has not parsed yet."""

    def __init__(
        self, sock: socket.socket, data: bytes, staying: Permits, receiving: Permits, *, loans: Loans | None = None
    ) -> None:
        super().__init__(sock)
        self.buf.write(data)
        self.loans = loans
        self.staying, self.receiving = staying, receiving
        self.deadline: float | None = None

    def started(self) -> bool:
        return self.buf.getbuffer().nbytes > 0

    def read_request(self) -> bool:
        """Read until a request is complete or nothing more arrives soon; return whether it can be parsed."""
        while not self._is_complete():
            with self.staying.acquire() as may_wait:
                self.sock.settimeout(STAY_SECONDS if may_wait else 0.0)
                try:
                    data = self.sock.recv(self.mxchunk)
                except NOTHING_YET:
                    return False
            if not data:
                return True
            self.buf.seek(0, os.SEEK_END)
            self.buf.write(data)
        return True

    def _is_complete(self) -> bool:
        """Whether gunicorn can parse a request, and the application read it, without waiting for the client."""
        data = self.buf.getvalue()
        if not data:
            return False
        if self.deadline is None:
            self.deadline = time.monotonic() + REQUEST_SECONDS
        head = HEAD_END.search(data)
        if head:
            length = CONTENT_LENGTH.search(data, 0, head.end())
            missing = head.end() + int(length[1]) - len(data) if length else 0
            if self.loans is not None:
                self.loans.head, self.loans.digits = b"", (0, 0)
                if length is not None and missing == 0:
                    self.loans.head, self.loans.digits = data[: head.end()], length.span(1)
            if missing <= 0 or missing > WHOLE_BYTES or AWAITS_CONTINUE.search(data, 0, head.end()):
                return True
        elif len(data) > WHOLE_BYTES:
            raise RequestRefused(431, "Request Header Fields Too Large")
        elif data[0] == TLS_HANDSHAKE:  # it never contains the end of a head
            raise RequestRefused(400, "Bad Request")
        if time.monotonic() > self.deadline:
            raise RequestRefused(408, "Request Timeout")
        return False

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Read more for the parser or the application: a body that is large, chunked, or waits for `100 Continue`."""
        if self.deadline is None:
            self.deadline = time.monotonic() + REQUEST_SECONDS
        with self.receiving.acquire() as may_wait:
            self.sock.settimeout(max(self.deadline - time.monotonic(), 0.0) if may_wait else 0.0)
            try:
                data = super().chunk(size_hint)  # type: ignore[call-arg]  # new in gunicorn 27
            except NOTHING_YET as error:
                raise ConnectionResetError(
                    errno.ECONNRESET, "the rest of the request did not arrive in time"
                ) from error
        self.deadline += len(data) / BYTES_PER_SECOND
        return data
