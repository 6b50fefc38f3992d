"""API keys, with which an account's programs authenticate. A key is shown once; only its hash is stored."""

import datetime
import secrets
from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import func, select

from gymserve.accounts import audit
from gymserve.accounts.audit import Actor
from gymserve.accounts.directory import digest
from gymserve.accounts.identity import SCOPES, Scope
from gymserve.accounts.revision import Revision
from gymserve.protocol.errors import InvalidRequest, LimitReached, NotFound
from gymserve.store import Database
from gymserve.store.models import ApiKey, now

PREFIX = "gs_"
MAX_KEYS = 100  # per account


class KeyRequest(Struct):
    """The properties of a key to create."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scopes: Annotated[
        Annotated[list[Scope], Meta(min_length=1, max_length=len(SCOPES))] | None,
        Meta(description="what the key allows; null for everything that the account may do"),
    ] = None
    days: Annotated[
        Annotated[float, Meta(gt=0, le=3650)] | None, Meta(description="lifetime; null for until revoked")
    ] = None


class Keys:
    """Creates, lists and revokes keys.

    Each change is recorded in the audit log, and a revoked key stops working in every process at once.
    """

    def __init__(self, database: Database, revision: Revision) -> None:
        self.database, self.revision = database, revision

    def create(self, account_id: int, request: KeyRequest, *, by: Actor) -> tuple[ApiKey, str]:
        """Creates a key.

        Returns:
            Its row, and the key itself, which cannot be read again.

        Raises:
            InvalidRequest: the name is not printable.
            LimitReached: the account has too many keys.
        """
        if not request.name.isprintable():
            raise InvalidRequest("name must be printable")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(
            account_id=account_id,
            name=request.name,
            digest=digest(secret),
            hint=secret[:8],
            scopes=",".join(sorted(set(request.scopes or ()))),
            expires_at=None if request.days is None else now() + datetime.timedelta(days=request.days),
        )
        with self.database.writing() as session:
            if (session.scalar(select(func.count()).where(ApiKey.account_id == account_id)) or 0) >= MAX_KEYS:
                raise LimitReached(f"an account may have {MAX_KEYS} keys: revoke one first")
            session.add(key)
            session.flush()
            audit.note(session, by, "key created", f"{key.id} {key.hint}… of account {account_id}")
        return key, secret

    def list(self, account_id: int) -> list[ApiKey]:
        """An account's keys, ordered by id."""
        with self.database.reading() as session:
            return list(session.scalars(select(ApiKey).where(ApiKey.account_id == account_id).order_by(ApiKey.id)))

    def revoke(self, account_id: int, key_id: int, *, by: Actor) -> None:
        """Revokes a key, which takes effect at once.

        Raises:
            NotFound: the account has no such key.
        """
        with self.database.writing() as session:
            key = session.get(ApiKey, key_id) if 0 < key_id < 2**31 else None
            if key is None or key.account_id != account_id:
                raise NotFound(f"there is no key {key_id}")
            session.delete(key)
            audit.note(session, by, "key revoked", f"{key_id} of account {account_id}")
        self.revision.change()
