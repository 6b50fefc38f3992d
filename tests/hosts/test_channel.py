"""A channel: what its socket has no room for is sent later, in order."""

import logging
import socket

from gymserve.hosts.channel import Channel
from gymserve.hosts.loop import Loop


class Echo(Channel):
    """Sends back what it receives."""

    def messages(self, data: bytes) -> list[bytes]:
        return [data]

    def handle(self, message: bytes) -> None:
        self.send(message)


def test_what_a_socket_has_no_room_for_is_sent_later_in_order() -> None:
    loop = Loop(logging.getLogger("test.channel"))
    ours, peer = socket.socketpair()
    peer.settimeout(10)
    channel = Echo(loop, ours)
    peer.sendall(b"request")
    channel.send(b"a" * 1000, b"b" * 2**21)
    channel.send(b"c")
    expected = b"a" * 1000 + b"b" * 2**21 + b"crequest"
    received = b""
    while len(received) < len(expected):
        for descriptor, events in loop.poll.poll(0):
            loop.channels[descriptor].ready(events)
        received += peer.recv(1 << 20)
    assert received == expected
    channel.end()
    assert channel.closed and peer.recv(1) == b"" and not loop.channels
    peer.close()
    loop.poll.close()
