"""Keeps the server's background processes running while there is work for them; one worker of a server sees to each."""

import contextlib
import dataclasses
import logging
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gymserve.protocol.errors import GymserveError
from gymserve.settings import Settings
from gymserve.system import interpreters
from gymserve.system.locks import try_lock

LOOK_SECONDS = 2.0
CHORE_SECONDS = 3600.0
LONGEST_PAUSE = 60.0  # before a process that keeps dying is started again
log = logging.getLogger("gymserve.system.keeper")


class Background:
    """A thread of each worker, which starts those processes, and does those chores, whose lease it holds."""

    def __init__(self, *duties: "Process | Chore") -> None:
        self.duties = duties
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
            for duty in self.duties:
                try:
                    duty.see_to()
                except (GymserveError, OSError) as error:
                    log.info("%s cannot be seen to: %s", duty.module, error)
                except Exception:  # the thread holds the lease, so its end would leave the work undone
                    log.exception("%s cannot be seen to", duty.module)


class Lease:
    """A file that one process of a server at a time holds locked, until it ends."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock: int | None = None

    def holds(self) -> bool:
        """Whether this process holds it, from now on or already."""
        if self._lock is None:
            self._lock = try_lock(self.file)
        return self._lock is not None


class Chore:
    """Something short that is done each hour.

    Args:
        module: what the log calls it.
        lease: a file; whoever holds it locked does the chore.
    """

    def __init__(self, module: str, act: Callable[[], None], *, lease: Path) -> None:
        self.module, self.act, self._lease = module, act, Lease(lease)
        self._next = 0.0

    def see_to(self) -> None:
        """Does it, where it is due and this worker is the one that does so."""
        if time.monotonic() >= self._next and self._lease.holds():
            self._next = time.monotonic() + CHORE_SECONDS
            self.act()


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
        self.module, self.has_work = module, has_work
        self.settings = dataclasses.replace(settings, DATA=str(Path(settings.DATA).resolve()))
        self._running: subprocess.Popen[str] | None = None
        self._lease = Lease(Path(self.settings.DATA) / lease)
        self._deaths = 0
        self._next_start = 0.0

    def see_to(self) -> None:
        """Starts the process where there is work, it does not run, and this worker is the one that does so."""
        if self._lease.holds() and not self._is_running() and self.has_work():
            self._start()

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
            interpreters.command(self.module),
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=interpreters.directory(Path(self.settings.DATA)),
            env=interpreters.variables(self.settings.ENVIRONMENT_VARIABLES),
        )
        assert self._running.stdin is not None
        self._running.stdin.write(self.settings.to_json(secrets=True) + "\n")
        self._running.stdin.flush()  # and stays open: its end tells the process to end
