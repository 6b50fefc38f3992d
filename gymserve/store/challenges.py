"""The tables of challenges and their submissions."""

import datetime
from typing import Any

from sqlalchemy import Double, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gymserve.store.columns import JsonText, Long, Moment, TableModel, now


class ChallengeRow(TableModel):
    """A challenge, with a reference to its present definition."""

    __tablename__ = "challenges"

    name: Mapped[str] = mapped_column(String(63), unique=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    version_id: Mapped[int] = mapped_column(default=0)  # of the present definition
    is_open: Mapped[bool] = mapped_column(default=True)
    changed_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class ChallengeVersion(TableModel):
    """A present or past definition of a challenge. A submission is scored by the version it was made under."""

    __tablename__ = "challenge_versions"

    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of the definition
    definition: Mapped[str] = mapped_column(Long)  # canonical JSON
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class PhaseKey(TableModel):
    """The generation of a phase's key, and when the key was published. Without a row: generation 0, not published."""

    __tablename__ = "phase_keys"
    __table_args__ = (UniqueConstraint("challenge_id", "phase"), TableModel.__table_args__)

    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"))
    phase: Mapped[str] = mapped_column(String(63))
    generation: Mapped[int] = mapped_column(default=0)
    shown_at: Mapped[datetime.datetime | None] = mapped_column(Moment)


class Submission(TableModel):
    """One account's graded instance in a challenge, and its outcome."""

    __tablename__ = "submissions"
    __table_args__ = (
        Index("ix_submissions_board", "challenge_id", "phase", "changed_at"),
        Index("ix_submissions_entrant", "challenge_id", "entrant", "created_at"),
        TableModel.__table_args__,
    )

    name: Mapped[str] = mapped_column(String(40), unique=True)  # its permanent identifier
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"))
    version_id: Mapped[int] = mapped_column(ForeignKey("challenge_versions.id"))
    phase: Mapped[str] = mapped_column(String(63))
    key_generation: Mapped[int] = mapped_column(default=0)  # of the phase key, see `PhaseKey`
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"), index=True)
    # The account's id or the team, whatever its display name is now; see `grader/server/competitions/names.py`.
    entrant: Mapped[str] = mapped_column(String(254))
    token: Mapped[str | None] = mapped_column(String(60), unique=True)  # of its instance
    state: Mapped[str] = mapped_column(String(20), index=True)
    reason: Mapped[str] = mapped_column(String(500), default="")
    counts: Mapped[bool] = mapped_column(default=True)  # against the limits; false for a void submission
    score: Mapped[float | None] = mapped_column(Double)
    secondary: Mapped[float | None] = mapped_column(Double)
    spread: Mapped[float | None] = mapped_column(Double)
    standard_error: Mapped[float | None] = mapped_column(Double)
    steps: Mapped[int] = mapped_column(default=0)
    trials: Mapped[str] = mapped_column(Long, default="[]")  # canonical JSON, as in the receipt
    journal_head: Mapped[str] = mapped_column(String(64), default="")  # see `receipt.head`; "" until it ends
    verdict: Mapped[str] = mapped_column(String(20), default="")
    verdict_reason: Mapped[str] = mapped_column(String(500), default="")
    receipt: Mapped[str] = mapped_column(Long, default="")
    left: Mapped[bool] = mapped_column(default=False)  # whether the agent has closed it
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    changed_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    finished_at: Mapped[datetime.datetime | None] = mapped_column(Moment)


class Team(TableModel):
    """Accounts that submit to a challenge as one entrant."""

    __tablename__ = "teams"
    __table_args__ = (UniqueConstraint("challenge_id", "name_key"), TableModel.__table_args__)

    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(60))
    name_key: Mapped[str] = mapped_column(String(180))  # normalized, for comparison
    code_digest: Mapped[str] = mapped_column(String(64), default="")  # of the invitation code; "" without one
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class TeamMember(TableModel):
    """An account's membership of a team. An account is in at most one team per challenge."""

    __tablename__ = "team_members"
    __table_args__ = (UniqueConstraint("challenge_id", "account_id"), TableModel.__table_args__)

    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), index=True)
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))


class RemoteEntry(TableModel):
    """A submission that is reported to an external challenge server."""

    __tablename__ = "remote_entries"

    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"), unique=True)
    sealed_key: Mapped[str] = mapped_column(Text)  # the participant's key there, encrypted; emptied at the end
    remote_id: Mapped[str] = mapped_column(String(100), default="")  # the submission's id there


class Report(TableModel):
    """A report on a submission to an external challenge server. A submission's reports are sent in order, once each."""

    __tablename__ = "reports"
    __table_args__ = (
        UniqueConstraint("submission_id", "number"),
        Index("ix_reports_state", "state", "next_at"),
        TableModel.__table_args__,
    )

    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"))
    number: Mapped[int]  # 0: the submission has begun; 1: its outcome
    state: Mapped[str] = mapped_column(String(20), default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(String(500), default="")
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    next_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    ended_at: Mapped[datetime.datetime | None] = mapped_column(Moment)


class ExternalEntry(TableModel):
    """A submission that is graded on another machine and reported to this server."""

    __tablename__ = "external_entries"

    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"), unique=True)
    grader_id: Mapped[int]  # the account whose key the grader uses
    status: Mapped[str] = mapped_column(String(20))
    details: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)  # meta, media
