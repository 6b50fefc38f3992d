"""The gunicorn worker: a thread stays on a busy connection, and none waits for a slow one.

gunicorn's own threaded worker hands a connection back to its poller after every answer, and lends a thread to whoever
has sent half a request. `Worker` reads until a request is whole before gunicorn parses it, and stays for the next one.
It leans on inner parts of gunicorn 27, which `tests/web/serving/test_gunicorn.py` lists.
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
REQUEST_SECONDS = 10.0  # for a request to arrive whole, and for an answer to be taken
BYTES_PER_SECOND = 20_000  # large requests and answers get more time: this is the slowest client that is served
LINGER_SECONDS = 0.5  # how long a closing connection's last bytes are read, lest a reset eats our answer
WHOLE_BYTES = 65536  # a request up to this size is gathered before it gets a thread; no head may be longer

TLS_HANDSHAKE = 22  # the first byte of what a client of https:// sends
HEALTH_THREADS = 2  # for questions about the server's health while all other threads wait for hosts
HEALTH = b"GET /health"

HEAD_END = re.compile(rb"\n\r?\n")
CONTENT_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r?\n", re.IGNORECASE)
AWAITS_CONTINUE = re.compile(rb"\nexpect:", re.IGNORECASE)
NOTHING_YET = (TimeoutError, BlockingIOError, ssl.SSLWantReadError)
DEFER: bool = gthread._DEFER  # type: ignore[attr-defined]  # what `handle` returns for "back to the poller": private


class Places(collections.deque[int]):
    """How many threads may wait for clients at a time, so that the others are there for whole requests."""

    def __init__(self, number: int) -> None:
        super().__init__(range(max(1, number)))

    @contextlib.contextmanager
    def one(self) -> Iterator[bool]:
        """Hold a place, if there is one: gives whether there was."""
        try:
            place = self.pop()
        except IndexError:
            yield False
            return
        try:
            yield True
        finally:
            self.append(place)


class Worker(ThreadWorker):
    """A threaded worker for many agents that each ask again as soon as they are answered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.busy = 0  # connections that threads have, or wait for
        self.aside = futures.ThreadPoolExecutor(max_workers=HEALTH_THREADS)
        self.staying = Places(min(self.cfg.threads // 2, STAYING))
        self.receiving = Places(self.cfg.threads // 4)

    def init_process(self) -> None:
        # gunicorn looks up some forty settings a request, each through __getattr__; plain attributes are 20 µs cheaper.
        vars(self.cfg).update((name, setting.get()) for name, setting in self.cfg.settings.items())
        # gunicorn looks these two up in its modules, and lets no worker hand in others.
        wsgi.Response = Response  # type: ignore[misc]
        util.write_error = write_error
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        imports.freeze()
        if (backend := getattr(self.wsgi, "extensions", {}).get("gymserve")) is not None:
            backend.background.start()

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread; where none is free, `/health…` has threads of its own. Runs in the main thread."""
        pool = self.tpool
        handle: Callable[[TConn], bool] = self.handle
        if self.busy >= self.cfg.threads and not self.cfg.is_ssl:
            begin = _peek(conn.sock)
            if begin is None:
                self._wait_for_data(conn)
                return
            if begin.startswith(HEALTH):
                pool, handle = self.aside, functools.partial(self.handle, stays=False)
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
        """Answer a connection's requests for as long as they follow one another quickly. Runs in a thread.

        With `stays=False` only one of them.
        """
        if not conn.initialized and not self._begin(conn):
            return DEFER
        if conn.is_http2:
            return super().handle(conn)
        going_on, arrivals = True, _arrivals(conn)
        while going_on is True:
            try:
                if not arrivals.gather():
                    return self._waiting(conn)
            except RequestRefused as refusal:
                self.log.debug("Refused a request from %s: %s", conn.client, refusal)
                going_on = self._refuse(conn, refusal)
            except OSError:
                going_on = False
            else:
                going_on = super().handle(conn)
                arrivals.deadline = None
                if not stays and going_on is True:
                    return True
        self._close(conn)
        return False

    def finish_request(self, conn: TConn, fs: futures.Future[bool]) -> None:
        """Put a connection back into the poller, or forget it. Runs in the main thread."""
        if conn.sock.fileno() < 0:
            self.nr_conns -= 1
            return
        super().finish_request(conn, fs)
        # What has begun a request, or never sent one, does not get the long time of an idle connection.
        if conn.timeout is not None and self.pending_conns and self.pending_conns[-1] is conn:
            conn.timeout = time.monotonic() + REQUEST_SECONDS

    def set_accept_enabled(self, enabled: bool | None) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive:
            # Who comes while the last requests are answered is refused at once, instead of queueing for nobody.
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
            # The handshake runs on a blocking socket, where only the kernel can bound a silent client.
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(REQUEST_SECONDS), 0))
        conn.init()
        if not conn.is_http2:
            parser: Any = conn.parser
            early = parser.unreader.take_buffered()
            parser.unreader = Arrivals(conn.sock, early, self.staying, self.receiving)
        return True

    def _waiting(self, conn: TConn) -> bool:
        """Say where a connection waits: with the idle ones, or with those that owe (the rest of) a request."""
        if _arrivals(conn).started():
            return DEFER if self.alive else False
        parser: Any = conn.parser
        return True if parser.req_count else DEFER

    def _refuse(self, conn: TConn, refusal: "RequestRefused") -> bool:
        with contextlib.suppress(OSError):
            write_error(conn.sock, refusal.status, refusal.reason, "")
        return False

    def _close(self, conn: TConn) -> None:
        # Here and not in the main thread, which must never wait for a client.
        with self.staying.one() as may_wait:
            util.close_graceful(conn.sock, timeout=LINGER_SECONDS if may_wait else 0.0)


def _arrivals(conn: TConn) -> "Arrivals":
    parser: Any = conn.parser  # of HTTP/1, for which `_begin` has put ours in
    arrivals: Arrivals = parser.unreader
    return arrivals


def _peek(sock: socket.socket) -> bytes | None:
    """The beginning of what has arrived; None: nothing yet."""
    try:
        return sock.recv(len(HEALTH), socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except NOTHING_YET:
        return None
    except OSError:
        return b""


def write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """Refuses what is no request that the application could answer."""
    body = json.dumps({"message": mesg or reason, "error": reason.replace(" ", "")}).encode()
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"X-Content-Type-Options: nosniff\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode() + body)


class RequestRefused(Exception):
    """The request is not worth a thread: it comes too slowly, or its head is too long."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status, self.reason = status, reason


class Arrivals(SocketUnreader):
    """What a client has sent and gunicorn has not parsed yet."""

    def __init__(self, sock: socket.socket, data: bytes, staying: Places, receiving: Places) -> None:
        super().__init__(sock)
        self.buf.write(data)
        self.staying, self.receiving = staying, receiving
        self.deadline: float | None = None

    def started(self) -> bool:
        return self.buf.getbuffer().nbytes > 0

    def gather(self) -> bool:
        """Read until a request is whole, or nothing more comes soon; return whether it is time to parse."""
        while not self._whole():
            with self.staying.one() as may_wait:
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

    def _whole(self) -> bool:
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
        elif data[0] == TLS_HANDSHAKE:  # which has no end of a line to wait for
            raise RequestRefused(400, "Bad Request")
        if time.monotonic() > self.deadline:
            raise RequestRefused(408, "Request Timeout")
        return False

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Read on for the parser or the application: a body that is large, chunked, or waits for `100 Continue`."""
        if self.deadline is None:
            self.deadline = time.monotonic() + REQUEST_SECONDS
        with self.receiving.one() as may_wait:
            self.sock.settimeout(max(self.deadline - time.monotonic(), 0.0) if may_wait else 0.0)
            try:
                data = super().chunk(size_hint)  # type: ignore[call-arg]  # new in gunicorn 27
            except NOTHING_YET as error:
                raise ConnectionResetError(errno.ECONNRESET, "the rest of the request did not come in time") from error
        self.deadline += len(data) / BYTES_PER_SECOND
        return data


class Response(wsgi.Response):
    """Sends the head together with the first piece of the body, and does not name the server's software."""

    _omits_body: bool  # gunicorn's own

    def __init__(self, req: Request, sock: socket.socket, cfg: Config) -> None:
        super().__init__(req, sock, cfg)
        sock.settimeout(REQUEST_SECONDS)

    def default_headers(self) -> list[str]:
        """The lines that gunicorn writes, without `Server`, and with a date that is formatted once a second."""
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
    """A point in time, in seconds since 1970, as HTTP writes it."""
    return email.utils.formatdate(second, usegmt=True)
