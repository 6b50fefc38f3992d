"""The requests of a vector environment's copies whose results were not handed over yet; see `client.async_vector`."""

import os
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Any

from gymserve.client.copies import Answers
from gymserve.client.transport.exceptions import CLOSED, Conflict, ServerError, TimedOut

RESET, STEP, RENDER = "reset", "step", "render"
FORKED = "this environment belongs to the process that made it: make another one after the fork"
Request = tuple[str, object]
"""(kind, what else distinguishes it from other requests of the same copy)"""


class Pending:
    """Which copies were asked what, and which of them have answered.

    Attributes:
        answers: where the copies put their results.
        requests: copy → its request, until its result is handed over.
        closed: whether no more answers will come.
    """

    def __init__(self) -> None:
        self.answers: Answers = SimpleQueue()
        self.requests: dict[int, Request] = {}
        self.closed = False
        self.process = os.getpid()
        self._ready: dict[int, Any] = {}  # copy → its result or error, the earliest first
        self._kept: dict[
            int, tuple[Request, Any]
        ] = {}  # copy → a request and its result, if the call has failed elsewhere

    def check_open(self) -> None:
        """Checks that requests can be sent.

        Raises:
            ServerError: the environment is closed, or was made in another process.
        """
        if self.closed:
            raise ServerError(CLOSED)
        if os.getpid() != self.process:
            raise ServerError(FORKED)

    def check_free(self, copies: Iterable[int]) -> None:
        """Checks that none of `copies` has a request under way.

        Raises:
            Conflict: one has.
        """
        self.check_open()
        busy = [number for number in copies if number in self.requests]
        if busy:
            raise Conflict(
                f"copies {busy} have not answered their last request yet: step_wait, reset_wait or recv does"
            )

    @property
    def kinds(self) -> set[str]:
        """The kinds of the requests under way."""
        return {kind for kind, _ in self.requests.values()}

    def ask(self, number: int, request: Request, send: Callable[[], None]) -> None:
        """Sends a copy's request, unless its result is there already, because the same call has failed for another copy."""
        kept: Any = (None, None)
        if request[0] != RENDER:
            kept = self._kept.pop(number, kept)
        self.requests[number] = request
        if kept[0] == request:
            self.answers.put((number, kept[1]))
        else:
            send()

    def first(self, count: int, timeout: float | None) -> dict[int, Any]:
        """Copy → result of the `count` copies that answer first, in ascending order.

        Raises:
            TimedOut: they took longer than `timeout` seconds; they are still under way.
            BaseException: the error of one of them; the others' results follow with the next call.
        """
        self._wait(count, timeout)
        numbers = sorted(list(self._ready)[:count])
        failed = [number for number in numbers if isinstance(self._ready[number], BaseException)]
        if failed:
            raise self._error(failed[0])
        return {number: self._hand_over(number) for number in numbers}

    def all(self, timeout: float | None) -> dict[int, Any]:
        """Copy → result of all that were asked, in ascending order.

        Raises:
            TimedOut: they took longer than `timeout` seconds; they are still under way.
            BaseException: the error of one of them; the others' results are kept for the same call.
        """
        self._wait(len(self.requests), timeout)
        numbers = sorted(self.requests)
        failed = [number for number in numbers if isinstance(self._ready[number], BaseException)]
        if not failed:
            return {number: self._hand_over(number) for number in numbers}
        error = self._error(failed[0])
        for number in numbers:
            request = self.requests.get(number, (RENDER, None))
            if number not in failed and request[0] != RENDER:
                self._kept[number] = request, self._ready[number]
        self.requests, self._ready = {}, {}
        raise error

    def _wait(self, count: int, timeout: float | None) -> None:
        """Waits until `count` copies are ready."""
        deadline = time.monotonic() + timeout if timeout is not None else float("inf")
        while len(self._ready) < count:
            left = deadline - time.monotonic()
            try:
                number, answer = self.answers.get(timeout=max(0.0, min(1.0, left)))
                self._ready[number] = answer
            except Empty:
                self.check_open()  # another thread may have closed it
                if left <= 0:
                    late = len(self.requests) - len(self._ready)
                    raise TimedOut(f"{late} copies did not answer within {timeout:g} s: wait for them again") from None

    def _hand_over(self, number: int) -> Any:
        del self.requests[number]
        return self._ready.pop(number)

    def _error(self, number: int) -> BaseException:
        """The error of a copy, which names it."""
        error: BaseException = self._hand_over(number)
        error.add_note(f"copy {number} of the vector environment failed")
        if isinstance(error, ServerError):
            error.env_id = number
        return error
