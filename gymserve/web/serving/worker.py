"""The gunicorn worker: a thread stays on a busy connection, and no thread waits for a slow client.

gunicorn's own threaded worker returns a connection to its poller after every response, and blocks a thread on a client
that has sent half a request. `KeepAliveWorker` reads a request completely before gunicorn parses it, and then waits
briefly for the next one. It relies on internals of gunicorn 27, which `tests/web/serving/test_gunicorn.py` lists.
"""

import collections
import contextlib
import email.utils
import errno
import functools
import json
import os
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from types import FrameType
from typing import Any

from gunicorn import util
from gunicorn.config import Config
from gunicorn.http import Request, wsgi
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread
from gunicorn.workers.gthread import TConn, ThreadWorker

from gymserve.system import imports

STAY_SECONDS = 0.05  # how long a thread waits on its connection for the next request
STAYING = 16  # threads of a worker that do so at a time; more of them only contend for the interpreter
REQUEST_SECONDS = 10.0  # the time for a client to send a request, and to receive the response
BYTES_PER_SECOND = 20_000  # large requests and responses get more time, at the rate of the slowest client served
LINGER_SECONDS = 0.5  # how long a closing connection is still read, since a reset could discard our response
WHOLE_BYTES = 65536  # requests up to this size are read completely before they get a thread; no head may be longer

TLS_HANDSHAKE = 22  # the first byte that an https:// client sends
HEALTH_THREADS = 2  # for health checks while all other threads wait for hosts
HEALTH = b"GET /health"

HEAD_END = re.compile(rb"\n\r?\n")
CONTENT_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r?\n", re.IGNORECASE)
AWAITS_CONTINUE = re.compile(rb"\nexpect:", re.IGNORECASE)
NOTHING_YET = (TimeoutError, BlockingIOError, ssl.SSLWantReadError)
DEFER: bool = gthread._DEFER  # type: ignore[attr-defined]  # private: `handle` returns it for "back to the poller"


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


class KeepAliveWorker(ThreadWorker):
    """A threaded worker for many agents, each of which sends its next request as soon as it has a response."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.busy = 0  # connections that have a thread or wait for one
        self.health_pool = futures.ThreadPoolExecutor(max_workers=HEALTH_THREADS)
        self.staying = Permits(min(self.cfg.threads // 2, STAYING))
        self.receiving = Permits(self.cfg.threads // 4)

    def init_process(self) -> None:
        # gunicorn reads some forty settings per request through __getattr__; plain attributes save 20 µs.
        vars(self.cfg).update((name, setting.get()) for name, setting in self.cfg.settings.items())
        # gunicorn has no hooks for these two, so they are replaced in its modules.
        wsgi.Response = Response  # type: ignore[misc]  # mypy forbids assigning to a class
        util.write_error = write_error
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        imports.freeze()
        if (backend := getattr(self.wsgi, "extensions", {}).get("gymserve")) is not None:
            backend.background.start()

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread; `/health…` has spare threads if all are busy. Runs in the main thread."""
        pool = self.tpool
        handle: Callable[[TConn], bool] = self.handle
        if self.busy >= self.cfg.threads and not self.cfg.is_ssl:
            head = _peek(conn.sock)
            if head is None:
                self._wait_for_data(conn)
                return
            if head.startswith(HEALTH):
                pool, handle = self.health_pool, functools.partial(self.handle, stays=False)
        self.busy += pool is self.tpool
        future = pool.submit(handle, conn)
        future.add_done_callback(lambda _: self.method_queue.defer(self._finished, conn, future, pool))

    def _finished(self, conn: TConn, future: futures.Future[bool], pool: futures.ThreadPoolExecutor) -> None:
        self.busy -= pool is self.tpool
        self.finish_request(conn, future)

    def _wait_for_data(self, conn: TConn) -> None:
        nothing: futures.Future[bool] = futures.Future()
        nothing.set_result(DEFER)
        self.finish_request(conn, nothing)

    def handle(self, conn: TConn, stays: bool = True) -> bool:
        """Serve a connection's requests while they follow one another quickly, or one with `stays=False`.

        Runs in a thread.
        """
        if not conn.initialized and not self._begin(conn):
            return DEFER
        if conn.is_http2:
            return super().handle(conn)
        keep_alive, reader = True, _reader(conn)
        while keep_alive is True:
            try:
                if not reader.read_request():
                    return self._idle_state(conn)
            except RequestRefused as refusal:
                self.log.debug("Refused a request from %s: %s", conn.client, refusal)
                keep_alive = self._refuse(conn, refusal)
            except OSError:
                keep_alive = False
            else:
                keep_alive = super().handle(conn)
                reader.deadline = None
                if not stays and keep_alive is True:
                    return True
        self._close(conn)
        return False

    def finish_request(self, conn: TConn, fs: futures.Future[bool]) -> None:
        """Return a connection to the poller, or drop it. Runs in the main thread."""
        if conn.sock.fileno() < 0:
            self.nr_conns -= 1
            return
        super().finish_request(conn, fs)
        # A client that has begun a request, or never sent one, does not get an idle connection's long timeout.
        if conn.timeout is not None and self.pending_conns and self.pending_conns[-1] is conn:
            conn.timeout = time.monotonic() + REQUEST_SECONDS

    def set_accept_enabled(self, enabled: bool | None) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive:
            # Refuse clients that connect while the last requests are served; they would queue in vain.
            for listener in self.sockets:
                listener.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        for conn in self.pending_conns:
            conn.timeout = 0.0
        super().handle_exit(sig, frame)

    def _begin(self, conn: TConn) -> bool:
        if self.cfg.is_ssl:
            if not conn.wait_for_data(STAY_SECONDS):
                return False
            # The handshake runs on a blocking socket, so only the kernel can time out a silent client.
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(REQUEST_SECONDS), 0))
        conn.init()
        if not conn.is_http2:
            parser: Any = conn.parser
            early = parser.unreader.take_buffered()
            parser.unreader = RequestReader(conn.sock, early, self.staying, self.receiving)
        return True

    def _idle_state(self, conn: TConn) -> bool:
        """Return where a connection waits: among the idle ones (True), or among those with an incomplete request."""
        if _reader(conn).started():
            return DEFER if self.alive else False
        parser: Any = conn.parser
        return True if parser.req_count else DEFER

    def _refuse(self, conn: TConn, refusal: "RequestRefused") -> bool:
        with contextlib.suppress(OSError):
            write_error(conn.sock, refusal.status, refusal.reason, "")
        return False

    def _close(self, conn: TConn) -> None:
        # This runs in a thread, since the main thread must never wait for a client.
        with self.staying.acquire() as may_wait:
            util.close_graceful(conn.sock, timeout=LINGER_SECONDS if may_wait else 0.0)


