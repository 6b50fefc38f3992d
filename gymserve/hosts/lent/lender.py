"""The lender: the part of a web worker that lends connections, and takes them back."""

import contextlib
import socket
from collections.abc import Callable
from typing import Any

import msgspec

from gymserve.hosts.lent import messages
from gymserve.hosts.lent.ledger import MOST, Ledger, LoanState
from gymserve.hosts.link import CHUNK, Messages, encode
from gymserve.hosts.messages import BorrowConnections

Returned = Callable[[Any, LoanState, float | None], None]


class _Link:
    """The connection to one host, and what was lent over it: number → the owner's name for the connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.ledger = Ledger()
        self.messages = Messages(messages.back)
        self.loans: dict[int, Any] = {}
        self._free: list[int] = []
        self._used = 0

    def take_number(self) -> int | None:
        """Returns a number for a loan, or None if there are too many."""
        if self._free:
            return self._free.pop()
        if self._used == MOST:
            return None
        self._used += 1
        return self._used - 1

    def return_number(self, number: int) -> None:
        """Makes a number available again."""
        self._free.append(number)


class Lender:
    """Lends the connections of this process. All methods and callbacks run in one thread, and none of them waits.

    Args:
        watch: has the thread's event loop call a function whenever a socket is readable.
        unwatch: ends that.
        returned: takes a connection back: its owner's name for it, its state in the ledger, and `Back.at`, or None if the
            host ended without giving it back.
        idle_seconds: how long a client may be silent.
    """

    def __init__(
        self,
        watch: Callable[[socket.socket, Callable[[Any], None]], object],
        unwatch: Callable[[socket.socket], object],
        returned: Returned,
        *,
        idle_seconds: float,
    ) -> None:
        self._watch, self._unwatch, self._returned = watch, unwatch, returned
        self._idle_seconds = idle_seconds
        self._links: dict[str, _Link] = {}

    def lend(self, path: str, sock: socket.socket, name: Any, terms: bytes) -> bool:
        """Lends a connection to the host at `path`, if that is possible at once; returns whether it was.

        Args:
            name: what `returned` gets.
            terms: msgpack for the borrower.
        """
        link = self._links.get(path) or self._connect(path)
        if link is None or (number := link.take_number()) is None:
            return False
        link.ledger.clear(number)
        message = encode(messages.Lend(number, self._idle_seconds, msgspec.Raw(terms)))
        try:
            sent = socket.send_fds(link.socket, [message], [sock.fileno()])
        except OSError:  # the host is too busy to read, or has just ended, which `_ready` notices
            link.return_number(number)
            return False
        link.loans[number] = name
        if sent < len(message):
            self._recall(path)  # the host cannot read on, so it gives everything back
        return True

    def recall(self) -> None:
        """Asks for everything that is lent."""
        for path in list(self._links):
            self._recall(path)

    def _recall(self, path: str) -> None:
        # Nothing may be touched until the host has given it back: it may be in the middle of a request.
        with contextlib.suppress(OSError):
            self._links.pop(path).socket.shutdown(socket.SHUT_WR)

    def _connect(self, path: str) -> _Link | None:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(path)
            link = _Link(sock)
            socket.send_fds(sock, [encode(BorrowConnections())], [link.ledger.descriptor])
        except OSError:
            sock.close()
            return None
        link.ledger.close()
        self._links[path] = link
        self._watch(sock, lambda _: self._ready(path, link))
        return link

    def _ready(self, path: str, link: _Link) -> None:
        try:
            data = link.socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(path, link)
        for message in link.messages.feed(data):
            name = link.loans.pop(message.number)
            state = link.ledger.read(message.number)
            link.return_number(message.number)
            self._returned(name, state, message.at)

    def _end(self, path: str, link: _Link) -> None:
        if self._links.get(path) is link:
            del self._links[path]
        self._unwatch(link.socket)
        link.socket.close()
        for number, name in link.loans.items():
            self._returned(name, link.ledger.read(number), None)
