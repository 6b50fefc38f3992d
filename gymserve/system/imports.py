"""Excludes imported modules from garbage collection, since they live until the process ends."""

import atexit
import contextlib
import gc
import io
import os
import stat

_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def freeze() -> None:
    """Hides all existing objects from the garbage collector; call it when the imports are done.

    Otherwise Python's exit collects all modules several times, which takes 0.2 s and more, and a collection in a forked process
    copies the memory that it shares. Objects made later are collected as usual.
    """
    gc.freeze()
    atexit.unregister(_flush)
    atexit.register(_flush)


def _flush() -> None:
    """Flushes files that were not closed, because at exit the objects that a frozen one refers to are not collected."""
    for each in gc.get_objects():
        if type(each) in _WRITERS:
            with contextlib.suppress(OSError, ValueError):
                if stat.S_ISREG(os.fstat(each.fileno()).st_mode):  # a pipe could block
                    each.flush()
