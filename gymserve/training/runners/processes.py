"""Processes of experiments: started in a session of their own, measured, and ended for good."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from gymserve.protocol.errors import Unavailable
from gymserve.system import interpreters
from gymserve.training.runners.folder import Folder, Process
from gymserve.training.runners.warm import Warm

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Child(Protocol):
    """A process that was started here."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float) -> int | None: ...


def start(
    folder: Folder, module: str, environment: Mapping[str, str], *, directory: Path, warm: Warm | None = None
) -> Child | None:
    """Runs `python -m module FOLDER` in a session of its own, which is alive as long as it holds the folder's lock.

    Args:
        environment: all of its variables.
        directory: where it stands.
        warm: forks the process, if it can, from one that has imported the libraries already.

    Returns:
        None where such a process is alive already.

    Raises:
        Unavailable: the system starts no more processes.
    """
    path = folder.path.resolve()

    def spawn(lock: int, log: int) -> Child:
        return subprocess.Popen(
            interpreters.command(module, str(path)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock,),
            cwd=directory,
            env=environment,
        )

    def fork(lock: int, log: int) -> Child | None:
        return (
            warm.fork(module, path, environment, directory=directory, lock=lock, log=log) if warm is not None else None
        )

    for launch in (fork, spawn):
        lock = folder.lock()  # again for each: a warm process that died may have left a runner that holds it
        if lock is None:
            return None
        try:
            with open(folder.log, "ab") as log:
                child = launch(lock, log.fileno())
        except OSError as error:
            raise Unavailable(f"no process could be started: {error.strerror}") from error
        finally:
            os.close(lock)
        if child is not None:
            with contextlib.suppress(OSError):  # it has ended already
                folder.note_process(child.pid)
            return child
    return None


def run(folder: Folder, module: str, data: bytes, environment: Mapping[str, str], *, seconds: float) -> None:
    """Runs `python -m module FOLDER` with `data` as its standard input, and waits for its end.

    Raises:
        TimeoutError: it took longer, and was killed.
        Unavailable: the system starts no more processes.
    """
    try:
        subprocess.run(
            interpreters.command(module, str(folder.path.resolve())),
            input=data,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            cwd=folder.path,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    except OSError as error:
        raise Unavailable(f"no process could be started: {error.strerror}") from error


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
