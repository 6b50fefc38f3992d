"""The revision of all accounts and keys: a number in shared memory, by which processes notice changes."""

import mmap
import os
import struct
from pathlib import Path

_NUMBER = struct.Struct("<Q")


class Revision:
    """A number that changes with every change of an account or key.

    Args:
        file: shared by all processes on this machine that use the same database.

    Raises:
        OSError: the disk has no room for the file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(descriptor, 0, _NUMBER.size)  # writing to a hole on a full disk would raise SIGBUS
        self._page = mmap.mmap(descriptor, _NUMBER.size)
        os.close(descriptor)

    def read(self) -> int:
        """The present number."""
        return int(_NUMBER.unpack_from(self._page)[0])

    def change(self) -> None:
        """Sets another number. It is random, so that simultaneous changes cannot cancel out."""
        _NUMBER.pack_into(self._page, 0, int.from_bytes(os.urandom(8), "little"))
