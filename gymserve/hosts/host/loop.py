"""The event loop of a host: one thread, which waits for all of its sockets at once."""

import logging
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Protocol

TICK_SECONDS = 1.0


class Waiting(Protocol):
    """What a loop calls: something with a socket.

    Attributes:
        looks: how often it pays to look for the next message before sleeping.
    """

    looks: int

    def ready(self, events: int) -> None: ...

    def close(self) -> None: ...


class Loop:
    """Calls the channels whose sockets are ready.

    Attributes:
        channels: descriptor → channel.
        now: the monotonic clock when the current channel became ready.
        running: false ends the loop.
    """

    def __init__(self, log: logging.Logger) -> None:
        self.log = log
        self.poll = select.epoll()
        self.channels: dict[int, Waiting] = {}
        self.now = time.monotonic()
        self.running = True

    def run(self, tick: Callable[[], None]) -> None:
        """Serves until it is stopped, by SIGTERM for example; calls `tick` each second."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        channels = self.channels
        next_tick = self.now + TICK_SECONDS
        looks = 0
        while self.running:
            ready, looks = self._ready(looks), 0
            for descriptor, events in ready:
                channel = channels.get(descriptor)
                if channel is not None:
                    looks = looks or channel.looks
                    self.now = time.monotonic()
                    try:
                        channel.ready(events)
                    except BaseException:  # one agent's trouble must not become that of all
                        self.log.exception("a connection failed")
                        channel.close()
            if self.now >= next_tick or time.monotonic() >= next_tick:
                self.now = time.monotonic()
                next_tick = self.now + TICK_SECONDS
                tick()

    def stop(self) -> None:
        """Ends the loop after what it is doing."""
        self.running = False

    def _ready(self, looks: int) -> list[tuple[int, int]]:
        """What can be read or written, as soon as something can.

        An agent on a stream that was just answered often asks again within microseconds: looking again a few times, and
        letting others run in between, is much cheaper than being put to sleep and woken up on another core.
        """
        poll = self.poll.poll
        for _ in range(looks):
            if ready := poll(0):
                return ready
            os.sched_yield()
        return poll(TICK_SECONDS)

    def descriptors(self) -> list[int]:
        """What it talks through."""
        return [self.poll.fileno(), *self.channels]
