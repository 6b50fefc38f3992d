"""HTTP in a host: steps and resets of one instance, on a connection that a web worker has lent.

The worker's web server has parsed two requests with the same head, and answered them. The host compares the next ones with
that head, byte by byte, and gives the connection back, with the request unread, if there is anything unusual about one.
"""

import itertools
import logging
import mmap
import os
import secrets
import socket
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from gymserve.environments.foreign import error_text
from gymserve.hosts import calls
from gymserve.hosts.channel import CHUNK
from gymserve.hosts.instance import answers
from gymserve.hosts.instance.live import LiveInstance
from gymserve.hosts.instance.time_step import TimeStep
from gymserve.hosts.lent.borrower import GONE, BorrowedConnection, Borrower
from gymserve.hosts.lent.ledger import BEGUN, CONSUMED
from gymserve.hosts.lent.messages import Lend
from gymserve.hosts.lent.terms import INCOMPLETE, Incomplete, Request, Terms, match
from gymserve.protocol import errors, http
from gymserve.system import sockets

_RESET_RULE = "/v1/envs/<instance_id>/reset/"
_JSON, _MSGPACK = (b"Content-Type: application/%b\r\n" % kind for kind in (b"json", b"msgpack"))
_decode_terms = msgspec.msgpack.Decoder(Terms).decode
_numbers = itertools.count(1)
_process = secrets.token_hex(6)
_consumed = bytearray(CHUNK)
log = logging.getLogger("gymserve.requests")


class LentConnection(BorrowedConnection):
    """One client's connection.

    Args:
        host: the `Host` of this process.
    """

    def __init__(self, host: Any, borrower: Borrower, sock: socket.socket, message: Lend) -> None:
        super().__init__(borrower, sock, message)
        self.host = host
        self.terms = _decode_terms(message.terms)
        self._page = _page(self.terms.page) if self.terms.page else None
        self._head, self._size = b"", 0  # the last step's; the next one is often as long

    def ready(self, events: int) -> None:
        if self._unsent:
            self._flush()
            return
        if events & GONE:
            self.close()
            return
        try:
            data = self.socket.recv(CHUNK, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not self.waits:
            self.at = self.loop.now
        if len(data) == self._size and data.startswith(self._head):
            request: Request | Incomplete | None = Request(False, len(self._head), self._size)
        else:
            request = match(self.terms, data) if data else None
        if request is INCOMPLETE:
            self.waits = True
        elif not isinstance(request, Request) or not self._is_valid() or not self._answer(request, data):
            self.close()

    def _is_valid(self) -> bool:
        """Whether the sender is still known to be who it was."""
        return self.loop.now < self.terms.until and (self._page is None or self._page[0] == self.terms.number)

    def _answer(self, request: Request, data: bytes) -> bool:
        """Answers a request, and returns whether it did: not if anything is unusual."""
        is_reset, start, size = request
        body = data[start:]
        instance = self.host.instances.get(self.terms.token)
        call = self._decode(body, is_reset=is_reset)
        if instance is None or call is None or (is_reset and not self._admits_reset()):
            return False  # it must be revived, it is not ordinary, or it is too early
        if not is_reset and size != self._size:
            self._head, self._size = data[:start], size
        number = self.number
        now = self.loop.now
        arrived = now if instance.graded is None else sockets.last_arrival(self.socket, now)
        self.states[number] = self.state + BEGUN
        status, headers, body = self._carry_out(instance, call, arrived)
        self.states[number] = self.state + CONSUMED
        self.socket.recv_into(_consumed, size)
        self.waits = False
        seconds = time.monotonic() - now
        self._respond(status, headers, body, seconds, is_reset=is_reset)
        self.host.count_request(is_reset=is_reset, status=status, seconds=seconds)
        return True

    def _decode(self, body: bytes, *, is_reset: bool) -> calls.StepCall | calls.ResetCall | None:
        """Returns the call in a body, or None if that is unusual."""
        if self.terms.is_packed:
            return calls.reset_of_msgpack(body) if is_reset else calls.step_of_msgpack(body)
        return calls.reset_of_json(body) if is_reset else calls.step_of_json(body)

    def _carry_out(
        self, instance: LiveInstance, call: calls.StepCall | calls.ResetCall, at: float
    ) -> tuple[int, bytes, bytes]:
        """Returns the status, the lines of the head that depend on it, and the body of the response."""
        host, terms, seq = self.host, self.terms, call.seq
        if seq is None:
            seq = ~((terms.first_call + (self.state >> 2)) & 0xFFFFFFFF)
        try:
            if isinstance(call, calls.StepCall):
                act = host.step_packed if terms.is_packed else host.step_json
                time_step: TimeStep = act(instance, call.action, seq, at)
            else:
                time_step = host.reset(instance, call.seed, call.options, seq)
            body = answers.body(time_step, instance, msgpack=terms.msgpack)
            return 200, _MSGPACK if terms.msgpack else _JSON, body
        except errors.GymserveError as caught:
            error = caught
        except BaseException as caught:  # the edge of the process: environments may return or raise anything
            verb = "step" if isinstance(call, calls.StepCall) else "reset"
            host.log.exception("%s failed", verb)
            error = errors.EnvironmentFailed(f"{verb} failed: {error_text(caught)}")
        status, headers, body = http.error_response(error)
        return status, "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode(), body

    def _respond(self, status: int, headers: bytes, body: bytes, seconds: float, *, is_reset: bool) -> None:
        terms = self.terms
        request_id = terms.request_id or f"{_process}-{next(_numbers)}"
        more = terms.reset_headers if is_reset else b""
        head = b"%b%b\r\nX-Process-Time: %.6f\r\n%bContent-Length: %d\r\n\r\n%b" % (
            _head(int(time.time()), status, is_reset, headers),
            request_id.encode(),
            seconds,
            more,
            len(body),
            body,
        )
        self.respond(head)
        if is_reset:
            sender = {"request_id": request_id, "account": terms.account, "address": terms.address}
            extra = {**sender, "milliseconds": round(seconds * 1000, 3)}
            log.info("%s %s %d", "POST", _RESET_RULE, status, extra=extra)

    def _admits_reset(self) -> bool:
        """Counts a reset against the sender's rate limit, if that allows it."""
        if self.terms.requests is None:
            return True
        subject, per_minute = self.terms.requests
        admitted: bool = not self.host.rate_limits.rates.acquire(
            "REQUESTS_PER_MINUTE", subject, rate=per_minute / 60, burst=per_minute
        )
        return admitted


@lru_cache(16)
def _head(second: int, status: int, is_reset: bool, headers: bytes) -> bytes:
    """The beginning of a response's head, up to the request's id."""
    phrase = http.reason(status)
    if is_reset and status != 200:
        phrase = phrase.upper()  # as Werkzeug writes it
    first = f"HTTP/1.1 {status} {phrase}\r\nDate: {http.date(second)}\r\nConnection: keep-alive\r\n"
    return first.encode() + headers + b"X-Request-Id: "


@lru_cache(4)
def _page(path: str) -> memoryview:
    """The numbers at the beginning of a file that other processes change."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return memoryview(mmap.mmap(descriptor, Path(path).stat().st_size, prot=mmap.PROT_READ)).cast("Q")
    finally:
        os.close(descriptor)
