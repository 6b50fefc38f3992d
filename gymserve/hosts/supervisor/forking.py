"""How a host process is forked from the supervisor, and what the supervisor knows of it."""

import ctypes
import faulthandler
import gc
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gymserve import environments
from gymserve.hosts import child_processes
from gymserve.hosts.host.process import Host
from gymserve.hosts.pulse import Pulse
from gymserve.settings import Settings

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.5
# Exits by itself, and signals that code gets for what it does; SIGBUS is rather a full disk's.
_OF_CALLS = (*range(-255, 1), signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP)
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


class HostProcess:
    """The supervisor's side of a host."""

    def __init__(self, slot: str, pid: int, control: socket.socket, pulse: Pulse) -> None:
        self.slot, self.pid, self.control, self.pulse = slot, pid, control, pulse
        self.killed = ""  # why the supervisor ended it
        self._by_call = False  # and whether for what a call did
        self.dismissed = False
        self._status: int | None = None
        self._calls = (0, 0)
        self._since = 0.0
        self._next_look = 0.0
        self._running = (0.0, time.monotonic())  # when it was looked at next, and seen running last

    def alive(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is None

    def wait(self, seconds: float) -> bool:
        """Whether the process, which has closed its socket, is gone within so long."""
        readable, _, _ = select.select([self.control], [], [], 0)
        if self.alive() and not (readable and self.control.recv(1, socket.MSG_PEEK) == b""):
            return False
        deadline = time.monotonic() + seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.001)
        return not self.alive()

    def hung(self, now: float) -> float:
        """For how many seconds the same call has been under way."""
        calls = self.pulse.read()
        if calls != self._calls or not calls[1]:
            self._calls, self._since = calls, now
        return now - self._since

    def stopped(self, now: float) -> float:
        """For how many seconds it has been seen stopped by a signal, such as SIGSTOP, in a call or between two."""
        due, running = self._running
        if now >= due:
            try:
                state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                state = ""  # it has ended
            self._running = now + _LOOK_SECONDS, running if state == "T" else now
        return now - self._running[1]

    def memory_mb(self, now: float) -> float:
        """Its own memory in MB (not what it shares), looked at now and then."""
        if now < self._next_look:
            return 0.0
        self._next_look = now + _LOOK_SECONDS
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        except OSError:
            return 0.0
        return (int(fields[1]) - int(fields[2])) * _PAGE_MB

    def kill(self, reason: str, *, by_call: bool = False) -> None:
        if not self.killed and self.alive():
            self.killed, self._by_call = reason, by_call
            os.kill(self.pid, signal.SIGKILL)

    def dismiss(self) -> None:
        """Tells it to end in order."""
        self.dismissed = True
        self.control.shutdown(socket.SHUT_RDWR)

    def ended_by_call(self) -> bool:
        """Whether a call into an environment ended it, and not the system, an operator or the supervisor on its own behalf."""
        return self._by_call if self.killed else -os.waitstatus_to_exitcode(self._status or 0) in _OF_CALLS

    def exit_reason(self) -> str:
        code = os.waitstatus_to_exitcode(self._status or 0)
        if code < 0:
            return f"its host was ended by signal {-code} ({signal.Signals(-code).name})"
        return f"its host ended by itself with exit code {code}"


def fork(
    slot: str,
    path: Path,
    settings: Settings,
    catalogue: environments.Catalogue,
    *,
    close: Sequence[Any],
    lock: int,
    prepare: str = "",
) -> HostProcess:
    """Starts a host that listens at `path`; connections to it wait until it is ready.

    Args:
        close: what the child must not keep open.
        lock: the descriptor of the data directory's lock, which the child keeps.
        prepare: the kind of environment (see `trials.kind`) that it makes at once; "": none.
    """
    pulse = Pulse()
    ours, theirs = socket.socketpair()
    listener = socket.socket(socket.AF_UNIX)
    supervisor = os.getpid()
    try:
        listener.bind(str(path))
        listener.listen(1024)
        pid = os.fork()
    except OSError:
        for each in (listener, ours, theirs):
            each.close()
        raise
    if pid == 0:
        for each in (*close, ours):
            each.close()
        _become_host(slot, listener, theirs, settings, catalogue, pulse, supervisor, lock, prepare)
    listener.close()
    theirs.close()
    return HostProcess(slot, pid, ours, pulse)


def _become_host(
    slot: str,
    listener: socket.socket,
    control: socket.socket,
    settings: Settings,
    catalogue: environments.Catalogue,
    pulse: Pulse,
    supervisor: int,
    lock: int,
    prepare: str,
) -> None:
    """The child's whole life."""
    code = 1
    try:
        die_with(supervisor)
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # some simulator's library turns it into an abort
        faulthandler.enable()  # a crash tells the log where
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        child_processes.become_subreaper()
        pulse.keep()
        gc.set_threshold(100_000, 50, 100)  # a step makes hardly any cycles
        host = Host(slot, listener=listener, supervisor=control, settings=settings, catalogue=catalogue, pulse=pulse)
        os.register_at_fork(after_in_child=lambda: _let_go([lock, *host.loop.descriptors()]))
        if prepare:
            host.prepare(prepare)
        host.run()
        code = 0
    except BaseException:
        logging.getLogger("gymserve.hosts").exception("host %s failed", slot)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _let_go(descriptors: Sequence[int]) -> None:
    """In a child of an environment's `fork`: what is the host's alone.

    The other ends notice a host's end, and the next supervisor that all hosts have ended, though the child lives on.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    faulthandler.disable()


def die_with(supervisor: int) -> None:
    """The kernel ends a host whose supervisor is gone, also where it hangs (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)
