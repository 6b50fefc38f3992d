"""The gunicorn worker: a thread stays on a busy connection, and no thread waits for a slow client.

gunicorn's own threaded worker returns a connection to its poller after every response, and blocks a thread on a client
that has sent half a request. `KeepAliveWorker` reads a request completely before gunicorn parses it, and then waits
briefly for the next one. It relies on internals of gunicorn 27, which `tests/web/serving/test_gunicorn.py` lists.
"""

import contextlib
import functools
import os
import selectors
import signal
import socket
import struct
import time
from collections.abc import Callable
from concurrent import futures
from queue import SimpleQueue
from types import FrameType
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.workers import gthread
from gunicorn.workers.gthread import TConn, ThreadWorker

from gymserve.hosts.lent.ledger import CONSUMED, IDLE, LoanState
from gymserve.hosts.lent.lender import Lender
from gymserve.system import imports
from gymserve.web.serving import reader
from gymserve.web.serving.lending import Loans, Offer, Resumed
from gymserve.web.serving.reader import NOTHING_YET, STAY_SECONDS, Permits, RequestReader, RequestRefused
from gymserve.web.serving.response import Response, write_error

STAYING = 16  # threads of a worker that stay on a connection at a time; more only contend for the interpreter
LINGER_SECONDS = 0.5  # how long a closing connection is still read, since a reset could discard our response
HEALTH_THREADS = 2  # for health checks while all other threads wait for hosts
HEALTH = b"GET /health"
DEFER: bool = gthread._DEFER  # type: ignore[attr-defined]  # private: `handle` returns it for "back to the poller"


