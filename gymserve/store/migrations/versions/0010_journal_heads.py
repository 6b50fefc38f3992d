"""What stands for a submission's whole journal as it was when the submission ended."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("submissions", sa.Column("journal_head", sa.String(64), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("submissions", "journal_head")
