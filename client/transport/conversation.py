"""The conversation between an agent and its instance, without I/O.

`Conversation` numbers requests, reads replies, and decides what to do when none comes. Its decisions are a generator of
commands (`Connect`, `Exchange`, `Call`, `Sleep`), which the sync and the async connection carry out alike.
"""

import operator
import threading
from collections.abc import Generator
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np

from gymserve.client.transport.exceptions import (
    CLOSED,
    CannotUpgrade,
    ConnectionLost,
    EnvironmentFailed,
    KeyReused,
    OutOfSequence,
    ServerError,
    TimedOut,
    TooFast,
    Unavailable,
)
from gymserve.client.transport.http_format import Call, HttpFormat
from gymserve.client.transport.instance import Instance
from gymserve.client.transport.patience import Patience
from gymserve.client.transport.stream_format import CALL, RENDER, RESET, STEP, Request, StreamFormat
from gymserve.protocol import wire

SEQUENCED = (RESET, STEP)
MAX_LOST = 2
"""Streams that one request may end before it is sent over HTTP, whose response says why."""


class Stream(Protocol):
    """An open stream, as far as a conversation knows it."""

    def close(self) -> None: ...


S = TypeVar("S", bound=Stream)


class Connect(NamedTuple):
    """Open a stream at `target`; the result is the stream."""

    target: str


class Exchange(NamedTuple, Generic[S]):
    """Send `message` on `stream`; the result is the reply."""

    stream: S
    message: bytes


class Sleep(NamedTuple):
    """Do nothing for `seconds`."""

    seconds: float


Command = Connect | Exchange[S] | Call | Sleep
Flow = Generator[Command[S], Any, Any]


