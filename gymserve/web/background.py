"""Keeps the grader's background process running while there is work for it; one worker of a server sees to it."""

import contextlib
import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from grader.submissions import Submissions
from gymserve.errors import GymserveError
from gymserve.settings import Settings

LOOK_SECONDS = 2.0
LONGEST_PAUSE = 60.0  # before a process that keeps dying is started again
log = logging.getLogger("gymserve.web.background")


class Background:
    """A thread of each worker, of which the one that holds the lease starts the process."""

    def __init__(self, settings: Settings, submissions: Submissions) -> None:
        self.settings, self.submissions = settings, submissions
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._lease = -1
        self._deaths = 0
        self._next_start = 0.0

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
            with contextlib.suppress(GymserveError, OSError):
                if self._has_lease() and not self._is_running() and self.submissions.has_work():
                    self._start_process()

    def _has_lease(self) -> bool:
        if self._lease < 0:
            descriptor = os.open(Path(self.settings.DATA) / "grading", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._lease = descriptor
        return True

    def _is_running(self) -> bool:
        """Whether the process is, or is to wait because it died."""
        if self._process is not None and self._process.poll() is not None:
            died, self._process = self._process, None
            assert died.stdin is not None
            died.stdin.close()
            self._deaths = self._deaths + 1 if died.returncode else 0
            pause = min(LONGEST_PAUSE, 0.25 * 2.0**self._deaths) if self._deaths else 0.0
            self._next_start = time.monotonic() + pause
            if died.returncode:
                log.warning("the grader's process ended with %d", died.returncode)
        return self._process is not None or time.monotonic() < self._next_start

    def _start_process(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "grader.worker"],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=self.settings.DATA,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("GYMSERVE_")},
                "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
            },
        )
        assert self._process.stdin is not None
        self._process.stdin.write(self._resolved().to_json(secrets=True) + "\n")
        self._process.stdin.flush()  # and stays open: its end tells the process to end

    def _resolved(self) -> Settings:
        return self.submissions.instances.pool.settings
