"""Connections go to a borrower and come back; neither side waits, and no two processes read from one at the same time."""

import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gymserve.hosts.channel import CHUNK
from gymserve.hosts.lent import borrower as borrowing
from gymserve.hosts.lent.borrower import BorrowedConnection, Borrower
from gymserve.hosts.lent.ledger import BEGUN, CONSUMED, IDLE, LoanState
from gymserve.hosts.lent.lender import Lender
from gymserve.hosts.lent.messages import Lend
from gymserve.hosts.link import Messages
from gymserve.hosts.loop import Loop
from gymserve.hosts.messages import BorrowConnections, host_request


class Echo(BorrowedConnection):
    """Answers each line with itself, and gives the connection back for "back"."""

    def ready(self, events: int) -> None:
        if self._unsent:
            self._flush()
            return
        data = self.socket.recv(CHUNK, socket.MSG_PEEK)
        if data == b"back\n" or not data:
            self.close()
        elif not data.endswith(b"\n"):
            self.waits = True
        else:
            self.waits = False
            self.states[self.number] = self.state + CONSUMED
            self.socket.recv(len(data))
            self.respond(data if data != b"large\n" else bytes(1 << 24))


class Sides:
    """A worker and a host in this process, and clients of the worker."""

    def __init__(self, folder: str) -> None:
        self.path = f"{folder}/host"
        self.listener = socket.create_server(self.path, family=socket.AF_UNIX)
        self.loop = Loop(logging.getLogger("test"))
        self.watched: dict[socket.socket, Callable[[Any], None]] = {}
        self.lender = Lender(self.watched.__setitem__, self.watched.__delitem__, self._note, idle_seconds=75.0)
        self.returned: list[tuple[Any, LoanState, float | None]] = []
        self.sockets: list[socket.socket] = []
        self.borrower: Borrower

    def _note(self, name: Any, state: LoanState, at: float | None) -> None:
        self.returned.append((name, state, at))

    def lend(self) -> tuple[socket.socket, socket.socket]:
        """Lends a connection, whose name is its descriptor; returns the client's end and the worker's."""
        client, server = socket.socketpair()
        self.sockets += [client, server]
        client.settimeout(10)
        server.setblocking(False)
        is_first = not self.watched
        assert self.lender.lend(self.path, server, server.fileno(), b"\xa5terms")
        if is_first:
            link, _ = self.listener.accept()
            data, (descriptor,), _, _ = socket.recv_fds(link, CHUNK, 1)
            assert Messages(host_request).feed(data) == [BorrowConnections()]
            self.borrower = Borrower(self.loop, link, descriptor, self._open)
        self.turn()
        return client, server

    def _open(self, borrower: Borrower, sock: socket.socket, message: Lend) -> Echo:
        assert bytes(message.terms) == b"\xa5terms"
        return Echo(borrower, sock, message)

    def turn(self) -> None:
        """Lets both sides work until nothing is left to do."""
        while True:
            ready = self.loop.poll.poll(0)
            for descriptor, events in ready:
                if (channel := self.loop.channels.get(descriptor)) is not None:
                    channel.ready(events)
            before = len(self.returned)
            for sock, callback in list(self.watched.items()):
                callback(sock)
            if not ready and before == len(self.returned):
                return

    def close(self) -> None:
        for channel in list(self.loop.channels.values()):
            channel.close()
        for sock in (*self.sockets, *self.watched, self.listener):
            sock.close()
        self.loop.poll.close()


@pytest.fixture
def sides() -> Iterator[Sides]:
    with tempfile.TemporaryDirectory() as folder:
        both = Sides(folder)
        yield both
        both.close()


def test_a_lent_connection_is_answered_and_comes_back(sides: Sides) -> None:
    client, server = sides.lend()
    for line in (b"one\n", b"two\n"):
        client.sendall(line)
        sides.turn()
        assert client.recv(100) == line
    client.sendall(b"back\n")
    sides.turn()
    ((name, state, at),) = sides.returned
    assert (name, state.answered, state.phase) == (server.fileno(), 2, IDLE) and at is not None
    assert server.recv(100) == b"back\n"  # still unread
    assert not server.getblocking()
    client.sendall(b"and on\n")
    assert sides.loop.poll.poll(0) == []  # it is not the host's any more
    assert server.recv(100) == b"and on\n"


