"""`python -m gymserve.training.inference.server`: the model server's process, which answers many queries at once.

`inference.client.Inference` starts and queries it. It reads the server's settings from standard input, and exits when that
closes or when there was no query for a while.
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
from typing import TypeAlias

import msgspec

from gymserve.protocol.wire import JSONObject
from gymserve.system import files, sockets
from gymserve.system.background import begin
from gymserve.training.inference.model_server import ModelServer

IDLE_SECONDS = 600.0
LOADED = 8  # models in memory
TOGETHER = 256  # queries answered at once
Query: TypeAlias = tuple[Connection, JSONObject]
Queries: TypeAlias = "queue.SimpleQueue[Query]"


def main() -> int:
    """Answer queries until there was none for a while."""
    with tempfile.TemporaryDirectory(prefix="gymserve-", dir=sockets.directory(), ignore_cleanup_errors=True) as name:
        configuration = begin(at_end=lambda: shutil.rmtree(name, ignore_errors=True))
        _serve(Path(name) / "inference", Path(configuration.DATA).resolve())
    return 0


def _serve(place: Path, data: Path) -> None:
    """Answer queries on the socket `place` until there was none for a while."""
    queries: Queries = queue.SimpleQueue()
    with Listener(str(place), "AF_UNIX", backlog=128) as listener:
        files.write_atomically(data / "inference", str(place))
        threading.Thread(target=_accept, args=(listener, queries), daemon=True).start()
        models = ModelServer(data / "models", data / "experiments", most=LOADED)
        with contextlib.suppress(queue.Empty):
            while True:
                batch = [queries.get(timeout=IDLE_SECONDS), *_waiting(queries)]
                for (connection, _), answer in zip(batch, models.answer([each for _, each in batch]), strict=True):
                    with contextlib.suppress(OSError):
                        connection.send_bytes(msgspec.msgpack.encode(answer))


def _waiting(queries: Queries) -> list[Query]:
    waiting = []
    with contextlib.suppress(queue.Empty):
        for _ in itertools.repeat(None, TOGETHER):
            waiting.append(queries.get_nowait())
    return waiting


def _accept(listener: Listener, queries: Queries) -> None:
    while True:
        with contextlib.suppress(OSError, EOFError):
            threading.Thread(target=_read, args=(listener.accept(), queries), daemon=True).start()


def _read(connection: Connection, queries: Queries) -> None:
    with contextlib.suppress(OSError, EOFError, msgspec.MsgspecError):
        while True:
            queries.put((connection, msgspec.msgpack.decode(connection.recv_bytes())))


if __name__ == "__main__":
    sys.exit(main())
