"""A process that takes nothing from others: the lowest priority, and the first to go where memory is short."""

import contextlib
import os
from pathlib import Path


def step_back() -> None:
    """Makes this process, and threads that it starts later, run when no other wants to."""
    with contextlib.suppress(OSError):
        os.nice(19)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900")
