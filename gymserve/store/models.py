"""The tables. Times are UTC; ids are never used twice."""

import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

ROLES = ("participant", "organiser", "admin")
# How entrants that are no accounts are called; no account's name begins so.
TEAM_PREFIX, REMOTE_PREFIX = "team:", "participant "


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
Count = BigInteger().with_variant(Integer(), "sqlite")
"""An integer beyond 32 bits."""


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
    experiments_made: Mapped[int] = mapped_column(default=0)
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


class Team(Model):
    """Accounts that submit to a challenge as one entrant."""

    __tablename__ = "teams"
    __table_args__ = (UniqueConstraint("challenge_id", "name_key"), Model.__table_args__)

    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(60))
    name_key: Mapped[str] = mapped_column(String(180))  # the name as it is compared
    code_digest: Mapped[str] = mapped_column(String(64), default="")  # of the code with which one joins; "": none
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class TeamMember(Model):
    """An account in a team; it is in one team of a challenge at most."""

    __tablename__ = "team_members"
    __table_args__ = (UniqueConstraint("challenge_id", "account_id"), Model.__table_args__)

    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), index=True)
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))


class RemoteEntry(Model):
    """A submission that a challenge server elsewhere is told of."""

    __tablename__ = "remote_entries"

    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"), unique=True)
    sealed_key: Mapped[str] = mapped_column(Text)  # the participant's there, encrypted; "" when it is needed no more
    remote_id: Mapped[str] = mapped_column(String(100), default="")  # what it is called there


class Report(Model):
    """What a challenge server is to be told of a submission; each number once, in their order."""

    __tablename__ = "reports"
    __table_args__ = (
        UniqueConstraint("submission_id", "number"),
        Index("ix_reports_state", "state", "next_at"),
        Model.__table_args__,
    )

    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"))
    number: Mapped[int]  # 0: it was begun; 1: what became of it
    state: Mapped[str] = mapped_column(String(20), default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(String(500), default="")
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    next_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    ended_at: Mapped[datetime.datetime | None] = mapped_column(Moment)


class ExternalEntry(Model):
    """A submission that a grader on another machine tells this server of."""

    __tablename__ = "external_entries"

    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"), unique=True)
    grader_id: Mapped[int]  # the account whose key the grader has
    status: Mapped[str] = mapped_column(String(20))
    details: Mapped[str] = mapped_column(Long, default="{}")  # JSON: meta, media


class Experiment(Model):
    """One training run. `number` counts within its project, if it has one."""

    __tablename__ = "experiments"
    __table_args__ = (
        UniqueConstraint("project_id", "number"),
        Index("ix_experiments_queue", "state", "queued_at"),
        Model.__table_args__,
    )

    name: Mapped[str] = mapped_column(String(36), unique=True)  # a UUID, by which it is addressed
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    number: Mapped[int | None]
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, default="")
    hypothesis: Mapped[str] = mapped_column(String(500), default="")
    tags: Mapped[str] = mapped_column(String(500), default="")  # ",a,b,"; "": none
    runner: Mapped[str] = mapped_column(String(50))
    algorithm: Mapped[str] = mapped_column(String(100), default="")
    environment: Mapped[str] = mapped_column(String(100), default="")
    seed: Mapped[int] = mapped_column(Count, default=42)
    parameters: Mapped[str] = mapped_column(Long, default="{}")  # JSON: what the runner is told besides
    state: Mapped[str] = mapped_column(String(20), default="created")
    wish: Mapped[str] = mapped_column(String(20), default="")  # "pause", "stop": what is to become of it
    reason: Mapped[str] = mapped_column(String(500), default="")
    exit_code: Mapped[int | None]
    attempts: Mapped[int] = mapped_column(default=0)  # processes that were started for it since it was queued by hand
    timesteps: Mapped[int] = mapped_column(Count, default=0)
    metrics_read: Mapped[int] = mapped_column(Count, default=0)  # bytes of its metrics file that are in the database
    results: Mapped[str] = mapped_column(Long, default="{}")  # JSON: what the runner left at its end
    seconds: Mapped[float] = mapped_column(Double, default=0.0)  # for which its processes ran
    cpu_seconds: Mapped[float] = mapped_column(Double, default=0.0)
    peak_memory: Mapped[int] = mapped_column(Count, default=0)  # bytes
    copy_of: Mapped[str] = mapped_column(String(36), default="")
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    queued_at: Mapped[datetime.datetime | None] = mapped_column(Moment)
    started_at: Mapped[datetime.datetime | None] = mapped_column(Moment)
    completed_at: Mapped[datetime.datetime | None] = mapped_column(Moment)


class Metric(Model):
    """One value of an experiment at a timestep. `position` is where its line begins in the runner's file, in bytes."""

    __tablename__ = "metrics"
    __table_args__ = (
        Index("ix_metrics_series", "experiment_id", "name", "timestep"),
        Index("ix_metrics_position", "experiment_id", "position"),
        Model.__table_args__,
    )

    id: Mapped[int] = mapped_column(Count, primary_key=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Count)
    name: Mapped[str] = mapped_column(String(100))
    timestep: Mapped[int] = mapped_column(Count)
    value: Mapped[float | None] = mapped_column(Double)  # null: it was not finite


class Policy(Model):
    """A trained model that can be queried. `version` counts within its account's title; one of a title is promoted."""

    __tablename__ = "models"
    __table_args__ = (Index("ix_models_account_id", "account_id", "title"), Model.__table_args__)

    name: Mapped[str] = mapped_column(String(36), unique=True)  # a UUID, by which it is addressed
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(200))
    version: Mapped[int]
    is_promoted: Mapped[bool] = mapped_column(default=False)
    experiment: Mapped[str] = mapped_column(String(36))  # its name; the experiment may be gone
    algorithm: Mapped[str] = mapped_column(String(100))
    environment: Mapped[str] = mapped_column(String(100))
    details: Mapped[str] = mapped_column(Long, default="{}")  # JSON: the order that it was trained by, its evaluation
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class TrainingSession(Model):
    """A session of rewards-api: a name under which an account keeps parameters, a training, and how well it drives."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_score", "score"), Model.__table_args__)

    key: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of whose it is and what it is called
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    environment: Mapped[str] = mapped_column(Long, default="{}")  # JSON, as the client wrote them
    agent: Mapped[str] = mapped_column(Long, default="{}")
    training: Mapped[str] = mapped_column(Long, default="{}")
    agent_at: Mapped[datetime.datetime | None] = mapped_column(Moment)  # when that was written
    experiment: Mapped[str] = mapped_column(String(36), default="")  # its name; "": none yet
    evaluation: Mapped[str] = mapped_column(Long, default="{}")  # JSON: mode → track → how it drove
    score: Mapped[float | None] = mapped_column(Double)  # on the leaderboard
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
