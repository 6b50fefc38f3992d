"""A stream's bytes become replies however they are cut, shown without any I/O."""

import itertools

import pytest

from gymserve import client
from gymserve.client.transport.address import Address
from gymserve.client.transport.exceptions import CannotUpgrade
from gymserve.client.transport.websocket import MAX_HANDSHAKE, Handshake, Incoming
from gymserve.protocol import wire

ADDRESS = Address.of("http://user:secret@example.org:8000/gym", "a-token")


def received(incoming: Incoming, pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """(Replies, pongs) for what arrives in `pieces`, as the connections read them."""
    replies, pongs = [], b""
    for piece in pieces:
        if reply := incoming.small(piece):
            replies.append(reply)
            continue
        fed, sent = incoming.feed(piece)
        pongs += sent
        if fed is not None:
            replies.append(fed)
    return replies, pongs


@pytest.mark.parametrize("size", [1, 125, 126, 65535, 65536])
def test_a_reply_is_whole_however_it_is_cut(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    frame = wire.frame(wire.BINARY, payload)
    for cut in {0, 1, 2, 3, 5, 128, 129, len(frame) - 1}:
        incoming = Incoming()
        pieces = [piece for piece in (frame[:cut], frame[cut:]) if piece]
        assert received(incoming, pieces) == ([payload], b"")
        assert received(incoming, [wire.frame(wire.BINARY, b"next")]) == ([b"next"], b"")


def test_a_small_frame_in_the_middle_of_another_is_a_part_of_it() -> None:
    inner = wire.frame(wire.BINARY, b"inner")
    outer = wire.frame(wire.BINARY, bytes(10) + inner)
    incoming = Incoming()
    assert received(incoming, [outer[:12], inner]) == ([bytes(10) + inner], b"")


def test_only_a_single_large_frame_is_received_in_place() -> None:
    large = wire.frame(wire.BINARY, bytes(200))
    incoming = Incoming()
    assert incoming.large(large) == incoming.large(large[:50]) == (200, 4)
    for other in (
        wire.frame(wire.BINARY, bytes(125)),
        large + b"\x89",
        wire.frame(wire.PING, b""),
        b"\x02\x7e\x00\xc8",
        b"",
    ):
        assert incoming.large(other) is None
    incoming.feed(large[:10])
    assert incoming.large(large) is None


def test_fragments_are_joined_and_pings_between_them_answered() -> None:
    ping = wire.frame(wire.PING, b"are you there")
    incoming = Incoming()
    replies, pongs = received(incoming, [b"\x02\x02he" + ping + ping, b"\x80\x03llo"])
    assert replies == [b"hello"]
    assert wire.Frames(limit=1000, expect_mask=True).feed(pongs) == [(wire.PONG, b"are you there")] * 2


def test_a_reply_before_the_goodbye_counts() -> None:
    incoming = Incoming()
    last = wire.frame(wire.BINARY, b"last") + wire.frame(wire.CLOSING, wire.closing(1012))
    assert received(incoming, [last]) == ([b"last"], b"") and incoming.ended
    assert not incoming.small(wire.frame(wire.BINARY, b"more"))


def test_a_masked_frame_from_a_server_breaks_the_protocol() -> None:
    with pytest.raises(wire.ProtocolError):
        Incoming().feed(wire.frame(wire.BINARY, b"hello", mask=True))


def response(handshake: Handshake, status: str = "101 Switching Protocols", body: bytes = b"") -> bytes:
    key = next(line for line in handshake.request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key: "))
    accept = wire.accept_key(key.partition(b": ")[2].decode())
    head = f"HTTP/1.1 {status}\r\nSEC-websocket-accept:  {accept} \r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_the_handshake_names_the_path_the_host_and_the_token() -> None:
    lines = Handshake(ADDRESS, "/v1/envs/x/stream?compression=lz4").request.decode().split("\r\n")
    assert lines[0] == "GET /gym/v1/envs/x/stream?compression=lz4 HTTP/1.1"
    assert {"Host: example.org:8000", "Upgrade: websocket", "Connection: Upgrade"} < set(lines)
    assert "Authorization: Bearer a-token" in lines and lines[-2:] == ["", ""]


def test_the_handshake_is_read_however_it_is_cut_and_keeps_what_follows() -> None:
    for cut in range(0, 110, 7):
        handshake = Handshake(ADDRESS, "/")
        whole = response(handshake)
        assert not cut or not handshake.feed(whole[:cut])
        assert handshake.feed(whole[cut:] + b"early") and handshake.check() == b"early"


def test_a_refusal_is_read_to_its_end() -> None:
    body = b'{"error": "UnknownInstance", "message": "Instance_id x unknown"}'
    handshake = Handshake(ADDRESS, "/")
    whole = response(handshake, "400 Bad Request", body)
    assert [handshake.feed(bytes((byte,))) for byte in whole] == [*itertools.repeat(False, len(whole) - 1), True]
    with pytest.raises(client.UnknownInstance, match="Instance_id x unknown"):
        handshake.check()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", client.ConnectionLost),
        (b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: wrong\r\n\r\n", CannotUpgrade),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", CannotUpgrade),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", client.Unavailable),
        (b"SSH-2.0-OpenSSH\r\n\r\n", CannotUpgrade),
    ],
    ids=["nothing", "wrong key", "no WebSocket", "proxy", "no HTTP"],
)
def test_a_failed_handshake_says_what_it_was(data: bytes, error: type[Exception]) -> None:
    handshake = Handshake(ADDRESS, "/")
    assert handshake.feed(data) or handshake.feed(b"")
    with pytest.raises(error):
        handshake.check()


def test_an_endless_response_is_given_up() -> None:
    assert Handshake(ADDRESS, "/").feed(bytes(MAX_HANDSHAKE + 1))
