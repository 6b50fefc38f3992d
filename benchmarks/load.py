"""Measures parallel load: vector instances, 256 agents, 10,000 instances."""

import multiprocessing
import os
import select
import socket
import time
from concurrent import futures
from typing import Any

import gymnasium
import numpy as np
import urllib3

from benchmarks.environments import Slow
from benchmarks.processes import Server
from gymserve import client
from gymserve.protocol import wire


def vector(server: Server, num_envs: int, mode: str, seconds: float) -> tuple[float, float]:
    """Environment steps per second (remote, local) of one vector instance."""
    actions = np.arange(num_envs) % 2
    settings: dict[str, Any] = {"autoreset_mode": "SameStep"} if mode == "sync" else {}
    remote = client.make_vec("CartPole-v1", num_envs=num_envs, server=server.url, **settings)
    kwargs = {"vector_kwargs": {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}} if mode == "sync" else {}
    local = gymnasium.make_vec("CartPole-v1", num_envs, mode, **kwargs)
    rates: list[list[float]] = [[], []]
    for env in (remote, local):
        env.reset(seed=0)
    for _ in range(3):
        for env, own_rates in zip((remote, local), rates, strict=True):
            count, began = 0, time.perf_counter()
            while time.perf_counter() - began < seconds:
                for _ in range(10):
                    env.step(actions)
                count += 10 * num_envs
            own_rates.append(count / (time.perf_counter() - began))
    remote.close()
    return float(np.median(rates[0])), float(np.median(rates[1]))


def slow_vector(server: Server, num_envs: int, seconds: float) -> tuple[float, float]:
    """Steps per second of copies whose steps compute for 20 ms: (remote, each in a local process that does nothing else)."""
    remote = client.make_vec("Slow-v0", num_envs, vectorization_mode="async", server=server.url)
    remote.reset()
    context = multiprocessing.get_context("fork")
    rates: list[list[float]] = [[], []]
    for _ in range(3):
        count, began = 0, time.perf_counter()
        remote.step_async(np.zeros(num_envs, np.int64))
        while time.perf_counter() - began < seconds:
            remote.step_wait()
            remote.step_async(np.zeros(num_envs, np.int64))
            count += num_envs
        rates[0].append(count / (time.perf_counter() - began))
        remote.step_wait()
        results = context.Queue()
        processes = [context.Process(target=_step_alone, args=(seconds, results)) for _ in range(num_envs)]
        for process in processes:
            process.start()
        rates[1].append(sum(results.get() for _ in processes))
        for process in processes:
            process.join()
    remote.close()
    return float(np.median(rates[0])), float(np.median(rates[1]))


def _step_alone(seconds: float, results: Any) -> None:
    env, count, began = Slow(), 0, time.perf_counter()
    env.reset()
    while time.perf_counter() - began < seconds:
        env.step(0)
        count += 1
    results.put(count / (time.perf_counter() - began))


class StreamAgent:
    """An agent on a stream: the bytes that it sends, and whether an answer ends its episode."""

    step = wire.frame(wire.BINARY, wire.pack((wire.STEP, None, 0)), mask=True)
    reset = wire.frame(wire.BINARY, wire.pack((wire.RESET, None, None, None)), mask=True)

    def __init__(self, sock: socket.socket, token: str, key: str) -> None:
        head = (
            f"GET /v1/envs/{token}/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + (f"Authorization: Bearer {key}\r\n" if key else "")
        )
        sock.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
        assert b" 101 " in sock.recv(4096)

    def is_over(self, answer: bytes) -> bool:
        # A step's reply ends with terminated, truncated and info; a reset's with info only.
        return answer[-3] == 0xC3 or answer[-2] == 0xC3


class HttpAgent:
    """The same on a connection that stays open."""

    def __init__(self, sock: socket.socket, token: str, key: str) -> None:
        more = f"Authorization: Bearer {key}\r\n" if key else ""
        head = f"/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}Content-Length: "
        self.step = f'POST /v1/envs/{token}/step{head}12\r\n\r\n{{"action":0}}'.encode()
        self.reset = f"POST /v1/envs/{token}/reset{head}2\r\n\r\n{{}}".encode()

    def is_over(self, answer: bytes) -> bool:
        return b'"done":true' in answer


