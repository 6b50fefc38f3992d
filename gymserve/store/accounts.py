"""The tables of accounts."""

import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from gymserve.store.columns import Moment, TableModel, now

ROLES = ("participant", "organiser", "admin")
# How names of challenge entrants begin: accounts without a display name, teams, and names without an account.
# No account may choose such a name.
ACCOUNT_PREFIX, TEAM_PREFIX, REMOTE_PREFIX = "account ", "team:", "participant "


class Account(TableModel):
    """A user."""

    __tablename__ = "accounts"

    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(String(254), unique=True)  # normalized, for comparison
    name: Mapped[str | None] = mapped_column(String(60))  # the display name, if the user has set one
    name_key: Mapped[str | None] = mapped_column(String(180), index=True, unique=True)  # normalized, for comparison
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20))
    is_active: Mapped[bool] = mapped_column(default=True)
    generation: Mapped[int] = mapped_column(default=0)  # of logins; those of earlier generations have ended
    projects_made: Mapped[int] = mapped_column(default=0)  # also counts deleted projects
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)

    @property
    def display_name(self) -> str:
        """The name that other users see instead of the email."""
        return self.name or f"{ACCOUNT_PREFIX}{self.id}"


class ApiKey(TableModel):
    """A key with which an account's programs authenticate. Only its hash is stored."""

    __tablename__ = "api_keys"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 in hex
    hint: Mapped[str] = mapped_column(String(20))  # the key's first characters
    scopes: Mapped[str] = mapped_column(String(200), default="")  # comma-separated; "" for all
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    expires_at: Mapped[datetime.datetime | None] = mapped_column(Moment)


class Invitation(TableModel):
    """A one-time link that creates an account, for example the first administrator's. Only its hash is stored."""

    __tablename__ = "invitations"

    digest: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    expires_at: Mapped[datetime.datetime] = mapped_column(Moment)


class AuditEntry(TableModel):
    """An entry of the audit log. Entries outlive the accounts that they name."""

    __tablename__ = "audit"

    at: Mapped[datetime.datetime] = mapped_column(Moment, default=now, index=True)
    account_id: Mapped[int | None]
    actor: Mapped[str] = mapped_column(String(254))
    action: Mapped[str] = mapped_column(String(50))
    subject: Mapped[str] = mapped_column(String(300))
    address: Mapped[str] = mapped_column(String(60), default="")
    request_id: Mapped[str] = mapped_column(String(64), default="")
