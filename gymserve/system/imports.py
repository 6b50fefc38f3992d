"""What a process has imported: it stays until the process ends, so nothing needs to look through it for garbage."""

import atexit
import contextlib
import gc
import io
import os
import stat

_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def freeze() -> None:
    """Hides everything that exists by now from the garbage collector; call it when the imports are done.

    Leaving Python otherwise collects over all modules several times, 0.2 s and more of a process, and a collection in a
    forked process copies the memory that it shares. Objects made later are collected as usual while the process runs.
    """
    gc.freeze()
    atexit.unregister(_flush)
    atexit.register(_flush)


def _flush() -> None:
    """Writes what is left in files that nobody closed: on leaving, what a frozen object refers to is not collected."""
    for each in gc.get_objects():
        if type(each) in _WRITERS:
            with contextlib.suppress(OSError, ValueError):
                if stat.S_ISREG(os.fstat(each.fileno()).st_mode):  # a pipe could block
                    each.flush()
