"""Which key each phase of a challenge has, and whether it was shown."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from gymserve.store.models import Moment

revision = "0008"
down_revision = "0007"

OPTIONS: Any = {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "phase_keys",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("challenge_id", sa.Integer, nullable=False),
        sa.Column("phase", sa.String(63), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("shown_at", Moment),
        sa.ForeignKeyConstraint(
            ["challenge_id"], ["challenges.id"], name="fk_phase_keys_challenge_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("challenge_id", "phase", name="uq_phase_keys_challenge_id"),
        **OPTIONS,
    )
    op.add_column("submissions", sa.Column("key_generation", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("submissions", "key_generation")
    op.drop_table("phase_keys")
