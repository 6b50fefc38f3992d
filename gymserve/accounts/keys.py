"""API keys: with them an account's programs say who they are. They are shown once; only their hashes are kept."""

import datetime
import secrets
from typing import Any

from sqlalchemy import func, select

from gymserve.accounts import audit
from gymserve.accounts.audit import Actor
from gymserve.accounts.directory import digest
from gymserve.accounts.identity import SCOPES
from gymserve.accounts.watch import Watch
from gymserve.errors import InvalidRequest, LimitReached, NotFound
from gymserve.store import Database
from gymserve.store.models import ApiKey, now

PREFIX = "gs_"
MOST = 100  # of one account
MOST_DAYS = 3650.0


class Keys:
    """Every change is noted in the audit log, and heard by all processes of the server."""

    def __init__(self, database: Database, watch: Watch) -> None:
        self.database, self.watch = database, watch

    def create(
        self, account_id: int, name: Any, *, scopes: Any = None, days: Any = None, by: Actor
    ) -> tuple[ApiKey, str]:
        """(its row, the key itself, which is never seen again).

        Args:
            scopes: what it is good for, of `identity.SCOPES`; None: all that the account may do.
            days: how long it lasts; None: until it is revoked.

        Raises:
            InvalidRequest: a value is no good.
            LimitReached: the account has too many.
        """
        if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable():
            raise InvalidRequest("name must be a string of 1 to 100 printable characters")
        if scopes is not None and (not isinstance(scopes, list) or not scopes or any(s not in SCOPES for s in scopes)):
            raise InvalidRequest(f"scopes must be a list of some of {', '.join(SCOPES)}")
        if days is not None and (type(days) not in (int, float) or not 0 < days <= MOST_DAYS):
            raise InvalidRequest(f"days must be a number, more than 0 and at most {MOST_DAYS:g}")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(
            account_id=account_id,
            name=name,
            digest=digest(secret),
            hint=secret[:8],
            scopes=",".join(sorted(set(scopes or ()))),
            expires_at=None if days is None else now() + datetime.timedelta(days=days),
        )
        with self.database.writing() as session:
            if (session.scalar(select(func.count()).where(ApiKey.account_id == account_id)) or 0) >= MOST:
                raise LimitReached(f"an account may have {MOST} keys: revoke one first")
            session.add(key)
            session.flush()
            audit.note(session, by, "key created", f"{key.id} {key.hint}… of account {account_id}")
        return key, secret

    def list(self, account_id: int) -> list[ApiKey]:
        """An account's keys, by their ids."""
        with self.database.reading() as session:
            return list(session.scalars(select(ApiKey).where(ApiKey.account_id == account_id).order_by(ApiKey.id)))

    def revoke(self, account_id: int, key_id: int, *, by: Actor) -> None:
        """Ends a key, at once.

        Raises:
            NotFound: the account has no such key.
        """
        with self.database.writing() as session:
            key = session.get(ApiKey, key_id) if 0 < key_id < 2**31 else None
            if key is None or key.account_id != account_id:
                raise NotFound(f"there is no key {key_id}")
            session.delete(key)
            audit.note(session, by, "key revoked", f"{key_id} of account {account_id}")
        self.watch.change()
