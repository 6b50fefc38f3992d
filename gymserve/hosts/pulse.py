"""The pulse: a page of memory that a host shares with the supervisor, which detects hung calls with it.

The page survives the host, so it also shows which instance's call a host died in.
"""

import contextlib
import mmap
import sys
import zlib
from collections.abc import Iterator

CALLS, INSTANCE = 0, 1


def number(token: str) -> int:
    """The number of an instance in the pulse. It is never 0, which means that no call is under way."""
    return zlib.crc32(token.encode()) | 1 << 32


@contextlib.contextmanager
def watched(page: memoryview, instance: int) -> Iterator[None]:
    """Marks a call into an instance's environment. Resets and steps write the page directly, which is faster."""
    outer = page[INSTANCE]
    page[CALLS] += 1
    page[INSTANCE] = instance
    try:
        yield
    finally:
        page[INSTANCE] = outer


class Pulse:
    """`page[CALLS]` counts the calls into environments; `page[INSTANCE]` names the instance whose call is under way."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, mmap.PAGESIZE)
        self.page = memoryview(self._map).cast("Q")

    def keep(self) -> None:
        """Excludes the page from later forks of this process.

        An environment may fork, and then the child returns from the call too. It touches the pulse next, which ends it with
        SIGSEGV before it can write to the journal.
        """
        if sys.platform == "linux":
            self._map.madvise(mmap.MADV_DONTFORK)

    def read(self) -> tuple[int, int]:
        """Returns the number of calls so far, and the number of the instance whose call is under way or 0."""
        return self.page[CALLS], self.page[INSTANCE]
