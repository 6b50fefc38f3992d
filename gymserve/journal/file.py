"""The journal's file. It is written through shared memory, so that records survive `kill -9` of their writer."""

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from gymserve.journal.records import Created, Record, decode
from gymserve.protocol.errors import StorageFull

MAGIC = b"gymserve journal 1\n"
FIRST_ROOM = 4096  # bytes that are allocated at first: an idle instance occupies these on the disk
MOST_ROOM = 1 << 20  # the maximum number of bytes allocated ahead
_CHECK = 4  # bytes
_encode_check = struct.Struct("<I").pack  # quicker than `int.to_bytes`


def _size_prefix(size: int) -> bytes:
    """Encodes a size as LEB128: 7 bits per byte, the lowest first."""
    parts = bytearray()
    while size > 0x7F:
        parts.append(0x80 | size & 0x7F)
        size >>= 7
    parts.append(size)
    return bytes(parts)


_SHORT = [_size_prefix(size) for size in range(128)]


class Journal:
    """Appends records to one instance's file.

    The file is mapped into memory (MAP_SHARED). Once `append` returns, the record belongs to the kernel, as after `write`,
    but at a third of the cost and without an open descriptor. Room is allocated ahead, so that a full disk raises
    `StorageFull` instead of a signal.
    """

    def __init__(self, path: Path, *, end: int, check: int, limit: int) -> None:
        self.path = path
        self.limit = limit
        self._end = end  # offset behind the last record
        self._check = check  # checksum of the last record
        self._start = 0  # offset of the mapped window
        self._room = 0  # size of the window in bytes
        self._map: mmap.mmap | None = None

    @classmethod
    def create(cls, path: Path, first: bytes, *, limit: int) -> "Journal":
        """Creates a journal whose first record is `first`.

        Raises:
            StorageFull: the disk has no room for the journal.
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
        """Opens the journal at `path`, cuts off a torn tail, and returns the journal and its complete records.

        Raises:
            ValueError: the file is not a journal of a known version, or has no complete record.
        """
        records = []
        end, check = len(MAGIC), 0
        for record, end, check in scan(path.read_bytes(), path.name):  # noqa: B007 - the last values are used below
            records.append(record)
        if not records:
            raise ValueError(f"{path.name} has no complete record")
        os.truncate(path, end)
        return cls(path, end=end, check=check, limit=limit), records

    @property
    def size(self) -> int:
        """The number of bytes up to the last record."""
        return self._end

    def append(self, body: bytes) -> None:
        """Appends a record with this body.

        Raises:
            StorageFull: the disk is full, or the journal has reached its limit. Nothing was appended.
        """
        size = len(body)
        check = crc32(body, self._check)
        record = (_SHORT[size] if size < 128 else _size_prefix(size)) + body + _encode_check(check)
        at = self._end - self._start
        if at + len(record) > self._room:
            self._grow(len(record))
            at = self._end - self._start
        self._map[at : at + len(record)] = record  # type: ignore[index]  # `_grow` has mapped it; no check on the hot path
        self._end += len(record)
        self._check = check

    def _grow(self, needed: int) -> None:
        """Moves the window to the page of the end, with room for `needed` bytes."""
        if self._end + needed > self.limit:
            raise StorageFull(f"the instance's journal has reached its limit of {self.limit} bytes: close the instance")
        start = self._end - self._end % mmap.ALLOCATIONGRANULARITY
        least = self._end - start + needed
        ahead = max(FIRST_ROOM, min(MOST_ROOM, 2 * self._end), least)
        try:
            try:
                window, room = self._map_window(start, ahead)
            except OSError:  # the disk is nearly full
                window, room = self._map_window(start, least)
        except OSError as error:
            raise StorageFull(f"the journal cannot grow: {error.strerror}") from error
        if self._map is not None:
            self._map.close()
        self._map, self._start, self._room = window, start, room

    def _map_window(self, start: int, room: int) -> tuple[mmap.mmap, int]:
        """Allocates `room` bytes at `start`, rounded up to pages, and maps them; returns the map and its size."""
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
        """Writes all records to the disk."""
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Unmaps the file and frees the room that was allocated ahead."""
        if self._map is not None:
            self._map.close()
            self._map, self._room = None, 0
            os.truncate(self.path, self._end)


def read(path: Path) -> Iterator[Record]:
    """Yields the complete records of a journal, which may still be written to.

    Raises:
        ValueError: the file is not a journal of a known version.
    """
    for record, _, _ in scan(path.read_bytes(), path.name):
        yield record


def scan(data: bytes, name: str = "the journal") -> Iterator[tuple[Record, int, int]]:
    """Yields (record, offset of its end, checksum) for each complete record after `MAGIC`.

    Raises:
        ValueError: `data` is not a journal of a known version.
    """
    copies: int | None = None  # known after the first record
    for body, end, check in frames(data, name):
        record = decode(body, copies or 0)
        if copies is None:
            copies = record.recipe.copies if isinstance(record, Created) else 0
        yield record, end, check


def frames(data: bytes, name: str = "the journal") -> Iterator[tuple[bytes, int, int]]:
    """Yields (body, offset of the record's end, checksum) for each complete record, without decoding the body.

    Raises:
        ValueError: `data` is not a journal.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{name} is not a journal that this version reads")
    at, check = len(MAGIC), 0
    while (next_body := _next_body(data, at)) is not None:
        body, end = next_body
        check = crc32(body, check)
        if data[end - _CHECK : end] != check.to_bytes(_CHECK, "little"):
            return
        yield body, end, check
        at = end


def _next_body(data: bytes, at: int) -> tuple[bytes, int] | None:
    """Returns (body, offset of the record's end), or None if no complete record begins at `at`."""
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
