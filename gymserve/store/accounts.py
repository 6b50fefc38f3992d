"""The tables of accounts."""

import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from gymserve.store.columns import Model, Moment, now

ROLES = ("participant", "organiser", "admin")
# How entrants of challenges are called: accounts by their ids, and others; no name that an account chooses begins so.
ACCOUNT_PREFIX, TEAM_PREFIX, REMOTE_PREFIX = "account ", "team:", "participant "


class Account(Model):
    """A user."""

    __tablename__ = "accounts"

    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(String(254), unique=True)  # the email as it is compared
    name: Mapped[str | None] = mapped_column(String(60))  # which it is shown by to others, where it has chosen one
    name_key: Mapped[str | None] = mapped_column(String(180), index=True, unique=True)  # the name as it is compared
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20))
    is_active: Mapped[bool] = mapped_column(default=True)
    generation: Mapped[int] = mapped_column(default=0)  # logins of an earlier one are over
    projects_made: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)

    @property
    def display_name(self) -> str:
        """What others see instead of its email."""
        return self.name or f"{ACCOUNT_PREFIX}{self.id}"


class ApiKey(Model):
    """A key with which an account's programs identify themselves. Only its hash is kept."""

    __tablename__ = "api_keys"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256, in hexadecimal digits
    hint: Mapped[str] = mapped_column(String(20))  # how the key begins
    scopes: Mapped[str] = mapped_column(String(200), default="")  # by commas; "": all
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    expires_at: Mapped[datetime.datetime | None] = mapped_column(Moment)


class Invitation(Model):
    """A link that works once, such as the one that makes the first administrator. Only its hash is kept."""

    __tablename__ = "invitations"

    digest: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    expires_at: Mapped[datetime.datetime] = mapped_column(Moment)


class AuditEntry(Model):
    """Who did what. Rows outlive the accounts that they name."""

    __tablename__ = "audit"

    at: Mapped[datetime.datetime] = mapped_column(Moment, default=now, index=True)
    account_id: Mapped[int | None]
    actor: Mapped[str] = mapped_column(String(254))
    action: Mapped[str] = mapped_column(String(50))
    subject: Mapped[str] = mapped_column(String(300))
    address: Mapped[str] = mapped_column(String(60), default="")
    request_id: Mapped[str] = mapped_column(String(64), default="")
