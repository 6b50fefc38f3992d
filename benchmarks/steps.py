"""Measures µs per step of one agent in one CartPole over each transport, compared with a TCP echo of the same size."""

import base64
import http.client
import itertools
import json
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gymnasium
import requests

from benchmarks.processes import Server
from gymserve import client
from gymserve.protocol import wire

Act = Callable[[int], bool]  # acts once; returns whether the episode ended


def time_per_step(act: Act, reset: Callable[[], object], seconds: float) -> float:
    """Returns µs per step. Resets take part of the time, but do not count as steps."""
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for _ in range(50):
            count += 1
            if act(count & 1):
                reset()
    return (time.perf_counter() - began) / count * 1e6


def _serve_echo(listener: socket.socket, cpu: int, reply: Callable[[], bytes]) -> None:
    os.sched_setaffinity(0, {cpu})
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while connection.recv(65536):
        connection.sendall(reply())


def stepping_reply() -> Callable[[], bytes]:
    """Returns a function that steps a CartPole and returns the 16 bytes of its observation."""
    env, actions = gymnasium.make("CartPole-v1", disable_env_checker=True), itertools.cycle((0, 1))
    env.reset(seed=0)

    def reply() -> bytes:
        observation, _, terminated, truncated, _ = env.step(next(actions))
        if terminated or truncated:
            env.reset()
        return bytes(observation.tobytes())

    return reply


@contextmanager
def echo(cpu: int, size: int = 16, reply: Callable[[], bytes] | None = None) -> Iterator[Act]:
    """Runs a Python process that answers every message with `size` bytes: always the same ones, or those from `reply`."""
    payload = os.urandom(size)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = multiprocessing.get_context("fork")
        process = context.Process(target=_serve_echo, args=(listener, cpu, reply or (lambda: payload)))
        process.start()
        with socket.create_connection(listener.getsockname()) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            buffer = bytearray(size)

            def act(action: int) -> bool:
                connection.sendall(b"0123456789abcdef")
                received = 0
                while received < size:
                    received += connection.recv_into(memoryview(buffer)[received:])
                return False

            yield act
        process.join()


def local() -> tuple[Act, Callable[[], object]]:
    env = gymnasium.make("CartPole-v1", disable_env_checker=True)
    env.reset(seed=0)

    def act(action: int) -> bool:
        _, _, terminated, truncated, _ = env.step(action)
        return bool(terminated or truncated)

    return act, env.reset


def raw_stream(server: Server, env_id: str = "CartPole-v1", token: str = "") -> tuple[Act, Callable[[], object]]:
    """Speaks the stream protocol over a plain socket, with the instance of `token` or a new one."""
    token = token or server.create(env_id)
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET /v1/envs/{token}/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    connection.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    connection.recv(4096)
    steps = [wire.frame(wire.BINARY, wire.pack((wire.STEP, None, action)), mask=True) for action in (0, 1)]
    start = wire.frame(wire.BINARY, wire.pack((wire.RESET, None, 0, None)), mask=True)

    buffer = memoryview(bytearray(1 << 18))

    def receive() -> memoryview:
        received, header = connection.recv_into(buffer), None
        while header is None or received < header[1] + header[3]:
            header = wire.header(buffer[:received])
            if header is None or received < header[1] + header[3]:
                received += connection.recv_into(buffer[received:])
        return buffer[header[3] : received]

    def act(action: int) -> bool:
        connection.sendall(steps[action])
        answer = wire.unpack(receive())
        return bool(answer[4] or answer[5])

    def reset() -> None:
        connection.sendall(start)
        receive()

    reset()
    return act, reset


def python_client(server: Server) -> tuple[Act, Callable[[], object]]:
    env = client.make("CartPole-v1", server=server.url)
    env.reset(seed=0)

    def act(action: int) -> bool:
        _, _, terminated, truncated, _ = env.step(action)
        return bool(terminated or truncated)

    return act, env.reset


def raw_http(server: Server) -> tuple[Act, Callable[[], object]]:
    """Speaks HTTP over a plain socket that stays open."""
    token = server.create("CartPole-v1")
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(call: str, body: dict[str, int]) -> bytes:
        text = json.dumps(body).encode()
        head = f"POST /v1/envs/{token}/{call}/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text

    steps, start = [request("step", {"action": action}) for action in (0, 1)], request("reset", {})

    def act(action: int) -> bool:
        connection.sendall(steps[action])
        return b'"done":true' in connection.recv(65536)

    def reset() -> None:
        connection.sendall(start)
        connection.recv(65536)

    reset()
    return act, reset


def http_pictures(server: Server, media: str) -> tuple[Act, Callable[[], object]]:
    """Steps an environment with pictures over HTTP on a plain socket, and decodes the answers, which are of `media`."""
    path = f"/v1/envs/{server.create('Pictures-v0')}"
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {"Content-Type": "application/json", "Accept": media}
    decode: Callable[[bytes], dict[str, object]] = wire.unpack if media == "application/msgpack" else json.loads

    def call(name: str, body: bytes) -> dict[str, object]:
        connection.request("POST", f"{path}/{name}/", body, headers)
        return decode(connection.getresponse().read())

    def reset() -> None:
        call("reset", b"{}")

    def act(action: int) -> bool:
        return bool(call("step", b'{"action": %d}' % action)["done"])

    reset()
    return act, reset


def with_requests(server: Server) -> tuple[Act, Callable[[], object]]:
    """Uses a `requests` session, as most Python scripts do."""
    session, base = requests.Session(), f"{server.url}/v1/envs/{server.create('CartPole-v1')}"

    def reset() -> None:
        session.post(f"{base}/reset/", json={})

    def act(action: int) -> bool:
        return bool(session.post(f"{base}/step/", json={"action": action}).json()["done"])

    reset()
    return act, reset


def old_client(server: Server) -> tuple[Act, Callable[[], object]]:
    """Uses `client.Client`, as scripts for openai/gym-http-api do."""
    remote = client.Client(server.url)
    token = remote.env_create("CartPole-v1")
    remote.env_reset(token)
    return (lambda action: bool(remote.env_step(token, action)[2])), (lambda: remote.env_reset(token))
