"""The journal's file: written through shared memory, so that what was recorded survives `kill -9` of its writer."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from gymserve.journal.records import Created, Record, decode
from gymserve.protocol.errors import StorageFull

MAGIC = b"gymserve journal 1\n"
FIRST_ROOM = 4096  # bytes; what an idle instance occupies on the disk
MOST_ROOM = 1 << 20  # bytes; the file grows by at most this much ahead of what is written
_CHECK = 4  # bytes


def _size_prefix(size: int) -> bytes:
    """LEB128: 7 bits a byte, the lowest first."""
    parts = bytearray()
    while size > 0x7F:
        parts.append(0x80 | size & 0x7F)
        size >>= 7
    parts.append(size)
    return bytes(parts)


_SHORT = [_size_prefix(size) for size in range(128)]


class Journal:
    """Appends records to one instance's file.

    The file is mapped into memory (MAP_SHARED): once `append` returns, the record belongs to the kernel, as after
    `write`, at a third of the cost and with no descriptor kept open. Room is allocated ahead, so that a full disk shows
    as `StorageFull` and never as a signal.
    """

    def __init__(self, path: Path, *, end: int, check: int, limit: int) -> None:
        self.path = path
        self.limit = limit
        self._end = end  # in the file
        self._check = check  # of the last record
        self._start = 0  # of the mapped window, in the file
        self._room = 0  # bytes of the window
        self._map: mmap.mmap | None = None

    @classmethod
    def create(cls, path: Path, first: bytes, *, limit: int) -> "Journal":
        """A new journal whose first record is `first`.

        Raises:
            StorageFull: the disk has no room for it.
        """
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise StorageFull(f"cannot create a journal: {error.strerror}") from error
        journal = cls(path, end=0, check=0, limit=limit)
        try:
            journal._grow(len(MAGIC) + len(first) + 16)
        except StorageFull:
            path.unlink()
            raise
        assert journal._map is not None
        journal._map[: len(MAGIC)] = MAGIC
        journal._end = len(MAGIC)
        journal.append(first)
        return journal

    @classmethod
    def reopen(cls, path: Path, *, limit: int) -> tuple["Journal", list[Record]]:
        """The journal in `path` and its whole records; a torn tail is cut off.

        Raises:
            ValueError: the file is not a journal of a known version, or holds no whole record.
        """
        records = []
        end, check = len(MAGIC), 0
        for record, end, check in scan(path.read_bytes(), path.name):  # noqa: B007 - the last values are used below
            records.append(record)
        if not records:
            raise ValueError(f"{path.name} holds no whole record")
        os.truncate(path, end)
        return cls(path, end=end, check=check, limit=limit), records

    @property
    def size(self) -> int:
        """Bytes that were recorded."""
        return self._end

    def append(self, body: bytes) -> None:
        """Records `body`.

        Raises:
            StorageFull: there is no room on the disk, or the journal has reached its limit. Nothing was recorded.
        """
        size = len(body)
        check = crc32(body, self._check)
        record = (_SHORT[size] if size < 128 else _size_prefix(size)) + body + check.to_bytes(4, "little")
        at = self._end - self._start
        if at + len(record) > self._room:
            self._grow(len(record))
            at = self._end - self._start
        self._map[at : at + len(record)] = record  # type: ignore[index]
        self._end += len(record)
        self._check = check

    def _grow(self, needed: int) -> None:
        """Moves the window so that it starts at the page of the end and has room for `needed` bytes."""
        if self._end + needed > self.limit:
            raise StorageFull(f"the instance's journal has reached its limit of {self.limit} bytes: close the instance")
        start = self._end - self._end % mmap.ALLOCATIONGRANULARITY
        least = self._end - start + needed
        ahead = max(FIRST_ROOM, min(MOST_ROOM, 2 * self._end), least)
        try:
            try:
                window, room = self._mapped(start, ahead)
            except OSError:  # the last pages of a disk that fills up
                window, room = self._mapped(start, least)
        except OSError as error:
            raise StorageFull(f"the journal cannot grow: {error.strerror}") from error
        if self._map is not None:
            self._map.close()
        self._map, self._start, self._room = window, start, room

    def _mapped(self, start: int, room: int) -> tuple[mmap.mmap, int]:
        """The file's window at `start`, of `room` bytes in whole pages that are allocated on the disk."""
        room += -room % mmap.ALLOCATIONGRANULARITY
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, start, room)
            else:  # macOS
                os.ftruncate(descriptor, start + room)
            return mmap.mmap(descriptor, room, offset=start), room
        finally:
            os.close(descriptor)

    def sync(self) -> None:
        """Returns when all that was recorded is on the disk."""
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Gives back the room that was allocated ahead."""
        if self._map is not None:
            self._map.close()
            self._map, self._room = None, 0
            os.truncate(self.path, self._end)


def read(path: Path) -> Iterator[Record]:
    """The whole records of a journal, also while it is being written.

    Raises:
        ValueError: the file is not a journal of a known version.
    """
    for record, _, _ in scan(path.read_bytes(), path.name):
        yield record


def scan(data: bytes, name: str = "the journal") -> Iterator[tuple[Record, int, int]]:
    """(record, where it ends in the file's bytes, its check) for each whole record; the first one follows `MAGIC`.

    Raises:
        ValueError: these are not the bytes of a journal of a known version.
    """
    copies: int | None = None  # as the first record says
    for body, end, check in frames(data, name):
        record = decode(body, copies or 0)
        if copies is None:
            copies = record.recipe.copies if isinstance(record, Created) else 0
        yield record, end, check


def frames(data: bytes, name: str = "the journal") -> Iterator[tuple[bytes, int, int]]:
    """(body, where it ends in the file's bytes, its check) for each whole record, whatever it says.

    Raises:
        ValueError: these are not the bytes of a journal.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{name} is not a journal that this version reads")
    at, check = len(MAGIC), 0
    while (found := _next_body(data, at)) is not None:
        body, end = found
        check = crc32(body, check)
        if data[end - _CHECK : end] != check.to_bytes(_CHECK, "little"):
            return
        yield body, end, check
        at = end


def _next_body(data: bytes, at: int) -> tuple[bytes, int] | None:
    """(a record's body, where the record ends); None: no whole record is at `at`."""
    size = shift = 0
    while True:
        if at >= len(data) or shift > 35:
            return None
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    end = at + size + _CHECK
    if size == 0 or end > len(data):
        return None
    return data[at : at + size], end
