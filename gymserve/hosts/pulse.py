"""The pulse: one page of memory that a host shares with the supervisor, to tell a slow call from a hung one.

It survives the host, so it also tells in whose call a host died.
"""

import mmap
import zlib

CALLS, INSTANCE = 0, 1


def number(token: str) -> int:
    """What stands for an instance in the pulse: never 0, which means that no call is under way."""
    return zlib.crc32(token.encode()) | 1 << 32


class Pulse:
    """`page[CALLS]` counts the calls into environments; `page[INSTANCE]` names the instance whose call is under way."""

    def __init__(self) -> None:
        self.page = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    def read(self) -> tuple[int, int]:
        """(calls so far, number of the instance whose call is under way, or 0)."""
        return self.page[CALLS], self.page[INSTANCE]
