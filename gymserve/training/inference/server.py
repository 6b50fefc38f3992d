"""`python -m gymserve.training.inference.server`: the process that has models in memory, and asks them many questions at once.

`inference.Inference` starts and asks it. It reads the server's settings from standard input and ends with it, or when nobody
has asked for a while.
"""

import contextlib
import itertools
import queue
import shutil
import sys
import tempfile
import threading
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

import msgspec

from gymserve.system import files, sockets
from gymserve.system.background import begin
from gymserve.training.inference.model_server import ModelServer

IDLE_SECONDS = 600.0
LOADED = 8  # models at a time
TOGETHER = 256  # questions


def main() -> int:
    """Answers until nobody has asked for a while."""
    with tempfile.TemporaryDirectory(prefix="gymserve-", dir=sockets.directory(), ignore_cleanup_errors=True) as name:
        configuration = begin(at_end=lambda: shutil.rmtree(name, ignore_errors=True))
        _serve(Path(name) / "inference", Path(configuration.DATA).resolve())
    return 0


def _serve(place: Path, data: Path) -> None:
    """Answers at the socket `place`, until nobody has asked for a while."""
    questions: queue.SimpleQueue[tuple[Connection, dict[str, Any]]] = queue.SimpleQueue()
    with Listener(str(place), "AF_UNIX", backlog=128) as listener:
        files.write_whole(data / "inference", str(place))
        threading.Thread(target=_accept, args=(listener, questions), daemon=True).start()
        answerer = ModelServer(data / "models", data / "experiments", most=LOADED)
        with contextlib.suppress(queue.Empty):
            while True:
                asked = [questions.get(timeout=IDLE_SECONDS), *_waiting(questions)]
                for (connection, _), answer in zip(asked, answerer.answer([each for _, each in asked]), strict=True):
                    with contextlib.suppress(OSError):
                        connection.send_bytes(msgspec.msgpack.encode(answer))


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
            questions.put((connection, msgspec.msgpack.decode(connection.recv_bytes())))


if __name__ == "__main__":
    sys.exit(main())
