"""API keys: with them an account's programs say who they are. They are shown once; only their hashes are kept."""

import datetime
import secrets
from typing import Annotated, Literal

from msgspec import Meta, Struct
from sqlalchemy import func, select

from gymserve.accounts import audit
from gymserve.accounts.audit import Actor
from gymserve.accounts.directory import digest
from gymserve.accounts.identity import SCOPES
from gymserve.accounts.watch import Watch
from gymserve.protocol.errors import InvalidRequest, LimitReached, NotFound
from gymserve.store import Database
from gymserve.store.models import ApiKey, now

PREFIX = "gs_"
MOST = 100  # of one account


class KeyOrder(Struct):
    """What a new key is to be."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scopes: Annotated[
        Annotated[list[Literal[SCOPES]], Meta(min_length=1, max_length=len(SCOPES))] | None,  # type: ignore[valid-type]
        Meta(description="what it is good for; null: all that the account may do"),
    ] = None
    days: Annotated[
        Annotated[float, Meta(gt=0, le=3650)] | None, Meta(description="how long it lasts; null: until revoked")
    ] = None


class Keys:
    """Every change is noted in the audit log, and heard by all processes of the server."""

    def __init__(self, database: Database, watch: Watch) -> None:
        self.database, self.watch = database, watch

    def create(self, account_id: int, order: KeyOrder, *, by: Actor) -> tuple[ApiKey, str]:
        """Makes a key: (its row, the key itself, which is never seen again).

        Raises:
            InvalidRequest: its name is not printable.
            LimitReached: the account has too many.
        """
        if not order.name.isprintable():
            raise InvalidRequest("name must be printable")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(
            account_id=account_id,
            name=order.name,
            digest=digest(secret),
            hint=secret[:8],
            scopes=",".join(sorted(set(order.scopes or ()))),
            expires_at=None if order.days is None else now() + datetime.timedelta(days=order.days),
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
