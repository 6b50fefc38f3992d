"""The web workers' side of the process that holds models in memory (`inference_server`): asks it, and has it started.

They reach it over a socket whose place stands in <data>/inference; a question and its answer are a frame of msgpack each.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import msgspec

from gymserve.protocol import errors
from gymserve.system.background import ATTEMPTS

WANTED_SECONDS = 30.0
START_SECONDS = 30.0
ANSWER_SECONDS = 60.0
PAUSE_SECONDS = 0.1
EXPERIMENT = "experiment:"  # before the name of one, instead of a model's: what it has learnt so far


class Inference:
    """Asks the process, and has it started where it does not run."""

    def __init__(self, data: Path, wake: Callable[[], None] = lambda: None) -> None:
        self.place, self.wanted, self.wake = data / "inference", data / "inference-wanted", wake
        self._local = threading.local()

    def has_work(self) -> bool:
        """Whether somebody has asked lately."""
        with contextlib.suppress(OSError):
            return time.time() - self.wanted.stat().st_mtime < WANTED_SECONDS
        return False

    def ask(self, question: dict[str, Any]) -> Any:
        """The answer to a question, see `ModelServer`.

        Raises:
            InvalidRequest, EnvironmentFailed: what the question asks cannot be.
            Unavailable: the process does not answer.
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
                    raise errors.Unavailable("the process that asks models does not answer: try again") from error
                time.sleep(PAUSE_SECONDS)  # one that is being killed may yet accept, and answers nothing
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
