"""The processes that environments start: none of them outlives its instance, its host or the server.

A host adopts what its environments' processes leave behind, and the supervisor what hosts leave behind (Linux calls
that a subreaper). All of them have a variable that names the data directory, by which the next supervisor finds what a
killed one left.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from gymserve.hosts.pulse import INSTANCE, number

MARK = "GYMSERVE_HOSTS_OF"  # the variable; its value is the data directory
_STARTING = ("os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen")  # Python's audit events
_PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Orphans among this process' descendants become its children."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children(pid: int) -> set[int]:
    """The process ids of a process' children."""
    found: set[int] = set()
    with contextlib.suppress(OSError):  # it has ended, or one of its threads has
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found.update(map(int, file.read().split()))
    return found


def descendants(pid: int) -> set[int]:
    """The process ids of a process' children, their children, and so on."""
    found, waiting = set(), children(pid)
    while waiting:
        found |= waiting
        waiting = set().union(*map(children, waiting)) - found
    return found


def end(pids: Iterable[int]) -> None:
    """Kills processes; those that are this one's children are zombies no longer, now or at the next call."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)


def end_all() -> None:
    """Kills all below this process but supervisors and their hosts: for one that replays environments, at its end."""
    end(pid for pid in descendants(os.getpid()) if not _mark(pid))


def is_of(data: Path, pid: int) -> bool:
    """Whether a process is the supervisor of a data directory, or was started below it."""
    return _mark(pid) == str(data).encode()


def _mark(pid: int) -> bytes:
    """The data directory that a process' variables name; b"": none."""
    name = f"{MARK}=".encode()
    with contextlib.suppress(OSError):  # it has ended, or is another user's
        for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if variable.startswith(name):
                return variable.removeprefix(name)
    return b""


def sweep(data: Path) -> None:
    """Kills what a supervisor of this data directory left that was killed itself."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    end(pid for pid in pids if pid != os.getpid() and is_of(data, pid))


class Offspring:
    """A host's descendants, and the instances that may have started them.

    Args:
        pulse: the host's, which says in whose call Python starts a process. What starts one past Python does so unheard.
    """

    def __init__(self, pulse: memoryview) -> None:
        self._pulse = pulse
        self._of: dict[int, set[str]] = {}  # process id → tokens
        self._starters: set[int] = set()  # numbers of instances, since the last look
        self._host = os.getpid()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: object) -> None:
        if event in _STARTING and os.getpid() == self._host:
            self._starters.add(self._pulse[INSTANCE])

    def look(self, tokens: Collection[str], lately: Iterable[str]) -> None:
        """Notes whose new processes are; kills what is no living instance's.

        Args:
            tokens: all instances.
            lately: those that were called since the last look.
        """
        owners = {token for token in tokens if number(token) in self._starters} or {*lately} or {*tokens}
        self._starters.clear()
        self._of = {pid: self._of.get(pid, {*owners}) for pid in descendants(os.getpid())}
        self._end_ownerless()

    def left(self, token: str) -> None:
        """Kills the processes of an instance whose environment was closed, where no other one may have started them."""
        for owners in self._of.values():
            owners.discard(token)
        self._end_ownerless()

    def _end_ownerless(self) -> None:
        end([pid for pid, owners in self._of.items() if not owners])
