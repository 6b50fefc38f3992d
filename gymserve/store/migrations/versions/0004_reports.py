"""Reports to challenge servers, and submissions that are graded elsewhere."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from gymserve.store.models import Long, Moment

revision = "0004"
down_revision = "0003"

OPTIONS: Any = {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "remote_entries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("submission_id", sa.Integer, nullable=False),
        sa.Column("sealed_key", sa.Text, nullable=False),
        sa.Column("remote_id", sa.String(100), nullable=False),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name="fk_remote_entries_submission_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("submission_id", name="uq_remote_entries_submission_id"),
        **OPTIONS,
    )
    op.create_table(
        "reports",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("submission_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("next_at", Moment, nullable=False),
        sa.Column("ended_at", Moment),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name="fk_reports_submission_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("submission_id", "number", name="uq_reports_submission_id"),
        **OPTIONS,
    )
    op.create_index("ix_reports_state", "reports", ["state", "next_at"])
    op.create_table(
        "external_entries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("submission_id", sa.Integer, nullable=False),
        sa.Column("grader_id", sa.Integer, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("details", Long, nullable=False),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name="fk_external_entries_submission_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("submission_id", name="uq_external_entries_submission_id"),
        **OPTIONS,
    )


def downgrade() -> None:
    for table in ("external_entries", "reports", "remote_entries"):
        op.drop_table(table)