class Conversation(Generic[S]):
    """An agent's side of one instance, where each request is carried out once however often it is sent.

    Attributes:
        turn: held while a request is under way.
        stream: the open stream, which carries only the current request, or None.
        seq: the last number that a reset or a step has used up, by being answered.
        request: the current request, or else the last one.
        unresolved: a request that was sent and may or may not have been carried out. Sent again, it has the same `seq`;
            before any other one the server is asked for its `seq`. () if the server has used that `seq` for somebody
            else, so that no request may have it.
        over_http: whether the network lets no stream through.
        closed: whether the agent has closed the instance.
    """

    def __init__(self, instance: Instance, *, compression: str | None) -> None:
        self.stream: S | None = None
        self.turn = threading.Lock()
        self.seq = 0
        self.request: Request = ()
        self.unresolved: Request | None = None
        self.over_http = False
        self.closed = False
        self._sent = False  # whether the current request was, since it is carried out
        self._on_stream = StreamFormat(instance, compression=compression)
        self._over_http = HttpFormat(instance)
        suffix = f"?compression={compression}" if compression else ""
        self._target = f"/v1/envs/{instance.token}/stream{suffix}"

    # --- requests, as messages for the stream ----------------------------------------------------------------------

    def step(self, action: Any) -> bytes:
        """A step.

        Raises:
            InvalidValue: `action` is not in the action space.
        """
        self.request, message = self._on_stream.encode_step(action, self.seq + 1)
        return message

    def reset(self, seed: int | list[int | None] | None, options: dict[str, Any] | None) -> bytes:
        """A reset."""
        if isinstance(seed, (list, tuple, np.ndarray)):
            seed = [None if one is None else operator.index(one) for one in seed]
        elif seed is not None:
            seed = operator.index(seed)
        self.request = (RESET, seed, msgspec.Raw(wire.pack(options)))
        return self.message()

    def render(self) -> bytes:
        """A picture of the current state."""
        self.request = (RENDER,)
        return self.message()

    def call(self, name: str, *arguments: Any) -> bytes:
        """A call of the environment's own method `name`, or its attribute; see `docs/agents/stream.md`."""
        self.request = (CALL, name, msgspec.Raw(wire.pack(wire.typed(list(arguments)))))
        return self.message()

    def message(self) -> bytes:
        """The current request."""
        return self._on_stream.encode(self.request, self._next_seq())

    # --- replies ---------------------------------------------------------------------------------------------------

    def read(self, reply: bytes | bytearray) -> Any:
        """The result of the current request, from the stream's reply; see `StreamFormat.decode`."""
        kind = self.request[0]
        result = self._on_stream.decode(reply, kind, self.seq + 1)
        if kind in SEQUENCED:
            self.seq += 1
        return result

    def read_http(self, payload: object) -> Any:
        """The same from an HTTP response."""
        kind = self.request[0]
        result = self._over_http.decode(payload, kind)
        if kind in SEQUENCED:
            self.seq += 1
        return result

    # --- when no reply comes ---------------------------------------------------------------------------------------

    def carry_out(self, patience: Patience, failure: BaseException | None = None) -> Flow[S]:
        """Sends the current request until there is a reply: yields commands, and returns the result.

        Args:
            failure: the error when it was sent on the open stream, or None if it was not sent yet.

        Raises:
            ServerError: the server refused, or did not come back within the patience.
        """
        self._sent = failure is not None
        try:
            result = yield from self._attempts(patience, failure)
        except BaseException as error:
            if self._sent:
                self._doubt(error)
            if self.closed:
                self.disconnect()
                if isinstance(error, ServerError):
                    raise ServerError(CLOSED) from error
            raise
        self.unresolved = None
        return result

    def _attempts(self, patience: Patience, failure: BaseException | None) -> Flow[S]:
        lost = 0
        while True:
            try:
                if failure is not None:
                    raise failure
                if self.closed:
                    raise ServerError(CLOSED)
                if self.unresolved is not None and self.unresolved != self.request:
                    self._settle((yield self._over_http.describe()))
                if self.over_http or lost == MAX_LOST:
                    lost, call, self._sent = 0, self._over_http.encode(self.request, self._next_seq()), True
                    return self.read_http((yield call))
                stream = yield from self._connected(lost)
                self._sent = True
                return self.read((yield Exchange(stream, self.message())))
            except TooFast as error:
                pause = patience.wait(error)
            except CannotUpgrade:
                self.over_http, pause = True, 0.0
            except (ConnectionLost, Unavailable) as error:
                if self.closed:
                    raise
                if self.stream is not None and isinstance(error, ConnectionLost):
                    lost += 1
                self.disconnect()
                pause = patience.pause(error)
            failure = None
            yield Sleep(pause)

    def _connected(self, lost: int) -> Generator[Command[S], Any, S]:
        stream = self.stream
        if stream is None:
            try:
                stream = self.stream = yield Connect(self._target)
            except EnvironmentFailed as error:
                if lost:  # by this request
                    raise
                raise Unavailable(error.message, error.status_code) from error
            if self.closed:
                raise ServerError(CLOSED)
        return stream

    def _doubt(self, error: BaseException) -> None:
        """Notes that it is unknown what became of the current request, unless `error` is a refusal."""
        if isinstance(error, (OutOfSequence, KeyReused)):
            self.unresolved = ()
        elif not isinstance(error, ServerError) or isinstance(error, (ConnectionLost, TimedOut, Unavailable)):
            self.unresolved = self.request
        else:
            return
        self.disconnect()

    def _settle(self, description: dict[str, Any]) -> None:
        """Goes on from the `seq` that the server has seen last."""
        self.seq = description.get("seq") or 0
        self.unresolved = None

    def _next_seq(self) -> int | None:
        return self.seq + 1 if self.request[0] in SEQUENCED else None

    # --- the end ---------------------------------------------------------------------------------------------------

    def disconnect(self) -> None:
        """Closes the stream, if there is one; the instance stays."""
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()

    def close(self) -> bool:
        """Ends the conversation, and the request under way; returns whether it was still going on."""
        going_on, self.closed = not self.closed, True
        self.disconnect()
        return going_on