def _reader(conn: TConn) -> "RequestReader":
    parser: Any = conn.parser  # the HTTP/1 parser, whose unreader `_begin` has replaced
    reader: RequestReader = parser.unreader
    return reader


def _peek(sock: socket.socket) -> bytes | None:
    """Return the first bytes that have arrived, or None if there are none yet."""
    try:
        return sock.recv(len(HEALTH), socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except NOTHING_YET:
        return None
    except OSError:
        return b""


def write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """Send an error to a client whose request never reaches the application. The names are gunicorn's."""
    body = json.dumps({"message": mesg or reason, "error": reason.replace(" ", "")}).encode()
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"X-Content-Type-Options: nosniff\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode() + body)


class RequestRefused(Exception):
    """The request does not get a thread: it arrives too slowly, its head is too long, or it is not HTTP."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status, self.reason = status, reason


class RequestReader(SocketUnreader):
    """Reads and buffers what a client has sent and gunicorn has not parsed yet."""

    def __init__(self, sock: socket.socket, data: bytes, staying: Permits, receiving: Permits) -> None:
        super().__init__(sock)
        self.buf.write(data)
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


class Response(wsgi.Response):
    """A response that sends its head together with the first piece of its body, without a `Server` header."""

    _omits_body: bool  # set by gunicorn

    def __init__(self, req: Request, sock: socket.socket, cfg: Config) -> None:
        super().__init__(req, sock, cfg)
        sock.settimeout(REQUEST_SECONDS)

    def default_headers(self) -> list[str]:
        """Return gunicorn's own header lines, without `Server`, and with a date that is formatted once a second."""
        connection = "upgrade" if self.upgrade else "close" if self.should_close() else "keep-alive"
        major, minor = self.req.version or (1, 1)
        lines = [
            f"HTTP/{major}.{minor} {self.status}\r\n",
            f"Date: {date(int(time.time()))}\r\n",
            f"Connection: {connection}\r\n",
        ]
        return lines + ["Transfer-Encoding: chunked\r\n"] if self.chunked else lines

    def send_headers(self) -> None:
        if not self.headers_sent:
            self.sock.sendall(self._head())
            self.headers_sent = True

    def write(self, arg: bytes) -> None:
        if self.headers_sent or self.chunked or self._omits_body or type(arg) is not bytes or len(arg) > WHOLE_BYTES:
            self.sock.settimeout(REQUEST_SECONDS + len(arg) / BYTES_PER_SECOND)
            super().write(arg)
            return
        body = arg[: self.response_length]
        self.sock.sendall(self._head() + body)
        self.headers_sent = True
        self.sent = len(body)

    def _head(self) -> bytes:
        lines = self.default_headers()
        lines.extend(f"{name}: {value}\r\n" for name, value in self.headers)
        return ("".join(lines) + "\r\n").encode("latin-1")


@functools.lru_cache(maxsize=2)
def date(second: int) -> str:
    """Format a time, in seconds since 1970, as HTTP does."""
    return email.utils.formatdate(second, usegmt=True)
