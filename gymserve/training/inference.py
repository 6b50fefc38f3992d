"""`python -m gymserve.training.inference`: the process that holds models in memory and asks them, many questions at once.

Web workers reach it over a socket whose place stands in <data>/inference; a question and its answer are a frame of msgpack
each. It reads the server's settings from standard input and ends with it, or when nobody has asked for a while.
"""

import contextlib
import itertools
import logging
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import msgspec

from gymserve import errors
from gymserve.background import begin
from gymserve.settings import Settings

IDLE_SECONDS = 600.0
WANTED_SECONDS = 30.0
START_SECONDS = 30.0
ANSWER_SECONDS = 60.0
ATTEMPTS = 3  # to ask a process that dies over it
PAUSE_SECONDS = 0.1
LOADED = 8  # models at a time
TOGETHER = 256  # questions
EXPERIMENT = "experiment:"  # before the name of one, instead of a model's: what it has learnt so far
log = logging.getLogger("gymserve.training")
_pack, _unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


class Inference:
    """The web workers' side: asks the process, and has it started where it does not run."""

    def __init__(self, data: Path, wake: Callable[[], None] = lambda: None) -> None:
        self.place, self.wanted, self.wake = data / "inference", data / "inference-wanted", wake
        self._local = threading.local()

    def has_work(self) -> bool:
        """Whether somebody has asked lately."""
        with contextlib.suppress(OSError):
            return time.time() - self.wanted.stat().st_mtime < WANTED_SECONDS
        return False

    def ask(self, question: dict[str, Any]) -> Any:
        """The answer to a question, see `Answerer`.

        Raises:
            InvalidRequest, EnvironmentFailed: what the question asks cannot be.
            Unavailable: the process does not answer.
        """
        self.wanted.touch(mode=0o600)
        for left in range(ATTEMPTS - 1, -1, -1):
            try:
                connection = self._connection()
                connection.send_bytes(_pack(question))
                if not connection.poll(ANSWER_SECONDS):
                    raise TimeoutError
                answer = _unpack(connection.recv_bytes())
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


def main() -> int:
    """Answers until nobody has asked for a while."""
    with tempfile.TemporaryDirectory(prefix="gymserve-", ignore_cleanup_errors=True) as name:
        configuration = begin(at_end=lambda: shutil.rmtree(name, ignore_errors=True))
        _serve(Path(name) / "inference", configuration)
    return 0


def _serve(place: Path, configuration: Settings) -> None:
    """Answers at the socket `place`, until nobody has asked for a while."""
    from gymserve.training.answering import Answerer

    data = Path(configuration.DATA).resolve()
    questions: queue.SimpleQueue[tuple[Connection, dict[str, Any]]] = queue.SimpleQueue()
    with Listener(str(place), "AF_UNIX", backlog=128) as listener:
        fresh = data / "inference.new"
        fresh.write_text(str(place))
        fresh.rename(data / "inference")
        threading.Thread(target=_accept, args=(listener, questions), daemon=True).start()
        answerer = Answerer(data / "models", data / "experiments", configuration, most=LOADED)
        with contextlib.suppress(queue.Empty):
            while True:
                asked = [questions.get(timeout=IDLE_SECONDS), *_waiting(questions)]
                for (connection, _), answer in zip(asked, answerer.answer([each for _, each in asked]), strict=True):
                    with contextlib.suppress(OSError):
                        connection.send_bytes(_pack(answer))


def _waiting(questions: "queue.SimpleQueue[Any]") -> list[Any]:
    found = []
    with contextlib.suppress(queue.Empty):
        for _ in itertools.repeat(None, TOGETHER):
            found.append(questions.get_nowait())
    return found


def _accept(listener: Listener, questions: "queue.SimpleQueue[Any]") -> None:
    while True:
        with contextlib.suppress(OSError, EOFError):
            threading.Thread(target=_read, args=(listener.accept(), questions), daemon=True).start()


def _read(connection: Connection, questions: "queue.SimpleQueue[Any]") -> None:
    with contextlib.suppress(OSError, EOFError, msgspec.MsgspecError):
        while True:
            questions.put((connection, _unpack(connection.recv_bytes())))


if __name__ == "__main__":
    sys.exit(main())
