"""`python -m benchmarks.instructions`: counts the instructions of a step on the stream, part by part, with valgrind.

Unlike times, the counts are the same on a busy machine and from run to run. The kernel's instructions are not counted.
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from gymserve.client.transport.conversation import Conversation
from gymserve.client.transport.instance import Instance, InstanceRequest
from gymserve.client.transport.sync import SyncConnection, SyncStream
from gymserve.client.transport.websocket import Incoming
from gymserve.environments import Catalogue
from gymserve.hosts import calls
from gymserve.hosts.host.process import Host
from gymserve.hosts.host.settings import HostSettings
from gymserve.hosts.host.stream import StreamChannel
from gymserve.hosts.instance import answers
from gymserve.hosts.instance.live import LiveInstance
from gymserve.hosts.pulse import Pulse
from gymserve.journal import records
from gymserve.protocol import wire
from gymserve.protocol.recipe import Recipe

STEPS = 200
ENDLESS = 1_000_000  # steps of an episode
Part = Callable[[], object]


def count(parts: dict[str, Part]) -> None:
    """Runs each part `STEPS` times; valgrind writes its counters at each call of `getpgid`."""
    for part in parts.values():
        for _ in range(20):  # the interpreter specializes a function's code in its first calls
            part()
        os.getpgid(0)
        for _ in range(STEPS):
            part()
        os.getpgid(0)


def host(folder: str) -> Host:
    """A host in this process."""
    listener, (_, supervisor) = socket.socket(socket.AF_UNIX), socket.socketpair()
    listener.bind(f"{folder}/s0")
    listener.listen()
    (Path(folder) / "instances").mkdir()
    settings = HostSettings(
        data=folder, steps_per_second=0, idle_seconds=1e6, revive_seconds=10, max_frame_bytes=1 << 24,
        journal_bytes=1 << 30, stream_ping_seconds=1e6,
    )  # fmt: skip
    return Host("s0", listener=listener, supervisor=supervisor, settings=settings, catalogue=Catalogue(), pulse=Pulse())


def endless(ours: Host) -> LiveInstance:
    """A CartPole whose episode never ends."""
    recipe = Recipe(env_id="CartPole-v1", environment="CartPole-v1", max_episode_steps=ENDLESS)
    instance = ours.create("s0-" + "a" * 22, recipe)
    inner = instance.recorded.env.unwrapped
    inner.theta_threshold_radians = inner.x_threshold = 1e9
    return instance


class Pumped:
    """An agent's socket whose other end is a channel of this process; sending on it has the channel answer."""

    def __init__(self, ours: Host, agent: socket.socket) -> None:
        self._loop, self._agent, self.recv = ours.loop, agent, agent.recv

    def sendall(self, data: bytes) -> None:
        self._agent.sendall(data)
        for descriptor, events in self._loop.poll.poll(0):
            self._loop.channels[descriptor].ready(events)


def connection(instance: LiveInstance, sock: Any) -> SyncConnection:
    """The client's connection to an instance of this process."""
    made = SyncConnection.__new__(SyncConnection)
    description = answers.description(instance, host="", now=0, short=True)
    made.instance = Instance(instance.token, InstanceRequest(env_id="CartPole-v1", kwargs={}), description)
    made._conversation = Conversation(made.instance, compression=None)
    stream = made._conversation.stream = SyncStream.__new__(SyncStream)
    stream._incoming, stream._sock = Incoming(), sock
    return made


def parts(folder: str) -> dict[str, Part]:
    """A CartPole's step on the stream, and its parts."""
    ours = host(folder)
    instance = endless(ours)
    recorded, (host_end, agent) = instance.recorded, socket.socketpair()
    channel = StreamChannel(ours, host_end, instance.token, compression="", limit=1 << 24)
    pumped = Pumped(ours, agent)
    env = connection(instance, pumped)
    env.reset(0, None)
    last, conversation = instance.last_call, env._conversation
    last.seq = conversation.seq = 1000  # all of one size on the wire

    def request() -> bytes:
        return wire.frame(wire.BINARY, wire.pack((wire.STEP, seq() + 1, 1)), mask=True)

    def seq() -> int:
        assert last.seq is not None
        return last.seq

    def bare() -> None:
        pumped.sendall(request())
        agent.recv(65536)

    def sockets() -> None:
        agent.send(frame)
        ours.loop.poll.poll(0)
        host_end.recv(65536)
        host_end.send(reply)
        agent.recv(65536)

    def whole() -> None:
        conversation.seq = seq()
        env.step(1)

    frame, message = request(), wire.pack((wire.STEP, 1000, 1))
    observation = recorded.env.step(1)[0]
    packed, time_step = recorded.observations.pack(observation), recorded.step(1, 1, None)
    answer, record = answers.binary(time_step, 1000), records.encode_step(1000, 2**60, 1, 1.0, False, False, None)
    reply = wire.frame(wire.BINARY, answer)
    return {
        "client.make": whole,
        "bare socket": bare,
        "the bare socket's request": request,
        "two writes, two reads, a poll": sockets,
        "environment": partial(recorded.env.step, 1),
        "request's frame": partial(channel.frames.feed, frame),
        "request": partial(calls.decode, message),
        "action": partial(recorded.actions.unpack, 1),
        "host's step": lambda: ours.step(instance, 1, 1, seq() + 1),
        "… instance's step": lambda: instance.step(1, 1, seq() + 1),
        "… … recorded step": partial(recorded.step, 1, 1, None),
        "… … … observation": partial(recorded.observations.pack, observation),
        "… … … digest": partial(records.digest, packed),
        "… … … record": partial(records.encode_step, 1000, 2**60, 1, 1.0, False, False, None),
        "… … … journal": partial(recorded.journal.append, record),
        "answer": partial(answers.binary, time_step, 1000),
        "answer's frame": partial(wire.frame, wire.BINARY, answer),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1:] == ["--inside"]:
            count(parts(folder))
            return
        command = ["valgrind", "--tool=callgrind", "--dump-before=getpgid", f"--callgrind-out-file={folder}/counts"]
        inside = [sys.executable, "-m", "benchmarks.instructions", "--inside"]
        subprocess.run([*command, *inside], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
        names = list(parts(folder))
        for index, name in enumerate(names):  # counters are written before and after each part
            lines = Path(f"{folder}/counts.{2 * index + 2}").read_text().splitlines()
            total = next(int(line.split()[1]) for line in lines if line.startswith("summary:"))
            print(f"{name:30} {total // STEPS:8,}")


if __name__ == "__main__":
    main()
