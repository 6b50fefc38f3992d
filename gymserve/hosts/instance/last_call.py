"""The last call of an instance and its answer, which is returned again when the request is repeated."""

from typing import Any

from gymserve.hosts.instance.time_step import TimeStep
from gymserve.protocol import errors


class LastCall:
    """The last request and its answer.

    Attributes:
        call: a client's `seq` (0 and up), a worker's own request id (negative), or None.
        request: the packed action of a step, or (seed, packed options) of a reset.
        time_step: the answer, or None before the first call.
        seq: the last `seq` of a client.
    """

    __slots__ = ("call", "request", "seq", "time_step")

    def __init__(self) -> None:
        self.call: int | None = None
        self.request: Any = None
        self.time_step: TimeStep | None = None
        self.seq: int | None = None

    def note(self, call: int | None, request: object, time_step: TimeStep) -> TimeStep:
        """Stores an answer and returns it."""
        self.call, self.request, self.time_step = call, request, time_step
        if call is not None and call >= 0:
            self.seq = call
        return time_step

    def skip(self, call: int | None) -> None:
        """Counts a call that changed nothing. The stored answer stays that of the last call that did."""
        if call is not None and call >= 0 and (self.seq is None or call == self.seq + 1):
            self.seq = call

    def answer(self, call: int, request: Any) -> TimeStep | None:
        """Returns the answer to a repeated call, or None if the call is the next one.

        Raises:
            OutOfSequence: `call` is a `seq` that is neither the last nor the next one.
            KeyReused: `call` is the last one, but the request is another.
        """
        if self.time_step is not None and self.call == call:
            if call >= 0 and not self._is_same(request):
                raise errors.KeyReused(f"seq {call} was used before, for another request")
            return self.time_step
        if call >= 0 and self.seq is not None and call != self.seq + 1:
            raise errors.OutOfSequence(f"seq {call} is out of order: expected {self.seq + 1}")
        return None

    def _is_same(self, request: object) -> bool:
        """Whether a request equals the last one. A reset without a seed equals one with the seed that was drawn for it."""
        if isinstance(request, tuple) and self.time_step is not None and self.time_step.is_of_reset:
            seed, options = request
            return options == self.request[1] and seed in (None, self.request[0])
        return bool(request == self.request)
