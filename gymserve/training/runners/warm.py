"""`python -m gymserve.training.runners.warm`: a process that has imported the training libraries and forks runners.

Importing torch and Stable-Baselines3 takes seconds of processor time. This process does it once, runs nothing itself, and
forks a runner for each request, so that every run starts from the same clean interpreter. It ends with the process that
started it; runners go on. If it fails, runs start in a fresh interpreter instead.
"""

import contextlib
import gc
import importlib
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gymserve.system import imports, interpreters

LIBRARIES = (
    "torch._dynamo",  # which optimisers import when they are made
    "sb3_contrib",
    "gymserve.training.runners.checkpoint",
    "gymserve.training.runners.making",
    "gymserve.training.runners.plain",
    "gymserve.training.runners.watching",
)
EXTENDED = "LD_LIBRARY_PATH"  # by OpenCV, as it is imported
MOST_BYTES = 1 << 17  # of a message


class Request(msgspec.Struct, array_like=True):
    """What a runner is started with; the folder's lock and its log come along as descriptors.

    Attributes:
        module: whose `main` runs what the folder holds.
    """

    module: str
    folder: str
    variables: dict[str, str]
    directory: str


class Started(msgspec.Struct, array_like=True, tag=True):
    """A runner leads a session of its own now."""

    pid: int


class Refused(msgspec.Struct, array_like=True, tag=True):
    """The system forks no more processes."""

    reason: str


class Ended(msgspec.Struct, array_like=True, tag=True):
    """A runner has ended; `code` as in `subprocess.Popen.returncode`."""

    pid: int
    code: int


_encode = msgspec.msgpack.encode
_request = msgspec.msgpack.Decoder(Request).decode
_message = msgspec.msgpack.Decoder(Started | Refused | Ended).decode


