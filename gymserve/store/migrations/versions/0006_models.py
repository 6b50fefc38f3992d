"""Models."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from gymserve.store.models import Long, Moment

revision = "0006"
down_revision = "0005"

OPTIONS: Any = {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(36), nullable=False),
        sa.Column("account_id", sa.Integer),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("is_promoted", sa.Boolean, nullable=False),
        sa.Column("experiment", sa.String(36), nullable=False),
        sa.Column("algorithm", sa.String(100), nullable=False),
        sa.Column("environment", sa.String(100), nullable=False),
        sa.Column("details", Long, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_models_account_id", ondelete="CASCADE"),
        sa.UniqueConstraint("name", name="uq_models_name"),
        **OPTIONS,
    )
    op.create_index("ix_models_account_id", "models", ["account_id", "title"])


def downgrade() -> None:
    op.drop_table("models")
