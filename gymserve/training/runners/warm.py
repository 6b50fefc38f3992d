"""`python -m gymserve.training.runners.warm`: a process that has imported the training libraries and forks runners.

Importing torch and Stable-Baselines3 takes seconds of processor time. This process does it once, runs nothing itself, and
forks a runner for each request, so that every run starts from the same clean interpreter. It ends with the process that
started it; runners continue. If it fails, runs start in a fresh interpreter instead.
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
    "torch._dynamo",  # imported by optimizers when they are created
    "sb3_contrib",
    "gymserve.training.runners.checkpoint",
    "gymserve.training.runners.vector_env",
    "gymserve.training.runners.plain",
    "gymserve.training.runners.callback",
)
EXTENDED = "LD_LIBRARY_PATH"  # extended by OpenCV when it is imported
MOST_BYTES = 1 << 17  # in a message


class RunnerRequest(msgspec.Struct, array_like=True):
    """A request for a runner; the folder's lock and its log are passed along as descriptors.

    Attributes:
        module: the module whose `main` runs what the folder contains.
    """

    module: str
    folder: str
    variables: dict[str, str]
    directory: str


class RunnerStarted(msgspec.Struct, array_like=True, tag=True):
    """The reply to a request: the runner now leads its own session."""

    pid: int


class ForkRefused(msgspec.Struct, array_like=True, tag=True):
    """The reply to a request: the system cannot fork more processes."""

    reason: str


class RunnerEnded(msgspec.Struct, array_like=True, tag=True):
    """The notice that a runner has ended; `code` is as in `subprocess.Popen.returncode`."""

    pid: int
    code: int


_encode = msgspec.msgpack.encode
_request = msgspec.msgpack.Decoder(RunnerRequest).decode
_message = msgspec.msgpack.Decoder(RunnerStarted | ForkRefused | RunnerEnded).decode


class Runner:
    """A forked runner, with the same `poll` and `wait` as a `subprocess.Popen`."""

    def __init__(self, warm: "Warm", pid: int) -> None:
        self._warm, self.pid = warm, pid

    def poll(self) -> int | None:
        """Return the exit code; None while it runs, or if its parent is gone."""
        return self._warm.code(self.pid)

    def wait(self, timeout: float) -> int | None:
        """Wait for the exit code.

        Raises:
            subprocess.TimeoutExpired: the runner has not ended by then.
        """
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None and self._warm.is_alive():
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a runner", timeout)
            time.sleep(0.005)
        return code


class Warm:
    """The scheduler's side: starts the warm process when a runner is first needed, and requests runners from it."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._is_ready = False
        self._codes: dict[int, int] = {}

    def is_alive(self) -> bool:
        """Return whether the warm process is running."""
        return self._process is not None and self._process.poll() is None

    def is_settled(self) -> bool:
        """Return whether a runner can start now, with imported libraries or without; start the warm process if needed."""
        if self._process is None:
            self._start()
        return self._is_ready or not self.is_alive() or self._look_ready()

    def fork(
        self, module: str, folder: Path, variables: Mapping[str, str], *, directory: Path, lock: int, log: int
    ) -> Runner | None:
        """Fork a runner for a folder.

        Args:
            module: the module whose `main` runs what the folder contains.
            variables: all of its environment variables.
            directory: its working directory.
            lock: a descriptor that the runner keeps open while it lives.
            log: a descriptor for its output.

        Returns:
            None if the warm process is not running, or died over the request; the next call starts another one.

        Raises:
            OSError: the system cannot fork more processes.
        """
        try:
            if not self._is_ready or self._socket is None:
                raise EOFError
            request = RunnerRequest(module, str(folder), dict(variables), str(directory))
            socket.send_fds(self._socket, [_encode(request)], [lock, log])
            self._socket.settimeout(None)
            while isinstance(reply := self._receive(), RunnerEnded):
                self._codes[reply.pid] = reply.code
        except (OSError, EOFError):
            self.close()
            return None
        if isinstance(reply, ForkRefused):
            raise OSError(0, reply.reason)
        return Runner(self, reply.pid)

    def code(self, pid: int) -> int | None:
        """Return a runner's exit code, if known."""
        if self._socket is not None:
            self._socket.settimeout(0)
            with contextlib.suppress(OSError, EOFError):  # no message yet, or the connection is closed
                while pid not in self._codes:
                    message = self._receive()
                    if isinstance(message, RunnerEnded):
                        self._codes[message.pid] = message.code
        return self._codes.get(pid)

    def close(self) -> None:
        """End the warm process but no runner."""
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
                start_new_session=True,  # Ctrl-C in a terminal must not reach it
                env=self._variables,
            )
        self._socket = ours

    def _look_ready(self) -> bool:
        assert self._socket is not None
        self._socket.settimeout(0)
        with contextlib.suppress(OSError):  # nothing has come yet
            self._is_ready = bool(self._socket.recv(1))
        return self._is_ready

    def _receive(self) -> RunnerStarted | ForkRefused | RunnerEnded:
        assert self._socket is not None
        data = self._socket.recv(MOST_BYTES)
        if not data:
            raise EOFError
        return _message(data)


def main() -> int:
    """Serve requests until the scheduler hangs up; in a forked child, run the experiment."""
    before = dict(os.environ)
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    imports.freeze()  # so that a runner's garbage collection copies no imported pages
    connection = socket.socket(fileno=os.dup(0))
    request = Forker(connection, before).serve()
    if request is None:
        return 0
    import numpy

    numpy.random.seed()  # fork reseeds Python's generator but not numpy's
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

    def serve(self) -> RunnerRequest | None:
        """Fork a runner for each request.

        Returns:
            None when the scheduler has hung up; in a runner, the request that started it.
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

    def _fork(self, request: RunnerRequest, lock: int, log: int) -> bool:
        """Fork a runner; return True in the child."""
        waits, ready = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            self._send(ForkRefused(error.strerror or str(error)))
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
            self._send(RunnerStarted(pid))
        os.close(waits)
        return False

    def _become_runner(self, request: RunnerRequest, lock: int, log: int) -> None:
        """Remove everything that a fresh process would not have."""
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
            os.environ[EXTENDED] = new  # as importing them in a fresh interpreter would
        os.chdir(request.directory)

    def _bury(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        pid = self._runners.pop(descriptor)
        _, status = os.waitpid(pid, 0)
        self._send(RunnerEnded(pid, os.waitstatus_to_exitcode(status)))

    def _send(self, message: RunnerStarted | ForkRefused | RunnerEnded) -> None:
        with contextlib.suppress(OSError):  # the scheduler is gone; the next read notices
            self._connection.send(_encode(message))


if __name__ == "__main__":
    sys.exit(main())
