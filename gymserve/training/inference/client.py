"""The web workers' side of the model server (`inference.server`): sends queries, and starts the server if needed.

Workers connect to a socket whose path is in <data>/inference; a query and its answer are one msgpack frame each.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Client, Connection
from pathlib import Path

import msgspec

from gymserve.protocol import errors
from gymserve.protocol.wire import JSONValue
from gymserve.system.background import ATTEMPTS

WANTED_SECONDS = 30.0
START_SECONDS = 30.0
ANSWER_SECONDS = 60.0
PAUSE_SECONDS = 0.1
EXPERIMENT = "experiment:"  # prefix of an experiment's name, for what it has learned so far


class Inference:
    """Queries the model server, and starts it if it is not running."""

    def __init__(self, data: Path, wake: Callable[[], None] = lambda: None) -> None:
        self.place, self.wanted, self.wake = data / "inference", data / "inference-wanted", wake
        self._local = threading.local()

    def has_work(self) -> bool:
        """Return whether there were queries recently."""
        with contextlib.suppress(OSError):
            return time.time() - self.wanted.stat().st_mtime < WANTED_SECONDS
        return False

    def ask(self, question: Mapping[str, object]) -> JSONValue:
        """Return the answer to a query, see `ModelServer`.

        Raises:
            InvalidRequest, EnvironmentFailed: the query cannot be answered.
            Unavailable: the model server does not respond.
        """
        self.wanted.touch(mode=0o600)
        for left in range(ATTEMPTS - 1, -1, -1):
            try:
                connection = self._connection()
                connection.send_bytes(msgspec.msgpack.encode(question))
                if not connection.poll(ANSWER_SECONDS):
                    raise TimeoutError
                answer = msgspec.msgpack.decode(connection.recv_bytes())
                break
            except (OSError, EOFError) as error:
                self._local.connection = None
                if not left or isinstance(error, TimeoutError):
                    raise errors.Unavailable("the model server does not respond: try again") from error
                time.sleep(PAUSE_SECONDS)  # a server that is being killed may accept the connection but never answer
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["message"])
        return answer["answer"]

    def _connection(self) -> Connection:
        known: Connection | None = getattr(self._local, "connection", None)
        if known is not None:
            return known
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._local.connection = Client(self.place.read_text(), "AF_UNIX")
                return self._local.connection
            except OSError:
                if time.monotonic() > deadline:
                    raise
                self.wake()
                time.sleep(0.05)
