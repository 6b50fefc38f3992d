"""Tickets: each lets somebody in once, at one address and within seconds, where a browser's page can send no key of its own."""

import contextlib
import hashlib
import os
import secrets
import time
from pathlib import Path

import msgspec

from gymserve.accounts.identity import Identity
from gymserve.protocol.errors import StorageFull, Unauthenticated
from gymserve.system.files import write_whole

SECONDS = 30.0
MOST_CHARACTERS = 100


class _Kept(msgspec.Struct):
    """What a ticket's file holds; the file's name is the ticket's hash."""

    path: str
    until: float  # seconds since 1970
    account_id: int
    name: str
    role: str
    scopes: list[str]


class Tickets:
    """Args: folder: theirs, for all processes of a server; it is made with the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def issue(self, who: Identity, path: str) -> str:
        """A ticket for an address, with the rights of `who` now.

        Raises:
            StorageFull: there is no room.
        """
        ticket = secrets.token_urlsafe(32)
        kept = _Kept(path, time.time() + SECONDS, who.account_id, who.name, who.role, sorted(who.scopes))
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sweep()
            write_whole(self.folder / _name(ticket), msgspec.json.encode(kept))
        except OSError as error:
            raise StorageFull(f"no ticket can be kept: {error.strerror}") from error
        return ticket

    def redeem(self, ticket: str, path: str) -> Identity:
        """Who holds a ticket for this address; it is used up.

        Raises:
            Unauthenticated: there is none, it was used, is too old, or for another address.
        """
        file = self.folder / _name(ticket)
        taken = self.folder / f".{secrets.token_hex(8)}"
        try:
            os.rename(file, taken)  # which succeeds for one process alone
            kept = msgspec.json.decode(taken.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError):
            raise Unauthenticated("this ticket was used, is too old, or never was: ask for another one") from None
        finally:
            taken.unlink(missing_ok=True)
        if kept.until < time.time() or kept.path != path:
            raise Unauthenticated(f"a ticket is good for {SECONDS:g} s at the address that it was made for")
        return Identity(kept.account_id, kept.name, kept.role, frozenset(kept.scopes))

    def _sweep(self) -> None:
        for file in self.folder.iterdir():
            with contextlib.suppress(OSError):  # another process was quicker
                if time.time() - file.stat().st_mtime > SECONDS:
                    file.unlink()


def _name(ticket: str) -> str:
    return hashlib.sha256(ticket[:MOST_CHARACTERS].encode()).hexdigest()
