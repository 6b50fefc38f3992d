"""Keeps the server's background processes running while there is work; one worker of a server is responsible for each."""

import contextlib
import logging
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gymserve.protocol.errors import GymserveError
from gymserve.system.launcher import Launcher
from gymserve.system.locks import try_lock

LOOK_SECONDS = 2.0
TASK_SECONDS = 3600.0
LONGEST_PAUSE = 60.0  # before a process that crashes repeatedly is restarted
log = logging.getLogger("gymserve.system.keeper")


class BackgroundThread:
    """A thread of each worker, which starts the processes and does the tasks whose lease it holds."""

    def __init__(self, *parts: "BackgroundProcess | HourlyTask") -> None:
        self.parts = parts
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread, if it is not running."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Has the thread check for work now."""
        self.start()
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            for part in self.parts:
                try:
                    part.check()
                except (GymserveError, OSError) as error:
                    log.info("%s cannot be started or checked: %s", part.name, error)
                except Exception:  # if this thread ended, it would still hold the lease, and no other worker could help
                    log.exception("%s cannot be started or checked", part.name)


class Lease:
    """A lock on a file that one process of a server holds until it ends."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock: int | None = None

    def holds(self) -> bool:
        """Whether this process holds the lease; acquires it if no process does."""
        if self._lock is None:
            self._lock = try_lock(self.file)
        return self._lock is not None


class HourlyTask:
    """A short task that is done every hour.

    Args:
        name: what the log calls it.
        lease: a file; the process that holds its lock does the task.
    """

    def __init__(self, name: str, act: Callable[[], None], *, lease: Path) -> None:
        self.name, self.act, self._lease = name, act, Lease(lease)
        self._next = 0.0

    def check(self) -> None:
        """Does the task, if it is due and this worker holds the lease."""
        if time.monotonic() >= self._next and self._lease.holds():
            self._next = time.monotonic() + TASK_SECONDS
            self.act()


class BackgroundProcess:
    """A module that runs in a process of its own while there is work for it.

    The process ends when its standard input is closed, or when it finds no more work.

    Args:
        module: the module to run with `python -m`.
        lease: a file in the data directory; the worker that holds its lock starts the process.
        has_work: whether there is work; may raise a GymserveError.
        launcher: starts the process with the settings that it needs.
    """

    def __init__(self, module: str, *, lease: str, has_work: Callable[[], bool], launcher: Launcher) -> None:
        self.name = self.module = module
        self.has_work, self.launcher = has_work, launcher
        self._running: subprocess.Popen[str] | None = None
        self._lease = Lease(launcher.data / lease)
        self._crashes = 0
        self._next_start = 0.0

    def check(self) -> None:
        """Starts the process, if there is work, it is not running, and this worker holds the lease."""
        if self._lease.holds() and not self._is_running() and self.has_work():
            self._running = self.launcher.start(self.module)

    def _is_running(self) -> bool:
        """Whether the process is running, or has crashed so recently that it must wait."""
        if self._running is not None and self._running.poll() is not None:
            ended, self._running = self._running, None
            assert ended.stdin is not None
            with contextlib.suppress(OSError):  # the process never read its settings
                ended.stdin.close()
            self._crashes = self._crashes + 1 if ended.returncode else 0
            pause = min(LONGEST_PAUSE, 0.25 * 2.0**self._crashes) if self._crashes else 0.0
            self._next_start = time.monotonic() + pause
            if ended.returncode:
                log.warning("%s ended with %d", self.module, ended.returncode)
        return self._running is not None or time.monotonic() < self._next_start
