"""A non-blocking socket in a host's event loop, with back-pressure: it stops reading while answers are unsent."""

import select
import socket
from collections import deque
from typing import Any

from gymserve.hosts.loop import Loop

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
CHUNK = 1 << 16  # bytes received at once


class Channel:
    """Receives messages and answers them in order; stops reading while its peer does not read the answers."""

    busy_polls = 0  # how many times to poll for the peer's next message before sleeping
    events = READ  # what to wait for while nothing is unsent

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.loop = loop
        self.socket = sock
        self.descriptor = sock.fileno()
        self.closed = False
        self.ending = False  # close as soon as all is sent
        self._unsent = b""
        self._waiting: deque[object] = deque()  # messages that arrived while an answer could not be sent
        loop.channels[self.descriptor] = self
        loop.poll.register(self.descriptor, self.events)

    def messages(self, data: bytes) -> list[Any]:
        """Returns the messages that `data` completes."""
        raise NotImplementedError

    def handle(self, message: Any) -> None:
        """Carries out one message."""
        raise NotImplementedError

    def sent(self) -> None:
        """Called when the rest of an answer is sent that could not be sent at once."""

    def ready(self, events: int) -> None:
        """Handles a socket that is readable, writable or failed."""
        if self._unsent:
            self._flush()
            return
        try:
            data = self.socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        for message in self.messages(data):
            if self._unsent or self._waiting:
                self._waiting.append(message)
            else:
                self.handle(message)

    def send(self, data: bytes, large: bytes = b"") -> None:
        """Sends `data` and then `large`, which is not copied, now or as soon as the socket is writable."""
        if self.closed:
            return
        if self._unsent:
            self._unsent += data + large
            return
        try:
            sent = self.socket.sendmsg((data, large)) if large else self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data) + len(large):
            self._unsent = (data + large)[sent:]
            self.loop.poll.modify(self.descriptor, WRITE)

    def end(self) -> None:
        """Closes once all is sent."""
        self.ending = True
        if not self._unsent:
            self.close()

    def _flush(self) -> None:
        try:
            sent = self.socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            return
        self.sent()
        if self.ending:
            self.close()
            return
        self.loop.poll.modify(self.descriptor, self.events)
        while self._waiting and not self._unsent and not self.closed:
            self.handle(self._waiting.popleft())

    def close(self) -> None:
        if not self.closed:
            self.detach()
            self.socket.close()

    def detach(self) -> None:
        """Leaves the socket to somebody else, open.

        It is unregistered first: closing a descriptor does not unregister it while another process has one of the socket.
        """
        self.closed = True
        self.loop.poll.unregister(self.descriptor)
        del self.loop.channels[self.descriptor]
