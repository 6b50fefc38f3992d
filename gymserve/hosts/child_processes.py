"""The processes that environments start. None of them outlives its instance, its host or the server.

Hosts adopt the orphans of their environments' processes, and the supervisor those of its hosts: they are subreapers
in Linux's terms. Every process has an environment variable that names the data directory, so a new supervisor can find
what a killed one left running.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from gymserve.hosts.pulse import INSTANCE, number

MARK = "GYMSERVE_HOSTS_OF"  # the environment variable; its value is the data directory
_STARTING = ("os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen")  # Python's audit events
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_starting = threading.Lock()  # held while a spared process starts and while all others are killed
_spared: list[subprocess.Popen[str]] = []


def become_subreaper() -> None:
    """Makes orphans among this process' descendants its children."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Makes the kernel kill this process when its parent ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def children(pid: int) -> set[int]:
    """The process ids of a process' children.

    psutil would read all processes of the machine for them, which takes 100 times longer; a host does this every second.
    """
    pids: set[int] = set()
    with contextlib.suppress(OSError):  # it has ended, or one of its threads has
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                pids.update(map(int, file.read().split()))
    return pids


def has_children() -> bool:
    """Whether this process has children; in a subreaper, no children means no descendants."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def descendants(pid: int, without: Collection[int] = ()) -> set[int]:
    """The process ids of a process' children, their children, and so on, except `without` and their descendants."""
    pids, pending = set(without), children(pid).difference(without)
    while pending:
        pids |= pending
        pending = set().union(*map(children, pending)) - pids
    return pids.difference(without)


def kill(pids: Iterable[int]) -> None:
    """Kills processes and reaps those that are children of this one, now or at the next call."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)


def start_spared(start: Callable[[], subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """Calls `start`, and returns the process that it starts, which `kill_all` spares until it has been waited for.

    Its environment cannot tell `kill_all` what it is: that of a process that is just starting is another one's or empty,
    and any other process could pretend to be spared.
    """
    with _starting:
        process = start()
        _spared[:] = [process, *(each for each in _spared if each.returncode is None)]
    return process


def kill_all() -> None:
    """Kills this process' descendants except supervisors that it has started, and theirs.

    Processes that replay environments call it last.
    """
    with _starting:
        kill(descendants(os.getpid(), [each.pid for each in _spared if each.returncode is None]))


def belongs_to(data: Path, pid: int) -> bool:
    """Whether a process is the supervisor of a data directory or one of its descendants."""
    with contextlib.suppress(OSError):  # it has ended, or is another user's
        return f"{MARK}={data}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def kill_leftovers(data: Path) -> None:
    """Kills the processes that a killed supervisor of this data directory left running."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    kill(pid for pid in pids if pid != os.getpid() and belongs_to(data, pid))


class ChildProcesses:
    """A host's descendants, each with the instances that may have started it (its owners).

    Args:
        pulse: the host's page, which names the instance whose call is under way when Python starts a process.
            Processes that native code starts raise no audit event, so their owners are guessed.
    """

    def __init__(self, pulse: memoryview) -> None:
        self._pulse = pulse
        self._owners: dict[int, set[str]] = {}  # process id → tokens
        self._starters: set[int] = set()  # numbers of the instances that started a process since the last update
        self._host = os.getpid()
        sys.addaudithook(self._note_start)

    def _note_start(self, event: str, args: object) -> None:
        if event in _STARTING and os.getpid() == self._host:
            self._starters.add(self._pulse[INSTANCE])

    def any(self) -> bool:
        """Whether there are processes to look after; finding out takes one system call."""
        return bool(self._owners or self._starters) or has_children()

    def update(self, tokens: Collection[str], called: Iterable[str]) -> None:
        """Assigns owners to new processes, and kills those whose owners are all gone.

        Args:
            tokens: all instances of the host.
            called: the instances that were called since the last update.
        """
        owners = {token for token in tokens if number(token) in self._starters} or {*called} or {*tokens}
        self._starters.clear()
        self._owners = {pid: self._owners.get(pid, {*owners}) for pid in descendants(os.getpid())}
        self._kill_ownerless()

    def release(self, token: str) -> None:
        """Kills the processes that only this instance, whose environment was closed, can have started."""
        for owners in self._owners.values():
            owners.discard(token)
        self._kill_ownerless()

    def _kill_ownerless(self) -> None:
        kill([pid for pid, owners in self._owners.items() if not owners])
