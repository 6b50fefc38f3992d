"""Challenges, their versions, submissions."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from gymserve.store.models import Long, Moment

revision = "0002"
down_revision = "0001"

OPTIONS: Any = {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "challenges",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("owner_id", sa.Integer),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("changed_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["accounts.id"], name="fk_challenges_owner_id", ondelete="SET NULL"),
        sa.UniqueConstraint("name", name="uq_challenges_name"),
        **OPTIONS,
    )
    op.create_table(
        "challenge_versions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("challenge_id", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("definition", Long, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["challenge_id"], ["challenges.id"], name="fk_challenge_versions_challenge_id", ondelete="CASCADE"
        ),
        **OPTIONS,
    )
    op.create_index("ix_challenge_versions_challenge_id", "challenge_versions", ["challenge_id"])
    op.create_table(
        "submissions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("challenge_id", sa.Integer, nullable=False),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("phase", sa.String(63), nullable=False),
        sa.Column("account_id", sa.Integer),
        sa.Column("entrant", sa.String(254), nullable=False),
        sa.Column("token", sa.String(60)),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("counts", sa.Boolean, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("secondary", sa.Double),
        sa.Column("spread", sa.Double),
        sa.Column("standard_error", sa.Double),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("trials", Long, nullable=False),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("verdict_reason", sa.String(500), nullable=False),
        sa.Column("receipt", Long, nullable=False),
        sa.Column("left", sa.Boolean, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("changed_at", Moment, nullable=False),
        sa.Column("finished_at", Moment),
        sa.ForeignKeyConstraint(
            ["challenge_id"], ["challenges.id"], name="fk_submissions_challenge_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["version_id"], ["challenge_versions.id"], name="fk_submissions_version_id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_submissions_account_id", ondelete="SET NULL"),
        sa.UniqueConstraint("name", name="uq_submissions_name"),
        sa.UniqueConstraint("token", name="uq_submissions_token"),
        **OPTIONS,
    )
    op.create_index("ix_submissions_board", "submissions", ["challenge_id", "phase", "changed_at"])
    op.create_index("ix_submissions_entrant", "submissions", ["challenge_id", "entrant", "created_at"])
    op.create_index("ix_submissions_account_id", "submissions", ["account_id"])
    op.create_index("ix_submissions_state", "submissions", ["state"])
