"""A process that takes little from others: a small share of a busy processor, and the first to go where memory is short."""

import contextlib
import os
from pathlib import Path

NICE = 10  # beside one busy process on a processor, a tenth of it: videos get done while training uses all processors


def step_back() -> None:
    """Gives this process, and threads that it starts later, a small share of what others want too.

    With the kernel's autogroups a nice value counts only within its session, and each session gets an equal share; so
    the session that this process leads gets the value as well.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # waking up interrupts nobody
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICE))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900")
