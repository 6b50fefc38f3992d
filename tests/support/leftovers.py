"""A run leaves nothing behind: its files go to a folder that is removed, and processes that outlive it fail the run."""

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

RUN = "TEST_RUN"  # the environment variable by which processes of a run are known
PATIENCE_SECONDS = 20.0  # for processes that are just ending
# Pytest's own processes, and the one by which Python's multiprocessing cleans up: it ends with the process that it serves.
EXCEPTED = ("execnet", "multiprocessing.resource_tracker")


class Leftovers:
    """Gives each test process a working directory of its own, and looks for what it left at the end of the run."""

    def __init__(self, config: pytest.Config) -> None:
        self.controls = not hasattr(config, "workerinput")  # one process of a run does
        if self.controls:
            os.environ[RUN] = uuid.uuid4().hex
        self.folder = Path(tempfile.mkdtemp(prefix="tests-"))
        # Libraries write logs where they run, and killed processes leave sockets: neither goes to the checkout or /tmp.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(ROOT / ".hypothesis")

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        if session.config.pluginmanager.hasplugin("dsession"):
            return  # it only starts other processes, and hands relative paths to them
        tempfile.gettempdir()  # pytest's own folders stay where they are, for whoever looks into a failure
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
    """Process id → command line of what a run started, but for `EXCEPTED`."""
    found = {}
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
                found[pid] = words
    return found
