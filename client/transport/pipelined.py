"""The connection of a vector environment's copy: requests are sent at once, and their results are waited for later."""

from collections.abc import Callable
from typing import Any

from gymserve.client.transport.exceptions import BUSY, Conflict
from gymserve.client.transport.sync import SyncConnection


class PipelinedConnection(SyncConnection):
    """A connection whose results are functions, of which each waits for its result; another thread may call it.

    The next request can be sent when that function has returned, so it must be called, once.
    """

    def _send(self, build: Callable[..., bytes], *arguments: object) -> Callable[[], Any]:
        conversation = self._conversation
        turn = conversation.turn
        if not turn.acquire(False):
            raise Conflict(BUSY)
        stream, failure = conversation.stream, None
        try:
            message = build(*arguments)
        except BaseException:
            turn.release()
            raise
        if stream is not None:
            try:
                stream.send(message)
            except BaseException as error:  # an interrupt, too: what became of the request is decided in one place
                failure = error

        def wait() -> Any:
            try:
                if stream is None or failure is not None:
                    return self._run(self._flow(failure))
                try:
                    return conversation.read(stream.receive())
                except BaseException as error:
                    return self._run(self._flow(error))
            finally:
                turn.release()

        return wait
