"""Forks host processes from the supervisor, and tracks their state."""

import contextlib
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

import psutil

from gymserve import environments
from gymserve.hosts import child_processes
from gymserve.hosts.host.process import Host
from gymserve.hosts.host.settings import HostSettings
from gymserve.hosts.pulse import Pulse

_CHECK_SECONDS = 0.5
# Negated exit codes that an environment's call can cause: its own exits and crashes. SIGBUS more likely means a full disk.
_CALL_EXITS = (*range(-255, 1), signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP)


class HostProcess:
    """The supervisor's handle of a host process."""

    def __init__(self, slot: str, pid: int, control: socket.socket, pulse: Pulse) -> None:
        self.slot, self.pid, self.control, self.pulse = slot, pid, control, pulse
        self._process = psutil.Process(pid)
        self.killed = ""  # why the supervisor killed it
        self._by_call = False  # whether it was killed because of a call
        self.dismissed = False
        self._status: int | None = None
        self._calls = (0, 0)
        self._since = 0.0
        self._next_memory_check = 0.0
        self._next_state_check = 0.0
        self._last_running = time.monotonic()

    def alive(self) -> bool:
        """Whether the process runs; reaps it if it has ended."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is None

    def wait(self, seconds: float) -> bool:
        """Waits up to `seconds` for a process that has closed its socket; returns whether it has ended."""
        readable, _, _ = select.select([self.control], [], [], 0)
        if self.alive() and not (readable and self.control.recv(1, socket.MSG_PEEK) == b""):
            return False
        deadline = time.monotonic() + seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.001)
        return not self.alive()

    def hung(self, now: float) -> float:
        """How many seconds the current call has taken so far."""
        calls = self.pulse.read()
        if calls != self._calls or not calls[1]:
            self._calls, self._since = calls, now
        return now - self._since

    def stopped(self, now: float) -> float:
        """How many seconds the process has been stopped by a signal, for example SIGSTOP."""
        if now >= self._next_state_check:
            self._next_state_check = now + _CHECK_SECONDS
            state = ""
            with contextlib.suppress(OSError, psutil.Error):  # it has ended
                state = self._process.status()
            if state != psutil.STATUS_STOPPED:
                self._last_running = now
        return now - self._last_running

    def memory_mb(self, now: float) -> float:
        """The process' private memory in MB, or 0 if the next check is not due yet."""
        if now < self._next_memory_check:
            return 0.0
        self._next_memory_check = now + _CHECK_SECONDS
        with contextlib.suppress(OSError, psutil.Error):  # it has ended
            memory = self._process.memory_info()
            return float(memory.rss - memory.shared) / 2**20
        return 0.0

    def kill(self, reason: str, *, by_call: bool = False) -> None:
        """Kills the process; `by_call` says that a call into an environment is the cause."""
        if not self.killed and self.alive():
            self.killed, self._by_call = reason, by_call
            os.kill(self.pid, signal.SIGKILL)

    def dismiss(self) -> None:
        """Asks the process to end, by closing its control connection."""
        self.dismissed = True
        self.control.shutdown(socket.SHUT_RDWR)

    def ended_by_call(self) -> bool:
        """Whether a call into an environment caused the end, and not the system, an operator or the supervisor."""
        return self._by_call if self.killed else -os.waitstatus_to_exitcode(self._status or 0) in _CALL_EXITS

    def exit_reason(self) -> str:
        """How the process ended, for error messages."""
        code = os.waitstatus_to_exitcode(self._status or 0)
        if code < 0:
            return f"its host was ended by signal {-code} ({signal.Signals(-code).name})"
        return f"its host ended by itself with exit code {code}"


def fork(
    slot: str,
    path: Path,
    settings: HostSettings,
    catalogue: environments.Catalogue,
    *,
    close: Sequence[Any],
    lock: int,
    warm_kind: str = "",
) -> HostProcess:
    """Forks a host that listens at `path`; connections queue until it is ready.

    Args:
        close: the sockets that the child must close.
        lock: the descriptor of the data directory's lock, which the child keeps.
        warm_kind: the kind of environment (see `Recipe.kind`) that the host makes at once, or "" for none.
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
        _become_host(slot, listener, theirs, settings, catalogue, pulse, supervisor, lock, warm_kind)
    listener.close()
    theirs.close()
    return HostProcess(slot, pid, ours, pulse)


def _become_host(
    slot: str,
    listener: socket.socket,
    control: socket.socket,
    settings: HostSettings,
    catalogue: environments.Catalogue,
    pulse: Pulse,
    supervisor: int,
    lock: int,
    warm_kind: str,
) -> None:
    """Runs the host in the child process; never returns."""
    code = 1
    try:
        child_processes.die_with(supervisor)
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # the library of a simulator turns it into an abort
        faulthandler.enable()  # a crash logs its stack
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        child_processes.become_subreaper()
        pulse.keep()
        gc.set_threshold(100_000, 50, 100)  # steps hardly create reference cycles
        host = Host(slot, listener=listener, supervisor=control, settings=settings, catalogue=catalogue, pulse=pulse)
        os.register_at_fork(after_in_child=lambda: _detach_child([lock, *host.loop.descriptors()]))
        if warm_kind:
            host.warm_up(warm_kind)
        host.run()
        code = 0
    except BaseException:
        logging.getLogger("gymserve.hosts").exception("host %s failed", slot)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _detach_child(descriptors: Sequence[int]) -> None:
    """Closes the host's descriptors in a child that an environment has forked.

    So the other ends notice when the host ends, and the lock is free when all hosts have ended, even if the child lives on.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    faulthandler.disable()