class Runner:
    """A forked runner, with the same `poll` and `wait` as a `subprocess.Popen`."""

    def __init__(self, warm: "Warm", pid: int) -> None:
        self._warm, self.pid = warm, pid

    def poll(self) -> int | None:
        """The exit code, or None while it runs, or if nobody is left who knows it."""
        return self._warm.code(self.pid)

    def wait(self, timeout: float) -> int | None:
        """Raises: subprocess.TimeoutExpired: it has not ended by then."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None and self._warm.is_alive():
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a runner", timeout)
            time.sleep(0.005)
        return code


class Warm:
    """The scheduler's side: starts the warm process when a runner is first wanted, and asks it for runners."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._is_ready = False
        self._codes: dict[int, int] = {}

    def is_alive(self) -> bool:
        """Whether the warm process runs."""
        return self._process is not None and self._process.poll() is None

    def is_settled(self) -> bool:
        """Whether a runner can be started now: libraries are imported, or cannot be. Starts the warm process if needed."""
        if self._process is None:
            self._start()
        return self._is_ready or not self.is_alive() or self._look_ready()

    def fork(
        self, module: str, folder: Path, variables: Mapping[str, str], *, directory: Path, lock: int, log: int
    ) -> Runner | None:
        """A new runner for a folder.

        Args:
            module: whose `main` runs what the folder holds.
            variables: all of its environment variables.
            directory: where it stands.
            lock: a descriptor that the runner keeps open as long as it lives.
            log: a descriptor for its output.

        Returns:
            None if the warm process is not there, or died over it; the next call starts another.

        Raises:
            OSError: the system forks no more processes.
        """
        try:
            if not self._is_ready or self._socket is None:
                raise EOFError
            request = Request(module, str(folder), dict(variables), str(directory))
            socket.send_fds(self._socket, [_encode(request)], [lock, log])
            self._socket.settimeout(None)
            while isinstance(reply := self._receive(), Ended):
                self._codes[reply.pid] = reply.code
        except (OSError, EOFError):
            self.close()
            return None
        if isinstance(reply, Refused):
            raise OSError(0, reply.reason)
        return Runner(self, reply.pid)

    def code(self, pid: int) -> int | None:
        """A runner's exit code, if it is known."""
        if self._socket is not None:
            self._socket.settimeout(0)
            with contextlib.suppress(OSError, EOFError):  # nothing has come yet, or never will
                while pid not in self._codes:
                    message = self._receive()
                    if isinstance(message, Ended):
                        self._codes[message.pid] = message.code
        return self._codes.get(pid)

    def close(self) -> None:
        """Ends the warm process, and no runner."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process, self._socket, self._is_ready = None, None, False

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                interpreters.command(__name__),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C at a terminal is for who started it
                env=self._variables,
            )
        self._socket = ours

    def _look_ready(self) -> bool:
        assert self._socket is not None
        self._socket.settimeout(0)
        with contextlib.suppress(OSError):  # nothing has come yet
            self._is_ready = bool(self._socket.recv(1))
        return self._is_ready

    def _receive(self) -> Started | Refused | Ended:
        assert self._socket is not None
        data = self._socket.recv(MOST_BYTES)
        if not data:
            raise EOFError
        return _message(data)


def main() -> int:
    """Serves until the scheduler hangs up; in a forked child, runs the experiment."""
    before = dict(os.environ)
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    imports.freeze()  # so that a runner's collections copy no page of what was imported
    connection = socket.socket(fileno=os.dup(0))
    request = Forker(connection, before).serve()
    if request is None:
        return 0
    import numpy

    numpy.random.seed()  # else every run would begin with the same global generator; Python's own is seeded by fork
    code: int = importlib.import_module(request.module).main(Path(request.folder))
    return code


class Forker:
    """The warm process's side.

    Args:
        before: the environment variables before the libraries were imported.
    """

    def __init__(self, connection: socket.socket, before: Mapping[str, str]) -> None:
        self._path = before.get(EXTENDED), os.environ.get(EXTENDED)
        self._connection = connection
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ)
        self._runners: dict[int, int] = {}  # pidfd → pid
        connection.send(b"r")

    def serve(self) -> Request | None:
        """Forks a runner for each request.

        Returns:
            None when the scheduler has hung up; in a runner, what it was started with.
        """
        while True:
            for key, _ in self._selector.select():
                if key.fd in self._runners:
                    self._bury(key.fd)
                    continue
                data, descriptors, _, _ = socket.recv_fds(self._connection, MOST_BYTES, 2)
                if not data:
                    return None
                request = _request(data)
                if self._fork(request, *descriptors):
                    return request

    def _fork(self, request: Request, lock: int, log: int) -> bool:
        """Whether this is the child."""
        waits, ready = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            self._send(Refused(error.strerror or str(error)))
            pid = -1
        if pid == 0:
            os.close(waits)
            self._become_runner(request, lock, log)
            os.close(ready)
            return True
        for descriptor in (ready, lock, log):
            os.close(descriptor)
        if pid > 0:
            os.read(waits, 1)  # until the child leads its own session
            descriptor = os.pidfd_open(pid)
            self._runners[descriptor] = pid
            self._selector.register(descriptor, selectors.EVENT_READ)
            self._send(Started(pid))
        os.close(waits)
        return False

    def _become_runner(self, request: Request, lock: int, log: int) -> None:
        """Leaves nothing that a fresh process would not have."""
        os.setsid()
        self._selector.close()
        self._connection.close()
        for descriptor in self._runners:
            os.close(descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.close(nothing)
        os.close(log)
        os.set_inheritable(lock, True)
        os.environ.clear()
        os.environ.update(request.variables)
        old, new = self._path
        if new is not None and request.variables.get(EXTENDED) == old:
            os.environ[EXTENDED] = new  # as in a fresh interpreter
        os.chdir(request.directory)

    def _bury(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        pid = self._runners.pop(descriptor)
        _, status = os.waitpid(pid, 0)
        self._send(Ended(pid, os.waitstatus_to_exitcode(status)))

    def _send(self, message: Started | Refused | Ended) -> None:
        with contextlib.suppress(OSError):  # the scheduler is gone, which the next read shows
            self._connection.send(_encode(message))


if __name__ == "__main__":
    sys.exit(main())
