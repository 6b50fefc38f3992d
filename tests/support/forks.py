"""Runs pytest repeatedly, each time in a fork of a process that has imported the libraries, which saves seconds per run.

Each line of its input is a run, as JSON: the arguments of pytest, the file for its output, and the limit in seconds or null. It
answers with a line: the exit code, or null if the limit was reached. It kills all processes that a run leaves behind.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

OURS = ("__main__", "gym_http_server", "gymserve", "tests")
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans become children of this process
CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children")


def run(arguments: list[str], log: str) -> int:
    """Runs pytest in a new process, and returns its id."""
    if pid := os.fork():
        return pid
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (out, 2)):
        os.dup2(descriptor, target)
    code = 70
    try:
        code = int(
            pytest.main(["-n", "0", "--assert=plain", *arguments])
        )  # assertion rewriting would need to be imported first
        if "--collect-only" in arguments:
            Path(log).write_text(" ".join(sys.modules))
    finally:
        sys.stdout.flush()
        os._exit(code)


def end(pid: int, seconds: float | None) -> int | None:
    """Waits for a run for at most `seconds`, and kills its remaining processes; returns its exit code, None after the limit."""
    deadline = time.monotonic() + (seconds or float("inf"))
    ended = False
    while not ended and time.monotonic() < deadline:
        reaped, status = os.waitpid(-1, os.WNOHANG)
        ended = reaped == pid
        if not reaped:
            time.sleep(0.05)
    while left := CHILDREN.read_text().split():
        for each in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(each), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)
    return os.waitstatus_to_exitcode(status) if ended else None


def preload(log: str, *tests: str) -> None:
    """Imports the modules that tests import, except our own code, which changes."""
    end(run(["--collect-only", "-q", *tests], log), None)
    for name in Path(log).read_text().split():
        if name.partition(".")[0] not in OURS:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def main() -> None:
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    preload(*sys.argv[1:])
    for line in sys.stdin:
        arguments, log, seconds = json.loads(line)
        print(json.dumps(end(run(arguments, log), seconds)), flush=True)


if __name__ == "__main__":
    main()
