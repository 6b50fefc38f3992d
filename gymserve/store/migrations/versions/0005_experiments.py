"""Experiments and their metrics."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from gymserve.store.models import Count, Long, Moment

revision = "0005"
down_revision = "0004"

OPTIONS: Any = {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.add_column("projects", sa.Column("experiments_made", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "experiments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(36), nullable=False),
        sa.Column("account_id", sa.Integer),
        sa.Column("project_id", sa.Integer),
        sa.Column("number", sa.Integer),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("hypothesis", sa.String(500), nullable=False),
        sa.Column("tags", sa.String(500), nullable=False),
        sa.Column("runner", sa.String(50), nullable=False),
        sa.Column("algorithm", sa.String(100), nullable=False),
        sa.Column("environment", sa.String(100), nullable=False),
        sa.Column("seed", Count, nullable=False),
        sa.Column("parameters", Long, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("wish", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("exit_code", sa.Integer),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("timesteps", Count, nullable=False),
        sa.Column("metrics_read", Count, nullable=False),
        sa.Column("results", Long, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("cpu_seconds", sa.Double, nullable=False),
        sa.Column("peak_memory", Count, nullable=False),
        sa.Column("copy_of", sa.String(36), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("queued_at", Moment),
        sa.Column("started_at", Moment),
        sa.Column("completed_at", Moment),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_experiments_account_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_experiments_project_id", ondelete="CASCADE"),
        sa.UniqueConstraint("name", name="uq_experiments_name"),
        sa.UniqueConstraint("project_id", "number", name="uq_experiments_project_id"),
        **OPTIONS,
    )
    op.create_index("ix_experiments_queue", "experiments", ["state", "queued_at"])
    op.create_index("ix_experiments_account_id", "experiments", ["account_id"])
    op.create_table(
        "metrics",
        sa.Column("id", Count, primary_key=True),
        sa.Column("experiment_id", sa.Integer, nullable=False),
        sa.Column("position", Count, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("timestep", Count, nullable=False),
        sa.Column("value", sa.Double),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name="fk_metrics_experiment_id", ondelete="CASCADE"
        ),
        **OPTIONS,
    )
    op.create_index("ix_metrics_series", "metrics", ["experiment_id", "name", "timestep"])
    op.create_index("ix_metrics_position", "metrics", ["experiment_id", "position"])
