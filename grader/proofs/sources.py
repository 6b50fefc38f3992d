"""Finds out which sources of non-determinism an environment uses, any of which can make replays differ."""

import os
import random
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import ParamSpec, TypeVar

CLOCK, PID, RANDOMNESS = "the clock (time)", "the process id (os.getpid)", "the system's random numbers (os.urandom)"
ADDRESSES, NETWORK = "memory addresses (id)", "the network (socket)"
THREADS, PROCESSES = "threads (threading)", "other processes (subprocess, os.fork)"
SHIFT_SECONDS = 12_345_678.0  # moves the clock to another time of day, day and month
_EVENTS = {
    "builtins.id": ADDRESSES, "socket.connect": NETWORK, "socket.getaddrinfo": NETWORK, "socket.gethostname": NETWORK,
    "subprocess.Popen": PROCESSES, "os.fork": PROCESSES,
}  # fmt: skip
_IGNORED_CALLERS = (
    "gymserve.hosts",
    "gymserve.journal",
    "gymserve.grader",
    "gymnasium",
    "numpy",
    "importlib",
    "logging",
)
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")

P = ParamSpec("P")
R = TypeVar("R")


class Sources:
    """Records which sources of non-determinism this process uses. Patches modules for good, so use it in a separate process.

    Args:
        shift_seconds: added to the wall-clock time that Python's `time` returns.
    """

    def __init__(self, *, shift_seconds: float = 0.0) -> None:
        self.used: set[str] = set()
        self.watching = False  # only while the environment runs
        sys.addaudithook(self._on_event)
        for name in ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "thread_time"):
            setattr(time, name, self._wrap(CLOCK, getattr(time, name)))
        now, now_ns = time.time, time.time_ns
        time.time = self._wrap(CLOCK, lambda: now() + shift_seconds)
        time.time_ns = self._wrap(CLOCK, lambda: now_ns() + int(shift_seconds * 1e9))
        for name in ("gmtime", "localtime"):
            shifted = self._with_default(getattr(time, name), lambda: now() + shift_seconds)
            setattr(time, name, self._wrap(CLOCK, shifted))
        start = self._wrap(THREADS, threading.Thread.start)
        threading.Thread.start = start  # type: ignore[method-assign]  # patched on purpose
        os.getpid = self._wrap(PID, os.getpid)
        urandom = self._wrap(RANDOMNESS, os.urandom)
        os.urandom = random._urandom = urandom  # type: ignore[attr-defined]  # `random` keeps a private reference

    def _on_event(self, event: str, arguments: object) -> None:
        source = _EVENTS.get(event)
        if source is not None and self.watching and self._counts(sys._getframe(1), source):
            self.used.add(source)

    def _wrap(self, source: str, call: Callable[P, R]) -> Callable[P, R]:
        """Wraps the function `call` to record that `source` is used."""

        def wrapper(*arguments: P.args, **more: P.kwargs) -> R:
            if self.watching and self._counts(sys._getframe(1), source):
                self.used.add(source)
            return call(*arguments, **more)

        return wrapper

    @staticmethod
    def _with_default(call: Callable[[float], R], now: Callable[[], float]) -> Callable[..., R]:
        return lambda seconds=None: call(now() if seconds is None else seconds)

    @staticmethod
    def _counts(frame: FrameType, source: str) -> bool:
        """Whether the caller is the environment. For addresses, the clock and the pid, the standard library does not count."""
        name = frame.f_globals.get("__name__", "")
        if any(name == caller or name.startswith(f"{caller}.") for caller in _IGNORED_CALLERS):
            return False
        return source not in (ADDRESSES, CLOCK, PID) or not frame.f_code.co_filename.startswith(_STANDARD_LIBRARY)
