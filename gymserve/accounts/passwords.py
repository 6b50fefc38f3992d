"""Passwords: argon2id (RFC 9106), few at a time, since each takes 64 MiB and a tenth of a second."""

import contextlib
import threading
from collections.abc import Iterator

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gymserve.protocol.errors import InvalidRequest, Unavailable

LONGEST = 1024
AT_ONCE = 2  # in each process
PATIENCE_SECONDS = 10.0


class Passwords:
    """Hashes and checks.

    Args:
        shortest: characters that a new password must have.
    """

    def __init__(self, *, shortest: int) -> None:
        self.shortest = shortest
        self._hasher = PasswordHasher()
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._nobodys = ""

    def hash(self, password: str) -> str:
        """A new password's hash.

        Raises:
            InvalidRequest: it is too short or too long.
            Unavailable: too many others are being hashed.
        """
        if not self.shortest <= len(password) <= LONGEST:
            raise InvalidRequest(f"password must be a string of {self.shortest} to {LONGEST} characters")
        with self._place():
            return self._hasher.hash(_bytes(password))

    def match(self, hashed: str | None, password: str) -> bool:
        """Whether `password` is the one; takes as long where there is no account (None)."""
        with self._place():
            if hashed is None and not self._nobodys:
                self._nobodys = self._hasher.hash("nobody's")
            try:
                self._hasher.verify(hashed or self._nobodys, _bytes(password[:LONGEST]))
            except (VerificationError, InvalidHashError):
                return False
            return hashed is not None and len(password) <= LONGEST

    def warm(self) -> None:
        """Prepares the hash that stands in for unknown accounts, so that the first of them takes no longer."""
        self.match(None, "")

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=PATIENCE_SECONDS):
            raise Unavailable("too many passwords are being checked: try again")
        try:
            yield
        finally:
            self._places.release()


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
