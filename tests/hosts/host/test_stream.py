"""The stream, spoken with a standard WebSocket library and with bare sockets, as docs/agents/stream.md describes it."""

import contextlib
import json
import random
import socket
from typing import Any

import gymnasium
import lz4.frame
import numpy as np
import pytest
import zstandard
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gymserve.hosts.link import Link
from gymserve.hosts.messages import GetStatus
from tests.hosts.host.streams import HANDSHAKE, ask, pack, raw, stream, tell, unpack
from tests.support.servers import Server, wait_for


def test_streams_that_are_closed_within_a_second_are_no_longer_counted(server: Server) -> None:
    """The supervisor counts a stream when it begins; hosts report once a second which are open."""
    token = server.create("CartPole-v1")
    with contextlib.closing(Link((server.data / "supervisor").read_text() + "/supervisor", timeout=60)) as supervisor:
        for _ in range(3):
            with stream(server, token):
                pass
            wait_for(lambda: supervisor.call(GetStatus()).streams == 0)


def test_binary_messages_carry_raw_observations(server: Server) -> None:
    env = gymnasium.make("CartPole-v1")
    with stream(server, server.create("CartPole-v1")) as connection:
        kind, seq, observation, info = ask(connection, 0, 5, 3, None)
        assert (kind, seq, info) == (0, 5, {}) and observation == env.reset(seed=3)[0].tobytes()
        for seq in range(6, 30):
            answer = ask(connection, 1, seq, seq % 2)
            expected = env.step(seq % 2)
            assert answer == [1, seq, expected[0].tobytes(), expected[1], expected[2], expected[3], {}]
        assert ask(connection, 2, None)[2].startswith(b"\x89PNG")


def test_text_messages_equal_those_of_http(server: Server) -> None:
    env = gymnasium.make("Pendulum-v1")
    with stream(server, server.create("Pendulum-v1")) as connection:
        answer = tell(connection, op="reset", seed=1)
        assert answer == {"op": "reset", "seq": None, "observation": env.reset(seed=1)[0].tolist(), "info": {}}
        answer = tell(connection, op="step", seq=0, action=[0.5])
        observation, reward, *_ = env.step(np.array([0.5], np.float32))
        assert answer["observation"] == observation.tolist() and answer["reward"] == reward and answer["done"] is False


@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_compressed_messages(server: Server, name: str) -> None:
    token = server.create("CartPole-v1", num_envs=256)
    with stream(server, token, f"?compression={name}") as connection:
        connection.send(b"\0" + pack((0, None, 3, None)))
        answer = connection.recv(timeout=30)
        assert isinstance(answer, bytes) and answer[0] == 1
        plain = zstandard.ZstdDecompressor().decompressobj() if name == "zstd" else lz4.frame.LZ4FrameDecompressor()
        assert len(unpack(plain.decompress(answer[1:]))[2]) == 256 * 16
        action = pack((1, None, np.ones(256, np.int64).tobytes()))
        squeeze = zstandard.ZstdCompressor().compress if name == "zstd" else lz4.frame.compress
        connection.send(b"\1" + squeeze(action))
        assert connection.recv(timeout=30)[0] == 1
        connection.send(b"\1not compressed")
        assert unpack(connection.recv(timeout=30)[1:])[2:4] == [400, "InvalidRequest"]


def test_unknown_compression_is_refused_before_the_upgrade(server: Server) -> None:
    with pytest.raises(InvalidStatus, match="400"), stream(server, server.create("CartPole-v1"), "?compression=zip"):
        pass


def test_a_vector_instance_needs_one_message_per_step(server: Server) -> None:
    local = gymnasium.make_vec("CartPole-v1", 8, "vector_entry_point")
    with stream(server, server.create("CartPole-v1", num_envs=8)) as connection:
        assert (
            ask(connection, 0, None, 3, None)[2] == np.ascontiguousarray(local.reset(seed=3)[0], np.float32).tobytes()
        )
        actions = np.arange(8) % 2
        _, _, observations, rewards, terminated, truncated, _ = ask(connection, 1, None, actions.tobytes())
        expected = local.step(actions)
        assert observations == np.ascontiguousarray(expected[0], np.float32).tobytes()
        assert np.array_equal(np.frombuffer(rewards), expected[1])
        assert len(terminated) == len(truncated) == 8 and not any(terminated + truncated)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ((1, None, 2), "InvalidValue"),
        ((1, None, True), "InvalidValue"),
        ((1, None), "InvalidRequest"),
        ((1, -1, 0), "InvalidRequest"),
        ((1, "x", 0), "InvalidRequest"),
        ((9, 7), "InvalidRequest"),
        ((), "InvalidRequest"),
        ((0, 7, -1, None), "InvalidRequest"),
        ((0, None, None, 5), "InvalidRequest"),
        (("a", [1], {}), "InvalidRequest"),
    ],
)
def test_a_malformed_message_gets_an_error_and_the_stream_goes_on(server: Server, message: Any, name: str) -> None:
    with stream(server, server.create("CartPole-v1")) as connection:
        ask(connection, 0, None, None, None)
        assert ask(connection, *message)[1:4] == [7 if 7 in message else None, 400, name]
        assert ask(connection, 1, None, 0)[0] == 1


