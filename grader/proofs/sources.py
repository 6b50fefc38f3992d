"""What makes two processes answer differently though both are made alike, and who asks for it."""

import os
import random
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from typing import Any

CLOCK, PID, CHANCE = "the clock (time)", "the process id (os.getpid)", "the system's random numbers (os.urandom)"
ADDRESSES, NETWORK = "memory addresses (id)", "the network (socket)"
THREADS, PROCESSES = "threads (threading)", "other processes (subprocess, os.fork)"
SHIFT_SECONDS = 12_345_678.0  # to another day, month and time of day
_EVENTS = {
    "builtins.id": ADDRESSES, "socket.connect": NETWORK, "socket.getaddrinfo": NETWORK, "socket.gethostname": NETWORK,
    "subprocess.Popen": PROCESSES, "os.fork": PROCESSES,
}  # fmt: skip
_NO_ENVIRONMENTS = ("gymserve.hosts", "gymserve.journal", "grader", "gymnasium", "numpy", "importlib", "logging")
_LIBRARY = sysconfig.get_path("stdlib")


class Sources:
    """Notes who asks this process for what no other has. It cannot be undone, and is for a process of its own.

    Args:
        shift_seconds: how wrong the time of day is to be, for those who ask Python's `time` for it.
    """

    def __init__(self, *, shift_seconds: float = 0.0) -> None:
        self.asked: set[str] = set()
        self.watching = False  # only while the environment is at work
        sys.addaudithook(self._heard)
        for name in ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "thread_time"):
            setattr(time, name, self._noting(CLOCK, getattr(time, name)))
        now, now_ns = time.time, time.time_ns
        time.time = self._noting(CLOCK, lambda: now() + shift_seconds)
        time.time_ns = self._noting(CLOCK, lambda: now_ns() + int(shift_seconds * 1e9))
        for name in ("gmtime", "localtime"):
            setattr(time, name, self._noting(CLOCK, self._of_now(getattr(time, name), lambda: now() + shift_seconds)))
        threading.Thread.start = self._noting(THREADS, threading.Thread.start)  # type: ignore[method-assign]
        os.getpid = self._noting(PID, os.getpid)
        os.urandom = random._urandom = self._noting(CHANCE, os.urandom)  # type: ignore[attr-defined]

    def _heard(self, event: str, arguments: Any) -> None:
        source = _EVENTS.get(event)
        if source is not None and self.watching and self._is_asked_by(sys._getframe(1), source):
            self.asked.add(source)

    def _noting(self, source: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any) -> Any:
            if self.watching and self._is_asked_by(sys._getframe(1), source):
                self.asked.add(source)
            return call(*arguments)

        return noting

    @staticmethod
    def _of_now(call: Callable[..., Any], now: Callable[[], float]) -> Callable[..., Any]:
        return lambda seconds=None: call(now() if seconds is None else seconds)

    @staticmethod
    def _is_asked_by(frame: Any, source: str) -> bool:
        """Whether the caller counts: not we, and for an address, which copying asks for as well, not Python's library."""
        name = frame.f_globals.get("__name__", "")
        if any(name == one or name.startswith(f"{one}.") for one in _NO_ENVIRONMENTS):
            return False
        return source not in (ADDRESSES, CLOCK, PID) or not frame.f_code.co_filename.startswith(_LIBRARY)
