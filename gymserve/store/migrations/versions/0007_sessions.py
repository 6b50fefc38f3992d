"""Sessions of rewards-api."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from gymserve.store.models import Long, Moment

revision = "0007"
down_revision = "0006"

OPTIONS: Any = {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("account_id", sa.Integer),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("environment", Long, nullable=False),
        sa.Column("agent", Long, nullable=False),
        sa.Column("training", Long, nullable=False),
        sa.Column("agent_at", Moment),
        sa.Column("experiment", sa.String(36), nullable=False),
        sa.Column("evaluation", Long, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_sessions_account_id", ondelete="CASCADE"),
        sa.UniqueConstraint("key", name="uq_sessions_key"),
        **OPTIONS,
    )
    op.create_index("ix_sessions_account_id", "sessions", ["account_id"])
    op.create_index("ix_sessions_score", "sessions", ["score"])


def downgrade() -> None:
    op.drop_table("sessions")
