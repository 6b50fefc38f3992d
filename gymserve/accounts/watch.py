"""A number that changes with every change of who may do what: other processes forget what they remember."""

import mmap
import os
import struct
from pathlib import Path

_NUMBER = struct.Struct("<Q")


class Watch:
    """Args:
    file: shared by all processes that use the same database on this machine.

    Raises:
        OSError: there is no room for it on the disk.
    """

    def __init__(self, file: Path) -> None:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(descriptor, 0, _NUMBER.size)  # a hole would be SIGBUS where the disk is full
        self._page = mmap.mmap(descriptor, _NUMBER.size)
        os.close(descriptor)

    def read(self) -> int:
        return int(_NUMBER.unpack_from(self._page)[0])

    def change(self) -> None:
        """Random, so that two changes at the same time are no trouble."""
        _NUMBER.pack_into(self._page, 0, int.from_bytes(os.urandom(8), "little"))
