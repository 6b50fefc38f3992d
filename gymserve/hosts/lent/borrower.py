"""The borrower: the part of a host that gets connections lent, and gives them back."""

import select
import socket
from collections import deque
from collections.abc import Callable

from gymserve.hosts.channel import CHUNK, READ, Channel
from gymserve.hosts.lent import messages
from gymserve.hosts.lent.ledger import Ledger
from gymserve.hosts.link import Messages, encode
from gymserve.hosts.loop import Loop

GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
WAIT_SECONDS = 1.0  # for the rest of a request; then the web server waits for it, with the limits that it has
SEND_SECONDS = 10.0  # for a client to receive a response
BYTES_PER_SECOND = 20_000  # large responses get more time


class Borrower(Channel):
    """The link to one lender. When it ends, all connections that came over it go back.

    Args:
        ledger: the descriptor of the lender's ledger.
        open_connection: makes the channel of a lent connection from its socket, its number and its terms.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        ledger: int,
        open_connection: "Callable[[Borrower, socket.socket, messages.Lend], BorrowedConnection]",
    ) -> None:
        super().__init__(loop, sock)
        self.ledger = Ledger(ledger)
        self.ledger.close()
        self.connections: set[BorrowedConnection] = set()
        self._open_connection = open_connection
        self._messages = Messages(messages.lend)
        self._descriptors: deque[int] = deque()  # received, but not their whole messages yet
        self._recalled = False

    def ready(self, events: int) -> None:
        if self._unsent:
            self._flush()
            return
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, CHUNK, 16, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        self._descriptors.extend(descriptors)
        for message in self._messages.feed(data):
            if not self._descriptors:  # this process can have no more of them
                self.close()
                return
            sock = socket.socket(fileno=self._descriptors.popleft())
            self.connections.add(self._open_connection(self, sock, message))
        if not data:
            self._give_all_back()

    def give_back(self, connection: "BorrowedConnection") -> None:
        """Tells the lender that a connection is its own again. The descriptor of this process must be closed."""
        self.connections.discard(connection)
        if not self.closed:
            self.send(encode(messages.Back(connection.number, connection.at)))
        if self._recalled and not self.connections:
            self.end()

    def tick(self) -> None:
        """Gives back what has been idle for too long; to be called every second."""
        for connection in list(self.connections):
            connection.tick()

    def close(self) -> None:
        super().close()
        for connection in list(self.connections):
            connection.close()

    def _give_all_back(self) -> None:
        """The lender has recalled everything, or has ended. Responses that were sent in part are sent completely first."""
        self._recalled = True
        self.events = select.EPOLLET  # else the end of the link would be reported again and again
        self.loop.poll.modify(self.descriptor, self.events)
        for connection in list(self.connections):
            connection.end()
        if not self.connections:
            self.end()


class BorrowedConnection(Channel):
    """A connection that was lent. Its subclass reads requests with MSG_PEEK, and answers them or closes the channel.

    The lender has a descriptor of the same socket, so the socket's flags are shared, and the connection stays open when the
    channel is closed: that gives it back.

    Attributes:
        state: 4 × the number of requests that were answered; the same as in the ledger while no request is under way.
        at: see `messages.Back`.
    """

    busy_polls = 40  # about 50 µs
    # Edge-triggered: data that was only peeked at would be reported again and again.
    events = READ | select.EPOLLET | select.EPOLLRDHUP

    def __init__(self, borrower: Borrower, sock: socket.socket, message: messages.Lend) -> None:
        super().__init__(borrower.loop, sock)
        self.borrower, self.number, self.states = borrower, message.number, borrower.ledger.states
        self._idle_seconds = message.idle_seconds
        self.state = 0
        self.at = self.loop.now
        self.waits = False  # whether a part of a request has arrived, at `at`
        self._deadline = 0.0  # for sending the rest of a response
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def respond(self, response: bytes) -> None:
        """Sends the response to a request that was consumed."""
        self.send(response)
        if not self._unsent:
            self.sent()
        else:
            self._deadline = self.loop.now + SEND_SECONDS + len(response) / BYTES_PER_SECOND

    def sent(self) -> None:
        if not self.closed:
            self.state += 4
            self.states[self.number] = self.state
            self.at = self.loop.now

    def tick(self) -> None:
        """Gives the connection back if its client has not sent anything, or all of a request, or received a response."""
        now = self.loop.now
        if self._unsent:
            if now > self._deadline:
                self.close()
        elif now > self.at + (WAIT_SECONDS if self.waits else self._idle_seconds):
            self.close()

    def close(self) -> None:
        """Gives the connection back."""
        if not self.closed:
            super().close()
            self.borrower.give_back(self)
