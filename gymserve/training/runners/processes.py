"""Processes of experiments: started in a session of their own, measured, and ended for good."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gymserve.errors import Unavailable
from gymserve.training.runners.folder import Folder, Process

INHERITED = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES", "SSL_CERT_FILE",
)  # fmt: skip
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def start(folder: Folder, module: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
    """Runs `python -m module FOLDER` in a session of its own, which is alive as long as it holds the folder's lock.

    Args:
        environment: variables beside the few that it inherits.

    Returns:
        None where such a process is alive already.

    Raises:
        Unavailable: the system starts no more processes.
    """
    lock = folder.lock()
    if lock is None:
        return None
    try:
        with open(folder.log, "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(folder.path.resolve())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock,),
                cwd=folder.path,
                env={**_variables(), **environment},
            )
        with contextlib.suppress(OSError):
            folder.note_process(process.pid)
    except OSError as error:
        raise Unavailable(f"no process could be started: {error.strerror}") from error
    finally:
        os.close(lock)
    return process


def run(folder: Folder, module: str, data: bytes, *, seconds: float) -> None:
    """Runs `python -m module FOLDER` with `data` as its standard input, and waits for its end.

    Raises:
        TimeoutError: it took longer, and was killed.
        Unavailable: the system starts no more processes.
    """
    try:
        subprocess.run(
            [sys.executable, "-m", module, str(folder.path.resolve())],
            input=data,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            cwd=folder.path,
            env=_variables(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    except OSError as error:
        raise Unavailable(f"no process could be started: {error.strerror}") from error


def _variables() -> dict[str, str]:
    """Environment variables for a process of the training."""
    return {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        **ONE_THREAD,
        "MUJOCO_GL": "egl",
        "PYGAME_HIDE_SUPPORT_PROMPT": "1",
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path),
    }


class Usage(NamedTuple):
    """What a process group takes: memory in bytes, processor time in seconds so far."""

    memory: int
    cpu_seconds: float


def members(group: int) -> Iterator[tuple[int, list[str]]]:
    """The processes of a group that are no zombies: id, and what stands in `/proc/<id>/stat` after the name."""
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                parts = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if int(parts[2]) == group and parts[0] != "Z":
                    yield int(entry), parts


def usage(group: int) -> Usage:
    """What the group takes now; pages that its processes share are counted once."""
    found = list(members(group))
    ticks = sum(int(part) for _, parts in found for part in parts[11:15])
    if len(found) == 1:
        return Usage(int(found[0][1][21]) * PAGE, ticks / TICKS)
    return Usage(sum(_proportional(pid) for pid, _ in found), ticks / TICKS)


def _proportional(pid: int) -> int:
    """A process' memory in bytes, where each page counts by the number of processes that share it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # it has just ended
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def age(process: Process) -> float:
    """Seconds since it started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - process.started / TICKS


def send(process: Process, number: signal.Signals, *, group: bool = True) -> None:
    """Sends a signal to a process' group, or to it alone; nothing, where the process is another one by now."""
    if process.is_there():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number) if group else os.kill(process.pid, number)


def sweep(process: Process) -> bool:
    """Kills what is left of the group of a process that has ended; whether nothing was."""
    left = [pid for pid, _ in members(process.pid)]
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not left