def _drive(
    kind: type[StreamAgent | HttpAgent], port: int, tokens: list[str], seconds: float, results: Any, key: str
) -> None:
    """Steps many instances concurrently from one process, and measures the time of each step."""
    poll, last, sockets, speakers = select.epoll(), {}, {}, {}
    for token in tokens:
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        speakers[sock.fileno()] = kind(sock, token, key)
        sockets[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLIN)
    clock, waits = time.perf_counter, []
    for descriptor, sock in sockets.items():
        last[descriptor] = clock()
        sock.send(speakers[descriptor].reset)
    began = clock()
    while (now := clock()) - began < seconds:
        for descriptor, _ in poll.poll(1):
            sock, agent = sockets[descriptor], speakers[descriptor]
            answer = sock.recv(65536)
            now = clock()
            waits.append(now - last[descriptor])
            last[descriptor] = now
            sock.send(agent.reset if agent.is_over(answer) else agent.step)
    results.put((len(waits) / (now - began), sorted(waits)[:: max(1, len(waits) // 5000)]))


def agents(
    server: Server, count: int, seconds: float, kind: type[StreamAgent | HttpAgent] = StreamAgent
) -> tuple[float, float, float]:
    """(steps per second, median, 99th percentile in ms) of `count` agents with an environment each."""
    tokens = [server.create("CartPole-v1") for _ in range(count)]
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    parts = [tokens[index::2] for index in range(2)]
    drivers = [
        context.Process(target=_drive, args=(kind, server.port, part, seconds, results, server.key)) for part in parts
    ]
    for driver in drivers:
        driver.start()
    parts_results = [results.get() for _ in drivers]
    for driver in drivers:
        driver.join()
    waits = np.sort(np.concatenate([part for _, part in parts_results])) * 1e3
    return sum(rate for rate, _ in parts_results), float(np.percentile(waits, 50)), float(np.percentile(waits, 99))


def instances(server: Server, count: int) -> tuple[float, float, float]:
    """(MB of `count` idle instances with their server, creations per second, creations with closing per second)."""
    pool = urllib3.HTTPConnectionPool("127.0.0.1", server.port)
    headers, body = {"Content-Type": "application/json"}, b'{"env_id": "CartPole-v1"}'
    began = time.perf_counter()
    for _ in range(count):
        assert pool.request("POST", "/v1/envs/", body=body, headers=headers).status == 200
    created = count / (time.perf_counter() - began)
    memory = server.memory_mb()
    tokens = list(pool.request("GET", "/v1/envs/").json()["all_envs"])
    for token in tokens[:600]:
        pool.request("POST", f"/v1/envs/{token}/close/")
    began = time.perf_counter()
    for _ in range(500):
        token = pool.request("POST", "/v1/envs/", body=body, headers=headers).json()["instance_id"]
        pool.request("POST", f"/v1/envs/{token}/close/")
    return memory, created, 500 / (time.perf_counter() - began)


def _live(url: str, count: int, agents: int, results: Any) -> None:
    """Has `agents` threads create `count` environments, use each for an episode, and close it."""

    def live(_: int) -> int:
        env, steps, over = client.make("CartPole-v1", server=url), 0, False
        env.reset(seed=0)
        while not over:
            _, _, terminated, truncated, _ = env.step(steps & 1)
            steps, over = steps + 1, terminated or truncated
        env.close()
        return steps

    with futures.ThreadPoolExecutor(agents) as pool:
        results.put(sum(pool.map(live, range(count))))


def lives(server: Server, count: int, agents: int) -> tuple[float, float]:
    """(environments, steps per second) of agents, in two processes, that create, use for an episode, and close `count`."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    drivers = [context.Process(target=_live, args=(server.url, count // 2, agents // 2, results)) for _ in range(2)]
    began = time.perf_counter()
    for driver in drivers:
        driver.start()
    steps = sum(results.get() for _ in drivers)
    took = time.perf_counter() - began
    for driver in drivers:
        driver.join()
    return count / took, steps / took


def dedicated(server: Server) -> float:
    """ms until a new instance with a host of its own is created."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        token = server.create("Pictures-v0")
        times.append((time.perf_counter() - began) * 1e3)
        server.post(f"/v1/envs/{token}/close/", {})
    return float(np.median(times))


def free_cores() -> None:
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
