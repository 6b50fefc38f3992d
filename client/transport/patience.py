"""Time limits of requests, and pauses between repeated attempts."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from gymserve.client.transport.exceptions import ServerError, TooFast


@dataclass(frozen=True)
class Limits:
    """How long to wait, in seconds.

    Attributes:
        timeout: for an answer.
        connect_timeout: for a connection, and for its handshake.
        patience: for a server that went away to come back.
    """

    timeout: float = 120.0
    connect_timeout: float = 10.0
    patience: float = 30.0


class Patience:
    """One call's budget of waiting for a server that went away: growing pauses, `seconds` in all."""

    FIRST, LONGEST = 0.02, 2.0  # seconds of a pause

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.seconds = seconds
        self._clock = clock
        self._chance = chance
        self._deadline = clock() + seconds
        self._pause = 0.0

    def wait(self, error: TooFast) -> float:
        """Seconds to wait because the server said so.

        Raises:
            TooFast: `error`, because that is longer than the budget.
        """
        if error.retry_after > self._deadline - self._clock():
            raise error
        return error.retry_after

    def pause(self, error: ServerError) -> float:
        """Seconds to wait before the next attempt; 0 before the first one.

        Raises:
            ServerError: the kind of `error`, because the budget is spent.
        """
        left = self._deadline - self._clock()
        if left <= 0:
            raise type(error)(
                f"{error.message} (tried again for {self.seconds:g} s; is the server running? Repeat the call when it "
                "is back)",
                error.status_code,
            ) from error
        pause = self._pause
        self._pause = min(self.LONGEST, max(self.FIRST, 2 * pause))
        return min(left, pause * (0.5 + self._chance()))
