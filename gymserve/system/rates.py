"""Rate limits across all processes of a server, in one small memory-mapped file that workers and hosts share.

The algorithm is GCRA (ITU-T I.371, "virtual scheduling"): each subject has a theoretical arrival time, which each unit moves
ahead by 1 / rate; a unit is refused while that time is more than `burst` units ahead of now. So each subject needs only one
number, and a number in the past can be forgotten.
"""

import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
from pathlib import Path

SLOTS = 1 << 16
PROBES = 8
_SLOT = struct.Struct("<Qd")  # a hash of (limit, subject), its theoretical arrival time
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_HEAD = 16  # bytes that identify the machine's boot, since times of an earlier one are meaningless
_ALL = _HEAD + SLOTS * _SLOT.size


class Rates:
    """The rate limits of a server.

    Args:
        file: shared by all processes that count together; created if it does not exist.

    Raises:
        OSError: the disk is full.
    """

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock = threading.Lock()  # the file's lock works only between processes
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        boot = hashlib.blake2b(_BOOT.read_bytes(), digest_size=_HEAD).digest()
        if os.pread(self._descriptor, _HEAD, 0) != boot:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, boot, 0)
        # At each start, since older versions left holes: writing to one raises SIGBUS if the disk is full.
        os.posix_fallocate(self._descriptor, 0, _ALL)
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        self._slots = mmap.mmap(self._descriptor, _ALL)

    def acquire(self, limit: str, subject: object, *, rate: float, burst: float, units: float = 1.0) -> float:
        """Acquires `units`, if they are available.

        Args:
            rate: units per second.
            burst: units that may be acquired at once.

        Returns:
            0.0, or the seconds until enough units are available; in that case none were acquired.
        """
        name = f"{limit}\0{subject}".encode("utf-8", "surrogatepass")
        key = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") or 1
        now = time.monotonic()
        with self._lock:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
            try:
                at, arrival = self._find(key, now)
                after = max(arrival, now) + units / rate
                # More units than a burst are granted if no others were used recently.
                wait = after - now - max(burst, units) / rate
                if wait <= 1e-9:
                    _SLOT.pack_into(self._slots, at, key, after)
                    return 0.0
                return wait
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def refund(self, limit: str, subject: object, *, rate: float, units: float = 1.0) -> None:
        """Returns acquired units."""
        self.acquire(limit, subject, rate=rate, burst=float("inf"), units=-units)

    def _find(self, key: int, now: float) -> tuple[int, float]:
        """(offset, arrival time) of the subject's slot, or of one that it may use."""
        oldest, free = float("inf"), 0
        for probe in range(PROBES):
            at = _HEAD + (key + probe) % SLOTS * _SLOT.size
            other, arrival = _SLOT.unpack_from(self._slots, at)
            if other == key:
                return at, arrival
            if arrival < oldest:
                oldest, free = arrival, at
        return free, now

    def close(self) -> None:
        self._slots.close()
        os.close(self._descriptor)
