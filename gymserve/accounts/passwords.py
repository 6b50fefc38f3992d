"""Passwords: argon2id (RFC 9106). Few are hashed at a time, since each takes 64 MiB and a tenth of a second."""

import contextlib
import threading
from collections.abc import Iterator

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gymserve.protocol.errors import InvalidRequest, Unavailable

MAX_LENGTH = 1024
MAX_CONCURRENT = 2  # per process
WAIT_SECONDS = 10.0


class Passwords:
    """Hashes and verifies passwords.

    Args:
        min_length: the fewest characters that a new password may have.
    """

    def __init__(self, *, min_length: int) -> None:
        self.min_length = min_length
        self._hasher = PasswordHasher()
        self._slots = threading.BoundedSemaphore(MAX_CONCURRENT)
        self._dummy_hash = ""

    def hash(self, password: str) -> str:
        """The hash of a new password.

        Raises:
            InvalidRequest: the password is too short or too long.
            Unavailable: too many other passwords are being hashed.
        """
        if not self.min_length <= len(password) <= MAX_LENGTH:
            raise InvalidRequest(f"password must be a string of {self.min_length} to {MAX_LENGTH} characters")
        with self._slot():
            return self._hasher.hash(_bytes(password))

    def match(self, hashed: str | None, password: str) -> bool:
        """Whether `password` has this hash. None, for an unknown account, never matches but takes the same time."""
        with self._slot():
            if hashed is None and not self._dummy_hash:
                self._dummy_hash = self._hasher.hash("nobody's")
            try:
                self._hasher.verify(hashed or self._dummy_hash, _bytes(password[:MAX_LENGTH]))
            except (VerificationError, InvalidHashError):
                return False
            return hashed is not None and len(password) <= MAX_LENGTH

    def warm(self) -> None:
        """Computes the dummy hash for unknown accounts ahead, so that the first unknown email takes no longer."""
        self.match(None, "")

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=WAIT_SECONDS):
            raise Unavailable("too many passwords are being checked: try again")
        try:
            yield
        finally:
            self._slots.release()


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