WRONG_TEXTS = (
    "{", "[]", "null", '{"op": "jump"}', '{"op": [1]}', '{"op": "step"}', '{"op": "step", "action": NaN}'
)  # fmt: skip


@pytest.mark.parametrize("text", WRONG_TEXTS)
def test_a_malformed_text_gets_an_error_and_the_stream_goes_on(server: Server, text: str) -> None:
    with stream(server, server.create("CartPole-v1")) as connection:
        tell(connection, op="reset")
        connection.send(text)
        assert json.loads(connection.recv(timeout=30))["op"] == "error"
        assert tell(connection, op="step", action=0)["op"] == "step"


def test_random_bytes_never_crash_a_host(server: Server) -> None:
    chance = random.Random(1)
    token = server.create("CartPole-v1")
    hosts = server.hosts()
    with stream(server, token) as connection:
        for _ in range(2000):
            message = chance.randbytes(chance.randrange(60))
            if message[:2] == b"\x92\x03":
                continue  # would close the instance
            connection.send(message if chance.random() < 0.8 else message.decode("latin-1"))
            connection.recv(timeout=30)
        assert ask(connection, 0, None, None, None)[0] == 0
    assert set(hosts) <= set(server.hosts())


def test_several_streams_serve_one_instance(server: Server) -> None:
    token = server.create("CartPole-v1")
    with stream(server, token) as one, stream(server, token) as other:
        ask(one, 0, 1, 3, None)
        assert ask(other, 1, 2, 0)[1] == 2
        assert ask(one, 1, 2, 0)[1] == 2  # repeated: the recorded answer
        assert ask(one, 1, 2, 1)[2:4] == [422, "KeyReused"]
        assert ask(one, 1, 4, 0)[2:] == [409, "OutOfSequence", "seq 4 is out of order: expected 3"]
    assert server.get(f"/v1/envs/{token}/").json["steps"] == 1


def test_closing_the_instance_closes_all_its_streams(server: Server) -> None:
    token = server.create("CartPole-v1")
    with stream(server, token) as one, stream(server, token) as other:
        assert ask(one, 3, 7) == [3, 7]
        for connection in (one, other):
            with pytest.raises(ConnectionClosed) as closed:
                connection.recv(timeout=30)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
    assert token not in server.get("/v1/envs/").json["all_envs"]


def test_fragments_are_joined_and_pings_are_answered(server: Server) -> None:
    with stream(server, server.create("CartPole-v1")) as connection:
        message = pack((0, None, None, None))
        connection.send([message[:1], message[1:2], message[2:]])
        assert unpack(connection.recv(timeout=30))[0] == 0
        assert connection.ping().wait(30)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x82\x01\x00", 1002),  # not masked
        (b"\xf2\x81aaaaa", 1002),  # reserved bits
        (b"\x83\x81aaaaa", 1002),  # unknown opcode
        (b"\x80\x81aaaaa", 1002),  # continues nothing
        (b"\x09\x81aaaaa", 1002),  # a fragmented ping
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffaaaa", 1009),  # 2**63 bytes
    ],
)
def test_malformed_frames_end_only_the_stream(server: Server, frame: bytes, code: int) -> None:
    token = server.create("CartPole-v1")
    with raw(server, token) as connection:
        connection.sendall(frame)
        answer = connection.recv(4096)
        assert answer[0] == 0x88 and int.from_bytes(answer[2:4], "big") == code
        assert connection.recv(4096) == b""
    assert server.post(f"/v1/envs/{token}/reset/").status == 200


def test_a_message_with_the_handshake_is_not_lost(server: Server) -> None:
    token = server.create("CartPole-v1")
    payload = pack((0, None, None, None))
    early = bytes((0x82, 0x80 | len(payload))) + b"\0\0\0\0" + payload
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(HANDSHAKE.format(token=token).encode() + early)
        received = b""
        while b"\r\n\r\n" not in received or not received.partition(b"\r\n\r\n")[2]:
            received += connection.recv(4096)
        assert received.partition(b"\r\n\r\n")[2][0] == 0x82


def test_an_unknown_instance_gets_no_upgrade(server: Server) -> None:
    for token in ("nothing", "s0-aaaaaaaaaaaaaaaaaaaaaa"):
        with pytest.raises(InvalidStatus, match="400"), stream(server, token):
            pass
    answer = server.get(f"/v1/envs/{server.create('CartPole-v1')}/stream")
    assert answer.status == 400 and "Upgrade: websocket" in answer.json["message"]
