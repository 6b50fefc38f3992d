"""Lend a request's connection to a host, which answers requests like this one itself from then on.

    head = lending.repeated_head(request.environ)  # None unless a loan is likely to pay
    lending.offer(request.environ, path, terms, first_call)  # it is lent once the response is sent

The connection comes back with the first request that the host does not answer. `resumed` says what became of that one.
"""

import time
from typing import NamedTuple
from wsgiref.types import WSGIEnvironment

from gymserve.system import sockets

COST = 1  # of a loan, in answers of the host that pay for it
CREDIT = range(-6, 9)  # how much a connection's loans can have gained, in the same unit


class Offer(NamedTuple):
    """A connection that a host may have.

    Attributes:
        path: the host's socket.
        terms: for the host; see `hosts/lent/terms.py`.
        first_call: identifies the first request that the host answers; the next one has the next number.
    """

    path: str
    terms: bytes
    first_call: int


class Resumed(NamedTuple):
    """A request with which a connection came back.

    Attributes:
        call: identifies the request if the host has perhaps carried it out, else None.
        is_lost: whether the host ended in the middle of it.
    """

    call: int | None = None
    is_lost: bool = False


class Loans:
    """The loans of one connection. They cost more than they save if its requests differ; then it takes ever more to lend it.

    Attributes:
        head: of the current request, if it arrived completely and nothing after it; else b"".
        digits: where the digits of its `Content-Length` are.
        offer: the current offer.
        resumed: see `resumed`.
    """

    def __init__(self) -> None:
        self.head = b""
        self.digits = (0, 0)
        self.offer: Offer | None = None
        self.resumed: Resumed | None = None
        self._last = (b"", b"")
        self._alike = 0  # how many requests in a row had the same head
        self._credit = 2

    def repeated_head(self) -> bytes | None:
        """Return the current head if enough requests in a row had the same, but for the digits of `Content-Length`."""
        start, end = self.digits
        parts = self.head[:start], self.head[end:]
        if not end or parts != self._last:
            self._last, self._alike = parts, 0
            return None
        self._alike += 1
        return self.head if self._alike >= 4 ** max(-self._credit, 0) else None

    def note(self, answered: int) -> None:
        """Note that a loan has ended after so many answers."""
        self._credit = max(CREDIT[0], min(self._credit + answered - COST, CREDIT[-1]))
        if self._credit < 0:
            self._alike = 0


def repeated_head(environ: WSGIEnvironment) -> bytes | None:
    """Return the request's head if the connection should be lent to whoever answers requests with this head."""
    loans = _loans(environ)
    return None if loans is None else loans.repeated_head()


def offer(environ: WSGIEnvironment, path: str, terms: bytes, first_call: int) -> None:
    """Offer the connection of a request to the host at `path`, see `Offer`."""
    if (loans := _loans(environ)) is not None:
        loans.offer = Offer(path, terms, first_call)


def resumed(environ: WSGIEnvironment) -> tuple[float, Resumed]:
    """Return the monotonic time when a request had arrived, and what became of it in a host."""
    now, loans = time.monotonic(), _loans(environ)
    if loans is None or loans.resumed is None:
        return now, Resumed()
    return sockets.last_arrival(environ["gunicorn.socket"], now), loans.resumed


def _loans(environ: WSGIEnvironment) -> Loans | None:
    """Return the loans of a request's connection, or None if it cannot be lent (TLS, HTTP/2, other servers' workers)."""
    unreader = getattr(getattr(environ["wsgi.input"], "reader", None), "unreader", None)
    loans: Loans | None = getattr(unreader, "loans", None)
    return loans