class KeepAliveWorker(ThreadWorker):
    """A threaded worker for many agents, each of which sends its next request as soon as it has a response."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.early_signals: SimpleQueue[int] | None = None  # see `server.hand_over_signals`
        self.busy = 0  # connections that have a thread or wait for one
        self.health_pool = futures.ThreadPoolExecutor(max_workers=HEALTH_THREADS)
        self.staying = Permits(min(self.cfg.threads // 2, STAYING))
        self.receiving = Permits(self.cfg.threads // 4)
        self.lender = Lender(
            lambda sock, callback: self.poller.register(sock, selectors.EVENT_READ, callback),
            lambda sock: self.poller.unregister(sock),
            self._take_back,
            idle_seconds=self.cfg.keepalive,
        )

    def init_process(self) -> None:
        # gunicorn reads some forty settings per request through __getattr__; plain attributes save 20 µs.
        vars(self.cfg).update((name, setting.get()) for name, setting in self.cfg.settings.items())
        # gunicorn has no hooks for these two, so they are replaced in its modules.
        wsgi.Response = Response  # type: ignore[misc]  # mypy forbids assigning to a class
        util.write_error = write_error
        super().init_process()

    def init_signals(self) -> None:
        """Install handlers, and obey a signal that came between the fork and this: it ran the arbiter's handler."""
        super().init_signals()
        while self.early_signals is not None and not self.early_signals.empty():
            if self.early_signals.get_nowait() in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                self.alive = False

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

    def handle(self, conn: TConn, stays: bool = True) -> Any:
        """Serve a connection's requests while they follow one another quickly, or one with `stays=False`.

        Runs in a thread.

        Returns: where the connection goes: True for the idle ones, DEFER, False if it is closed, or an `Offer`.
        """
        if not conn.initialized and not self._begin(conn):
            return DEFER
        if conn.is_http2:
            return super().handle(conn)
        keep_alive, requests = True, _reader(conn)
        while keep_alive is True:
            try:
                if not requests.read_request():
                    return self._idle_state(conn)
            except RequestRefused as refusal:
                self.log.debug("Refused a request from %s: %s", conn.client, refusal)
                keep_alive = self._refuse(conn, refusal)
            except OSError:
                keep_alive = False
            else:
                keep_alive = super().handle(conn)
                requests.deadline = None
                if keep_alive is True and (offer := self._take_offer(requests)) is not None:
                    return offer
                if not stays and keep_alive is True:
                    return True
        self._close(conn)
        return False

    def finish_request(self, conn: TConn, fs: futures.Future[bool]) -> None:
        """Return a connection to the poller, or drop it. Runs in the main thread."""
        if conn.sock.fileno() < 0:
            self.nr_conns -= 1
            return
        offer: Any = None if fs.cancelled() or fs.exception() else fs.result()
        if isinstance(offer, Offer) and self.alive:
            conn.sock.setblocking(False)  # in the host, too
            if self.lender.lend(offer.path, conn.sock, (conn, offer), offer.terms):
                return
        super().finish_request(conn, fs)
        # A client that has begun a request, or never sent one, does not get an idle connection's long timeout.
        if conn.timeout is not None and self.pending_conns and self.pending_conns[-1] is conn:
            conn.timeout = time.monotonic() + reader.REQUEST_SECONDS

    def set_accept_enabled(self, enabled: bool | None) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive or self.ppid != os.getppid():
            self.lender.recall()
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
            conn.sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(reader.REQUEST_SECONDS), 0)
            )
        conn.init()
        if not conn.is_http2:
            parser: Any = conn.parser
            early = parser.unreader.take_buffered()
            # An access log has all requests, and only gunicorn writes it.
            loans = None if self.cfg.is_ssl or self.cfg.accesslog else Loans()
            parser.unreader = RequestReader(conn.sock, early, self.staying, self.receiving, loans=loans)
        return True

    def _idle_state(self, conn: TConn) -> bool:
        """Return where a connection waits: among the idle ones (True), or among those with an incomplete request."""
        if _reader(conn).started():
            return DEFER if self.alive else False
        parser: Any = conn.parser
        return True if parser.req_count else DEFER

    def _take_offer(self, requests: RequestReader) -> Offer | None:
        """Return the offer to lend a connection whose request was just answered, if it was made and may be accepted."""
        if (loans := requests.loans) is None:
            return None
        offer, loans.offer, loans.resumed = loans.offer, None, None
        return None if requests.started() else offer

    def _take_back(self, name: tuple[TConn, Offer], state: LoanState, at: float | None) -> None:
        """Continue with a connection that was lent. Runs in the main thread; see `Lender` for the arguments."""
        conn, offer = name
        requests, now = _reader(conn), time.monotonic()
        data = _peek(conn.sock)
        is_idle = data is None and at is not None and now >= at + self.cfg.keepalive
        if state.phase == CONSUMED or data == b"" or is_idle:
            self.nr_conns -= 1
            conn.close()
            return
        assert requests.loans is not None
        requests.loans.note(state.answered)
        if data is None:
            waits: futures.Future[bool] = futures.Future()
            waits.set_result(True)
            super().finish_request(conn, waits)
            return
        is_begun = state.phase != IDLE
        call = ~((offer.first_call + state.answered) & 0xFFFFFFFF) if is_begun else None
        requests.loans.resumed = Resumed(call, is_lost=is_begun and at is None)
        requests.deadline = (at or now) + reader.REQUEST_SECONDS
        self.enqueue_req(conn)

    def _refuse(self, conn: TConn, refusal: RequestRefused) -> bool:
        with contextlib.suppress(OSError):
            write_error(conn.sock, refusal.status, refusal.reason, "")
        return False

    def _close(self, conn: TConn) -> None:
        # This runs in a thread, since the main thread must never wait for a client.
        with self.staying.acquire() as may_wait:
            util.close_graceful(conn.sock, timeout=LINGER_SECONDS if may_wait else 0.0)


def _reader(conn: TConn) -> RequestReader:
    parser: Any = conn.parser  # the HTTP/1 parser, whose unreader `_begin` has replaced
    requests: RequestReader = parser.unreader
    return requests


def _peek(sock: socket.socket) -> bytes | None:
    """Return the first bytes that have arrived, or None if there are none yet."""
    try:
        return sock.recv(len(HEALTH), socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except NOTHING_YET:
        return None
    except OSError:
        return b""
