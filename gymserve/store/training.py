"""The tables of projects, experiments, models and sessions."""

import datetime
from typing import Any

from sqlalchemy import Double, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gymserve.store.columns import Count, JsonText, Moment, TableModel, now


class Project(TableModel):
    """A group of experiments. `number` counts within its account."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("account_id", "number"), TableModel.__table_args__)

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    number: Mapped[int]
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    project_type: Mapped[str] = mapped_column(String(50))
    experiments_made: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class Experiment(TableModel):
    """One training run. `number` counts within its project, if it has one."""

    __tablename__ = "experiments"
    __table_args__ = (
        UniqueConstraint("project_id", "number"),
        Index("ix_experiments_queue", "state", "queued_at"),
        TableModel.__table_args__,
    )

    name: Mapped[str] = mapped_column(String(36), unique=True)  # a UUID, which addresses it
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    number: Mapped[int | None]
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, default="")
    hypothesis: Mapped[str] = mapped_column(String(500), default="")
    tags: Mapped[str] = mapped_column(String(500), default="")  # ",a,b,", or ""
    runner: Mapped[str] = mapped_column(String(50))
    algorithm: Mapped[str] = mapped_column(String(100), default="")
    environment: Mapped[str] = mapped_column(String(100), default="")
    seed: Mapped[int] = mapped_column(Count, default=42)
    parameters: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)  # the runner's other parameters
    state: Mapped[str] = mapped_column(String(20))
    request: Mapped[str] = mapped_column("wish", String(20), default="")  # pending: "pause", "stop", "end" or "anew"
    reason: Mapped[str] = mapped_column(String(500), default="")
    exit_code: Mapped[int | None]
    attempts: Mapped[int] = mapped_column(default=0)  # processes started since a user queued it
    timesteps: Mapped[int] = mapped_column(Count, default=0)
    metrics_read: Mapped[int] = mapped_column(Count, default=0)  # bytes of its metrics file that are in the database
    results: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)  # the runner's final results
    seconds: Mapped[float] = mapped_column(Double, default=0.0)  # wall time of its processes
    cpu_seconds: Mapped[float] = mapped_column(Double, default=0.0)
    peak_memory: Mapped[int] = mapped_column(Count, default=0)  # bytes
    copy_of: Mapped[str] = mapped_column(String(36), default="")
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    queued_at: Mapped[datetime.datetime | None] = mapped_column(Moment)
    started_at: Mapped[datetime.datetime | None] = mapped_column(Moment)
    completed_at: Mapped[datetime.datetime | None] = mapped_column(Moment)


class Metric(TableModel):
    """One value of an experiment at a timestep. `position` is the byte offset of its line in the runner's file."""

    __tablename__ = "metrics"
    __table_args__ = (
        Index("ix_metrics_series", "experiment_id", "name", "timestep"),
        Index("ix_metrics_position", "experiment_id", "position"),
        TableModel.__table_args__,
    )

    id: Mapped[int] = mapped_column(Count, primary_key=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Count)
    name: Mapped[str] = mapped_column(String(100))
    timestep: Mapped[int] = mapped_column(Count)
    value: Mapped[float | None] = mapped_column(Double)  # null if it was not finite


class Policy(TableModel):
    """A trained model that can be queried. `version` counts per account and title; one version per title is promoted."""

    __tablename__ = "models"
    __table_args__ = (Index("ix_models_account_id", "account_id", "title"), TableModel.__table_args__)

    name: Mapped[str] = mapped_column(String(36), unique=True)  # a UUID, which addresses it
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(200))
    version: Mapped[int]
    is_promoted: Mapped[bool] = mapped_column(default=False)
    experiment: Mapped[str] = mapped_column(String(36))  # its name, even after the experiment was deleted
    algorithm: Mapped[str] = mapped_column(String(100))
    environment: Mapped[str] = mapped_column(String(100))
    details: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)  # its training plan and its evaluation
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class TrainingSession(TableModel):
    """A session of rewards-api: an account's named set of parameters, with its training and evaluation."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_score", "score"), TableModel.__table_args__)

    key: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of its account and name
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    environment: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)  # as sent, like the next two
    agent: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)
    training: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)
    agent_at: Mapped[datetime.datetime | None] = mapped_column(Moment)  # when `agent` was written
    experiment: Mapped[str] = mapped_column(String(36), default="")  # its name, or "" before the first training
    evaluation: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)  # mode → track → evaluation
    score: Mapped[float | None] = mapped_column(Double)  # on the leaderboard
    created_at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
