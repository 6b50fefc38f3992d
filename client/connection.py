"""An agent's connection to one instance: the stream where it gets through, HTTP otherwise, exactly once either way."""

import time
from typing import Any

from client.address import Address
from client.conversation import CLOSE, RENDER, Conversation
from client.exceptions import ConnectionLost, ServerError, TooFast, Unavailable
from client.http import Http
from client.instance import Instance, Limits, Order
from client.patience import Patience
from client.recovery import UNSURE, Connect, Exchange, Pause, Script, Wait, ask
from client.stream import Stream


class Connection:
    """Makes an instance, and speaks to it.

    Raises:
        ServerError: the server refused to make it, or is not there.
    """

    def __init__(self, address: Address, order: Order, limits: Limits, *, compression: str | None) -> None:
        self.address = address
        self.limits = limits
        self._http = Http(address, timeout=limits.timeout, connect_timeout=limits.connect_timeout)
        self._stream: Stream | None = None
        self._closed = False
        try:
            self.instance: Instance = order.make(self._http, limits)
            self._talk = Conversation(self.instance, compression=compression)
        except BaseException:
            self._http.close()
            raise

    def step(self, action: Any) -> Any:
        """(observation, reward, terminated, truncated, info)."""
        return self._answer(self._talk.step(action))

    def reset(self, seed: Any, options: dict[str, Any] | None) -> Any:
        """(observation, info)."""
        return self._answer(self._talk.reset(seed, options))

    def render(self) -> bytes:
        """A PNG of the current state."""
        return self._answer(self._talk.plain(RENDER))  # type: ignore[no-any-return]

    def close(self) -> None:
        """Closes the instance; where the server cannot be reached, it does so itself after its idle time-out."""
        if self._closed:
            return
        self._talk.plain(CLOSE)
        self._closed = True
        self._abandon()
        try:
            self._http.call(*self._talk.http())
        except ServerError:
            pass  # closed already, or the server is away
        finally:
            self._http.close()

    def _answer(self, message: bytes) -> Any:
        """The hot path: one question, one answer."""
        if self._stream is None:
            return self._carry_out(lost=0)
        try:
            return self._talk.read(self._stream.exchange(message))
        except (ConnectionLost, Unavailable) as error:
            self._abandon()
            return self._carry_out(lost=isinstance(error, ConnectionLost))
        except TooFast:
            return self._carry_out(lost=0)
        except UNSURE:
            self._talk.unresolved = self._talk.asked
            self._abandon()
            raise
        except ServerError:
            raise
        except BaseException:  # interrupted: the answer is still to come, and not to be taken for the next one's
            self._talk.unresolved = self._talk.asked
            self._abandon()
            raise

    def _carry_out(self, *, lost: int) -> Any:
        """Asks with all that may go wrong."""
        if self._closed:
            raise ServerError("this environment is closed: make a new one")
        script: Script = ask(self._talk, Patience(self.limits.patience), lost=lost)
        result: Any = None
        error: BaseException | None = None
        while True:
            try:
                command = script.send(result) if error is None else script.throw(error)
            except StopIteration as end:
                return end.value
            try:
                result, error = self._do(command), None
            except Exception as raised:
                result, error = None, raised

    def _do(self, command: Any) -> Any:
        try:
            if isinstance(command, Exchange):
                assert self._stream is not None
                return self._stream.exchange(command.message)
        except BaseException:
            self._abandon()
            raise
        if isinstance(command, Pause):
            self._abandon()
            return time.sleep(command.seconds)
        if isinstance(command, Wait):
            return time.sleep(command.seconds)
        if isinstance(command, Connect):
            return self._connect()
        return self._http.call(*command)

    def _connect(self) -> None:
        if self._stream is None:
            limits = self.limits
            self._stream = Stream(
                self.address, self._talk.target, timeout=limits.timeout, connect_timeout=limits.connect_timeout
            )

    def _abandon(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
