"""The event loop of a host: a single thread that polls all of its sockets."""

import logging
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Protocol

TICK_SECONDS = 1.0


class Pollable(Protocol):
    """An object with a socket, which a loop calls when the socket is ready.

    Attributes:
        busy_polls: how many times to poll for the next message before sleeping.
    """

    busy_polls: int

    def ready(self, events: int) -> None: ...

    def close(self) -> None: ...


class Loop:
    """Calls the channels whose sockets are ready.

    Attributes:
        channels: descriptor → channel.
        now: the monotonic time when the current channel became ready.
        running: set to False to end the loop.
    """

    def __init__(self, log: logging.Logger) -> None:
        self.log = log
        self.poll = select.epoll()
        self.channels: dict[int, Pollable] = {}
        self.now = time.monotonic()
        self.running = True

    def run(self, tick: Callable[[], None]) -> None:
        """Serves until `stop` or SIGTERM; calls `tick` every second."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        channels = self.channels
        next_tick = self.now + TICK_SECONDS
        busy_polls = 0
        while self.running:
            ready, busy_polls = self._ready(busy_polls), 0
            for descriptor, events in ready:
                channel = channels.get(descriptor)
                if channel is not None:
                    busy_polls = busy_polls or channel.busy_polls
                    self.now = time.monotonic()
                    try:
                        channel.ready(events)
                    except BaseException:  # one agent's failure must not affect the others
                        self.log.exception("a connection failed")
                        channel.close()
            if time.monotonic() >= next_tick:
                self.now = time.monotonic()
                next_tick = self.now + TICK_SECONDS
                tick()

    def stop(self) -> None:
        """Ends the loop after the current event."""
        self.running = False

    def _ready(self, busy_polls: int) -> list[tuple[int, int]]:
        """Waits for events: (descriptor, events) of each socket that is ready.

        An agent on a stream often sends its next request within microseconds of an answer. Polling a few more times, and
        yielding the core in between, is much cheaper than sleeping and waking up on another core.
        """
        poll = self.poll.poll
        for _ in range(busy_polls):
            if ready := poll(0):
                return ready
            os.sched_yield()
        return poll(TICK_SECONDS)

    def descriptors(self) -> list[int]:
        """All file descriptors of the loop."""
        return [self.poll.fileno(), *self.channels]
