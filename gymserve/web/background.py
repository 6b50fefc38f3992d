"""Keeps the server's background processes running while there is work for them; one worker of a server sees to each."""

import contextlib
import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gymserve.errors import GymserveError
from gymserve.settings import Settings

LOOK_SECONDS = 2.0
LONGEST_PAUSE = 60.0  # before a process that keeps dying is started again
log = logging.getLogger("gymserve.web.background")


class Background:
    """A thread of each worker, which starts those processes whose lease it holds."""

    def __init__(self, *processes: "Process") -> None:
        self.processes = processes
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread, if it is not running."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """There may be work."""
        self.start()
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            for process in self.processes:
                try:
                    process.see_to()
                except (GymserveError, OSError) as error:
                    log.info("%s cannot be seen to: %s", process.module, error)
                except Exception:  # the thread holds the lease, so its end would leave the work undone
                    log.exception("%s cannot be seen to", process.module)


class Process:
    """A module that is run, in a process of its own, while there is work for it.

    It reads the settings as a line of JSON from its standard input, and ends when that is closed, or when it finds no
    more work.

    Args:
        module: what `python -m` runs.
        lease: a file in the data directory; whoever holds it locked starts the process.
        has_work: whether there is any; may raise a GymserveError.
        settings: those that a process is told.
    """

    def __init__(self, module: str, *, lease: str, has_work: Callable[[], bool], settings: Settings) -> None:
        self.module, self.lease, self.has_work, self.settings = module, lease, has_work, settings
        self._running: subprocess.Popen[str] | None = None
        self._lock = -1
        self._deaths = 0
        self._next_start = 0.0

    def see_to(self) -> None:
        """Starts the process where there is work, it does not run, and this worker is the one that does so."""
        if self._has_lease() and not self._is_running() and self.has_work():
            self._start()

    def _has_lease(self) -> bool:
        if self._lock < 0:
            file = Path(self.settings.DATA) / self.lease
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._lock = descriptor
        return True

    def _is_running(self) -> bool:
        """Whether the process is, or is to wait because it died."""
        if self._running is not None and self._running.poll() is not None:
            died, self._running = self._running, None
            assert died.stdin is not None
            with contextlib.suppress(OSError):  # it never read its settings
                died.stdin.close()
            self._deaths = self._deaths + 1 if died.returncode else 0
            pause = min(LONGEST_PAUSE, 0.25 * 2.0**self._deaths) if self._deaths else 0.0
            self._next_start = time.monotonic() + pause
            if died.returncode:
                log.warning("%s ended with %d", self.module, died.returncode)
        return self._running is not None or time.monotonic() < self._next_start

    def _start(self) -> None:
        self._running = subprocess.Popen(
            [sys.executable, "-m", self.module],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=self.settings.DATA,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("GYMSERVE_")},
                "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
            },
        )
        assert self._running.stdin is not None
        self._running.stdin.write(self.settings.to_json(secrets=True) + "\n")
        self._running.stdin.flush()  # and stays open: its end tells the process to end
