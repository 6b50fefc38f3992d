"""The event loop of a host: each ready socket is served, and a failing one ends alone."""

import logging
import os
import select
import signal
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from gymserve.hosts import loop as module
from gymserve.hosts.loop import Loop


class Pipe:
    """A channel that reads what is written into a pipe."""

    def __init__(self, loop: Loop, *, busy_polls: int = 0) -> None:
        self.loop = loop
        self.busy_polls = busy_polls
        self.reader, self.writer = os.pipe()
        self.received: list[bytes] = []
        self.closed = False
        loop.channels[self.reader] = self
        loop.poll.register(self.reader, select.EPOLLIN)

    def ready(self, events: int) -> None:
        data = os.read(self.reader, 100)
        if data == b"fail":
            raise RuntimeError("one agent's failure")
        self.received.append(data)
        if data == b"stop":
            self.loop.stop()

    def close(self) -> None:
        self.closed = True
        self.loop.poll.unregister(self.reader)
        del self.loop.channels[self.reader]

    def write(self, data: bytes) -> None:
        os.write(self.writer, data)


@pytest.fixture
def loop() -> Iterator[Loop]:
    handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    made = Loop(logging.getLogger("test.loop"))
    yield made
    for each, handler in handlers.items():
        signal.signal(each, handler)
    for channel in made.channels.values():
        assert isinstance(channel, Pipe)
        os.close(channel.reader)
        os.close(channel.writer)
    made.poll.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the seconds between two ticks short."""
    monkeypatch.setattr(module, "TICK_SECONDS", 0.02)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("busy_polls", [0, 5])
def test_a_failing_channel_is_closed_and_the_others_are_served(
    loop: Loop, caplog: pytest.LogCaptureFixture, busy_polls: int
) -> None:
    failing, other = Pipe(loop), Pipe(loop, busy_polls=busy_polls)
    failing.write(b"fail")
    loop.run(lambda: other.write(b"stop"))
    assert failing.closed and other.received == [b"stop"] and "a connection failed" in caplog.text
    for descriptor in (failing.reader, failing.writer):
        os.close(descriptor)


@pytest.mark.usefixtures("quick")
def test_a_signal_ends_it_and_ctrl_c_does_not(loop: Loop) -> None:
    """A terminal sends Ctrl-C to every process of a server; which hosts end is the supervisor's decision."""
    ticks = iter([signal.SIGINT, signal.SIGTERM])
    sent: list[signal.Signals] = []

    def tick() -> None:
        sent.append(next(ticks))
        os.kill(os.getpid(), sent[-1])

    loop.run(tick)
    assert sent == [signal.SIGINT, signal.SIGTERM]


def test_it_ticks_once_a_second(monkeypatch: pytest.MonkeyPatch, loop: Loop) -> None:
    """Not at once, and not after each event."""
    channel = Pipe(loop)
    channel.write(b"go")
    clock = SimpleNamespace(monotonic=lambda: 1000.0 + len(channel.received) / 4)
    monkeypatch.setattr(module, "time", clock)
    loop.now = 1000.0
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(clock.monotonic() - 1000.0)
        assert loop.now == clock.monotonic()
        if len(ticks) == 3:
            loop.stop()

    def ready(events: int) -> None:
        Pipe.ready(channel, events)
        channel.write(b"go")

    monkeypatch.setattr(channel, "ready", ready)
    loop.run(tick)
    assert ticks == [1.0, 2.0, 3.0]


@pytest.mark.usefixtures("quick")
def test_it_polls_a_few_more_times_after_a_channel_that_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, loop: Loop
) -> None:
    channel = Pipe(loop, busy_polls=5)
    channel.write(b"go")
    ticks, polls = iter(range(50)), list[int]()
    monkeypatch.setattr(os, "sched_yield", lambda: polls.append(len(channel.received)))
    loop.run(lambda: loop.stop() if polls or next(ticks, None) is None else None)
    assert polls == [1] * 5


def test_its_descriptors_are_those_of_the_poll_and_of_every_channel(loop: Loop) -> None:
    channels = [Pipe(loop), Pipe(loop)]
    assert loop.descriptors() == [loop.poll.fileno(), *(channel.reader for channel in channels)]
