"""Experiments' processes: started in their own session, measured and ended."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import psutil

from gymserve.protocol.errors import Unavailable
from gymserve.system import interpreters
from gymserve.training.runners.folder import Folder, ProcessIdentity
from gymserve.training.runners.warm import Warm

TICKS = os.sysconf("SC_CLK_TCK")


class Child(Protocol):
    """A process that this one started."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float) -> int | None: ...


def start(
    folder: Folder, module: str, environment: Mapping[str, str], *, directory: Path, warm: Warm | None = None
) -> Child | None:
    """Run `python -m module FOLDER` in its own session; it counts as alive while it holds the folder's lock.

    Args:
        environment: all of its environment variables.
        directory: its working directory.
        warm: if it can, forks the process from one that has already imported the libraries.

    Returns:
        None if such a process is already alive.

    Raises:
        Unavailable: the system cannot start more processes.
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
        lock = folder.lock()  # each attempt: a warm process that died may have left a runner with the lock
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
            with contextlib.suppress(OSError):  # it has already ended
                folder.note_process(child.pid)
            return child
    return None


def run(folder: Folder, module: str, data: bytes, environment: Mapping[str, str], *, seconds: float) -> None:
    """Run `python -m module FOLDER` with `data` as its standard input, and wait for it to end.

    Raises:
        TimeoutError: it took too long and was killed.
        Unavailable: the system cannot start more processes.
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
    """A process group's memory in bytes and its processor time so far in seconds."""

    memory: int
    cpu_seconds: float


def members(group: int) -> Iterator[psutil.Process]:
    """Yield the processes of a group except zombies."""
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):  # it has just ended
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def usage(group: int) -> Usage:
    """Measure a process group; pages that its processes share count once."""
    processes, memory, seconds = list(members(group)), 0, 0.0
    for process in processes:
        with contextlib.suppress(OSError, psutil.Error):  # it has just ended
            seconds += sum(process.cpu_times()[:4])  # its own and those of children that it has waited for
            memory += process.memory_info().rss if len(processes) == 1 else process.memory_full_info().pss
    return Usage(memory, seconds)


def age(process: ProcessIdentity) -> float:
    """Return the seconds since a process started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - process.started / TICKS


def send(process: ProcessIdentity, number: signal.Signals, *, group: bool = True) -> None:
    """Send a signal to a process's group, or only to the process; do nothing if the process is gone."""
    if process.is_there():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number) if group else os.kill(process.pid, number)


def sweep(process: ProcessIdentity) -> bool:
    """Kill what remains of the group of an ended process; return whether nothing remained."""
    left = list(members(process.pid))
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    return not left
