"""The tables. Times are UTC; ids are never used twice."""

import datetime
from typing import Any

from sqlalchemy import DateTime, Double, ForeignKey, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

ROLES = ("participant", "organiser", "admin")


def now() -> datetime.datetime:
    """The time, in UTC: all dates come from here."""
    return datetime.datetime.now(datetime.UTC)


class Moment(TypeDecorator[datetime.datetime]):
    """A point in time: aware and in UTC here, without a zone in the database."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime.datetime | None, dialect: Any) -> datetime.datetime | None:
        return value and value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime.datetime | None, dialect: Any) -> datetime.datetime | None:
        return value and value.replace(tzinfo=datetime.UTC)


Long = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
"""Text of up to 16 MB."""


class Model(DeclarativeBase):
    """What all tables have in common."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # Text is compared as it is written, in every database.
    __table_args__: Any = {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}

    id: Mapped[int] = mapped_column(primary_key=True)


class Account(Model):
    """A user."""

    __tablename__ = "accounts"

    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(String(254), unique=True)  # the email as it is compared
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20))
    is_active: Mapped[bool] = mapped_column(default=True)
    generation: Mapped[int] = mapped_column(default=0)  # logins of an earlier one are over
    projects_made: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


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


class Project(Model):
    """A group of experiments; `number` counts within its account."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("account_id", "number"), Model.__table_args__)

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    number: Mapped[int]
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    project_type: Mapped[str] = mapped_column(String(50))
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


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


class Challenge(Model):
    """A challenge, as its organiser last defined it."""

    __tablename__ = "challenges"

    name: Mapped[str] = mapped_column(String(63), unique=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    version_id: Mapped[int] = mapped_column(default=0)  # of its present definition
    is_open: Mapped[bool] = mapped_column(default=True)
    changed_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class ChallengeVersion(Model):
    """A definition that a challenge has or had: what was submitted under it is scored by it."""

    __tablename__ = "challenge_versions"

    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of the definition
    definition: Mapped[str] = mapped_column(Long)  # canonical JSON
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class Submission(Model):
    """One account's graded instance in a challenge, and what became of it."""

    __tablename__ = "submissions"
    __table_args__ = (
        Index("ix_submissions_board", "challenge_id", "phase", "changed_at"),
        Index("ix_submissions_entrant", "challenge_id", "entrant", "created_at"),
        Model.__table_args__,
    )

    name: Mapped[str] = mapped_column(String(40), unique=True)  # what it is called for good
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"))
    version_id: Mapped[int] = mapped_column(ForeignKey("challenge_versions.id"))
    phase: Mapped[str] = mapped_column(String(63))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"), index=True)
    entrant: Mapped[str] = mapped_column(String(254))
    token: Mapped[str | None] = mapped_column(String(60), unique=True)  # of its instance
    state: Mapped[str] = mapped_column(String(20), index=True)
    reason: Mapped[str] = mapped_column(String(500), default="")
    counts: Mapped[bool] = mapped_column(default=True)  # against the limits; a void one does not
    score: Mapped[float | None] = mapped_column(Double)
    secondary: Mapped[float | None] = mapped_column(Double)
    spread: Mapped[float | None] = mapped_column(Double)
    standard_error: Mapped[float | None] = mapped_column(Double)
    steps: Mapped[int] = mapped_column(default=0)
    trials: Mapped[str] = mapped_column(Long, default="[]")  # JSON, as in the receipt
    verdict: Mapped[str] = mapped_column(String(20), default="")
    verdict_reason: Mapped[str] = mapped_column(String(500), default="")
    receipt: Mapped[str] = mapped_column(Long, default="")
    left: Mapped[bool] = mapped_column(default=False)  # its agent has closed it
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    changed_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    finished_at: Mapped[datetime.datetime | None] = mapped_column(Moment)
