"""The audit log: who did what. An entry is written in the same transaction as the change it describes, if there is one."""

import datetime
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from gymserve.accounts.identity import Identity
from gymserve.store import Database
from gymserve.store.models import AuditEntry, now


class Actor(NamedTuple):
    """The account or program that performs an action, and its address."""

    account_id: int | None
    name: str
    address: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, identity: Identity, address: str = "", request_id: str = "") -> "Actor":
        """The actor behind an authenticated request."""
        return cls(identity.account_id or None, identity.name, address, request_id)


COMMAND_LINE = Actor(None, "command line")


def note(session: Session, actor: Actor, action: str, subject: str) -> None:
    """Records that `actor` did `action` to `subject`."""
    session.add(
        AuditEntry(
            account_id=actor.account_id,
            actor=actor.name[:254],
            action=action,
            subject=subject[:300],
            address=actor.address[:60],
            request_id=actor.request_id[:64],
        )
    )


def entries(
    database: Database, *, days: float = 30.0, account_id: int | None = None, limit: int = 1000
) -> list[AuditEntry]:
    """The entries of the last `days`, newest first."""
    query = select(AuditEntry).where(AuditEntry.at > now() - datetime.timedelta(days=days))
    if account_id is not None:
        query = query.where(AuditEntry.account_id == account_id)
    with database.reading() as session:
        return list(session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)))


def remove_old(database: Database, days: float) -> None:
    """Deletes entries more than `days` old."""
    with database.writing() as session:
        session.execute(delete(AuditEntry).where(AuditEntry.at < now() - datetime.timedelta(days=days)))
