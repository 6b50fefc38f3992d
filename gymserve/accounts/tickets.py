"""Tickets: one-time credentials for one URL, valid for seconds, for browser requests that cannot send a key."""

import contextlib
import hashlib
import os
import secrets
import time
from pathlib import Path

import msgspec

from gymserve.accounts.identity import Identity
from gymserve.protocol.errors import StorageFull, Unauthenticated
from gymserve.system.files import write_atomically

SECONDS = 30.0
MAX_LENGTH = 100


class _StoredTicket(msgspec.Struct):
    """The content of a ticket's file, whose name is the ticket's hash."""

    path: str
    until: float  # seconds since 1970
    account_id: int
    name: str
    role: str
    scopes: list[str]


class Tickets:
    """Issues and redeems tickets.

    Args:
        folder: where all processes of a server keep tickets; created with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def issue(self, who: Identity, path: str) -> str:
        """A ticket for a URL path, with the rights that `who` has now.

        Raises:
            StorageFull: the disk is full.
        """
        ticket = secrets.token_urlsafe(32)
        stored = _StoredTicket(path, time.time() + SECONDS, who.account_id, who.name, who.role, sorted(who.scopes))
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sweep()
            write_atomically(self.folder / _name(ticket), msgspec.json.encode(stored))
        except OSError as error:
            raise StorageFull(f"the ticket cannot be stored: {error.strerror}") from error
        return ticket

    def redeem(self, ticket: str, path: str) -> Identity:
        """The identity behind a ticket for this URL path. Uses up the ticket.

        Raises:
            Unauthenticated: the ticket does not exist, was used, has expired, or is for another path.
        """
        file = self.folder / _name(ticket)
        claimed = self.folder / f".{secrets.token_hex(8)}"
        try:
            os.rename(file, claimed)  # succeeds in only one process
            stored = msgspec.json.decode(claimed.read_bytes(), type=_StoredTicket)
        except (OSError, msgspec.MsgspecError):
            raise Unauthenticated("this ticket does not exist, was used, or is too old: ask for another one") from None
        finally:
            claimed.unlink(missing_ok=True)
        if stored.until < time.time() or stored.path != path:
            raise Unauthenticated(f"a ticket is valid for {SECONDS:g} s, and only at the address it was made for")
        return Identity(stored.account_id, stored.name, stored.role, frozenset(stored.scopes))

    def _sweep(self) -> None:
        for file in self.folder.iterdir():
            with contextlib.suppress(OSError):  # another process deleted it first
                if time.time() - file.stat().st_mtime > SECONDS:
                    file.unlink()


def _name(ticket: str) -> str:
    return hashlib.sha256(ticket[:MAX_LENGTH].encode()).hexdigest()
