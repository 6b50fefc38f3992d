"""The pulse: one page of memory that a host shares with the supervisor, to tell a slow call from a hung one.

It survives the host, so it also tells in whose call a host died.
"""

import contextlib
import mmap
import sys
import zlib
from collections.abc import Iterator

CALLS, INSTANCE = 0, 1


def number(token: str) -> int:
    """What stands for an instance in the pulse: never 0, which means that no call is under way."""
    return zlib.crc32(token.encode()) | 1 << 32


@contextlib.contextmanager
def watched(page: memoryview, instance: int) -> Iterator[None]:
    """One call into an environment, of this instance; resets and steps write the same themselves, which is faster."""
    around = page[INSTANCE]
    page[CALLS] += 1
    page[INSTANCE] = instance
    try:
        yield
    finally:
        page[INSTANCE] = around


class Pulse:
    """`page[CALLS]` counts the calls into environments; `page[INSTANCE]` names the instance whose call is under way."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, mmap.PAGESIZE)
        self.page = memoryview(self._map).cast("Q")

    def keep(self) -> None:
        """Leaves it out of what later forks of this process inherit.

        An environment may fork, and the child come back from its call as well. It ends where it touches the pulse, which is the
        next thing: before it writes into the journal.
        """
        if sys.platform == "linux":
            self._map.madvise(mmap.MADV_DONTFORK)

    def read(self) -> tuple[int, int]:
        """(calls so far, number of the instance whose call is under way, or 0)."""
        return self.page[CALLS], self.page[INSTANCE]
