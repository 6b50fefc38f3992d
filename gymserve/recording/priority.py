"""Gives a background process a low priority: a small share of a busy processor, and the first to be killed for memory."""

import contextlib
import os
from pathlib import Path

NICE = 10  # a tenth of a processor beside one busy process: videos get done while training uses all processors


def lower() -> None:
    """Lowers the priority of this process and of the threads that it starts later.

    With the kernel's autogroups a nice value counts only within its session, and each session gets an equal share. So the
    session gets the same nice value, if this process leads it.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # waking up preempts no other process
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICE))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900")