def test_a_loans_state_does_not_depend_on_earlier_ones(sides: Sides) -> None:
    for answered in (2, 0):
        client, _ = sides.lend()
        for _ in range(answered):
            client.sendall(b"line\n")
            sides.turn()
        client.sendall(b"back\n")
        sides.turn()
        assert sides.returned[-1][1] == LoanState(answered, IDLE)


def test_many_connections_come_and_go_over_one_link(sides: Sides) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for round_ in range(3):
        pairs = [sides.lend() for _ in range(30)]
        assert len(sides.watched) == 1 and len(sides.borrower.connections) == 30
        for client, _ in pairs:
            client.sendall(b"back\n")
        sides.turn()
        assert sorted(name for name, _, _ in sides.returned[30 * round_ :]) == sorted(s.fileno() for _, s in pairs)
    for sock in sides.sockets:
        sock.close()
    assert len(os.listdir("/proc/self/fd")) <= before + 4 and not sides.borrower.connections


@pytest.mark.parametrize("phase", [IDLE, BEGUN, CONSUMED])
def test_the_end_of_a_host_returns_everything_with_its_state(sides: Sides, phase: int) -> None:
    client, server = sides.lend()
    client.sendall(b"one\n")
    sides.turn()
    client.sendall(b"two\n")
    (connection,) = sides.borrower.connections
    connection.states[connection.number] = connection.state + phase
    connection.detach()  # as if the process was killed
    connection.socket.close()
    sides.borrower.connections.clear()
    sides.borrower.close()
    sides.turn()
    ((name, state, at),) = sides.returned
    assert (name, state, at) == (server.fileno(), LoanState(1, phase), None) and not sides.watched
    assert server.recv(100) == b"two\n"


def test_a_recall_returns_everything_after_responses_that_were_begun(sides: Sides) -> None:
    idle, slow = sides.lend(), sides.lend()
    slow[0].sendall(b"large\n")
    sides.turn()
    sides.lender.recall()
    sides.turn()
    assert [name for name, _, _ in sides.returned] == [idle[1].fileno()]
    size = 0
    while size < 1 << 24:
        size += len(slow[0].recv(1 << 20))
        sides.turn()
    assert [name for name, _, _ in sides.returned] == [idle[1].fileno(), slow[1].fileno()]
    assert sides.returned[1][1].phase == IDLE and not sides.watched and sides.borrower.closed


def test_the_end_of_a_worker_closes_its_connections(sides: Sides) -> None:
    client, server = sides.lend()
    server.close()
    for link in list(sides.watched):
        link.close()
    sides.watched.clear()
    sides.turn()
    assert client.recv(100) == b"" and sides.borrower.closed


def test_what_waits_too_long_comes_back(sides: Sides) -> None:
    idle, half, slow = sides.lend(), sides.lend(), sides.lend()
    half[0].sendall(b"half a li")
    slow[0].sendall(b"large\n")
    sides.turn()
    assert sides.loop.poll.poll(0) == []  # what was seen once is not reported again
    began = sides.loop.now
    for seconds, *back in (
        (0.5,),
        (1.5, half),
        (borrowing.SEND_SECONDS + 1, half),
        (74.0, half),
        (76.0, half, idle),
        (2000.0, half, idle, slow),
    ):
        sides.loop.now = began + seconds
        sides.borrower.tick()
        sides.turn()
        assert [name for name, _, _ in sides.returned] == [server.fileno() for _, server in back]
    assert sides.returned[0][2] == began and half[1].recv(100) == b"half a li"
    assert sides.returned[-1][1].phase == CONSUMED


def test_nothing_is_lent_to_a_host_that_does_not_exist(sides: Sides) -> None:
    client, server = socket.socketpair()
    with client, server:
        assert not sides.lender.lend(f"{sides.path}-gone", server, 1, b"\xc0")
    assert not sides.watched


def test_a_busy_host_is_not_waited_for(sides: Sides) -> None:
    sides.lend()
    client, server = socket.socketpair()
    with client, server:
        lent = 0
        while sides.lender.lend(sides.path, server, lent, b"\xa5terms"):
            lent += 1
        assert 0 < lent < borrowing.CHUNK
        sides.turn()
        sides.lender.recall()
        sides.turn()
    assert len(sides.returned) == lent + 1
