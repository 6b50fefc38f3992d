"""Ensures that a run leaves nothing behind: its files are in a folder that is deleted, and remaining processes fail the run."""

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.servers import alive

RUN = "TEST_RUN"  # the environment variable that identifies the processes of a run
PATIENCE_SECONDS = 20.0  # for processes that are just ending
# Pytest's own processes, and the one with which Python's multiprocessing cleans up; it ends with the process that it serves.
EXCEPTED = ("execnet", "multiprocessing.resource_tracker")


class Leftovers:
    """Gives each test process a working directory of its own, and looks for remaining processes at the end of the run."""

    def __init__(self, config: pytest.Config) -> None:
        self.controls = not hasattr(config, "workerinput")  # true in one process of a run
        if self.controls:
            os.environ[RUN] = uuid.uuid4().hex
        self.folder = Path(tempfile.mkdtemp(prefix="tests-"))
        # Libraries write logs where they run, and killed processes leave sockets: neither goes to the checkout or /tmp.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(ROOT / ".hypothesis")

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        if session.config.pluginmanager.hasplugin("dsession"):
            return  # this process only starts others, and passes them relative paths
        tempfile.gettempdir()  # pytest's own folders stay where they are, so that failures can be investigated
        os.environ["TMPDIR"] = str(self.folder)
        os.chdir(self.folder)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        os.chdir(ROOT)
        if not self.controls:
            return
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (left := processes(os.environ[RUN])) and time.monotonic() < deadline:
            time.sleep(0.1)
        if left:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            lines = [f"{pid}: {words}" for pid, words in left.items()]
            print("\nprocesses that the tests started and did not end:", *lines, sep="\n")

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def processes(run: str) -> dict[int, str]:
    """Process id → command line of the processes of a run, except `EXCEPTED`."""
    commands = {}
    own = os.getpid()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{RUN}={run}".encode() not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            pid, words = (
                int(folder.name),
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"),
            )
            if pid != own and alive(pid) and not any(each in words for each in EXCEPTED):
                commands[pid] = words
    return commands
