"""Names that accounts are shown by; submissions belong to accounts by their ids, no longer by their emails."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

ACCOUNTS = sa.table("accounts", sa.column("id", sa.Integer), sa.column("email", sa.String))
AUDIT = sa.table("audit", *(sa.column(name, sa.String) for name in ("id", "action", "subject")))
SUBMISSIONS = sa.table("submissions", sa.column("account_id", sa.Integer), sa.column("entrant", sa.String))


def upgrade() -> None:
    op.add_column("accounts", sa.Column("name", sa.String(60)))
    op.add_column("accounts", sa.Column("name_key", sa.String(180)))
    op.create_index("ix_accounts_name_key", "accounts", ["name_key"], unique=True)
    entrant, account_id = SUBMISSIONS.c.entrant, SUBMISSIONS.c.account_id
    by_id = sa.literal("account ", sa.String).concat(sa.cast(account_id, sa.String(20)))
    own = (account_id.is_not(None), entrant.not_like("team:%"))
    op.execute(sa.update(SUBMISSIONS).where(*own).values(entrant=by_id))
    removed = sa.select(AUDIT.c.subject).where(AUDIT.c.action == "account removed").order_by(AUDIT.c.id)
    for (subject,) in op.get_bind().execute(removed).all():
        number, _, email = subject.partition(" ")
        theirs = (account_id.is_(None), entrant == email)
        op.execute(sa.update(SUBMISSIONS).where(*theirs).values(entrant=f"account {number}"))


def downgrade() -> None:
    email = sa.select(ACCOUNTS.c.email).where(ACCOUNTS.c.id == SUBMISSIONS.c.account_id).scalar_subquery()
    own = (SUBMISSIONS.c.account_id.is_not(None), SUBMISSIONS.c.entrant.like("account %"))
    op.execute(sa.update(SUBMISSIONS).where(*own).values(entrant=email))
    op.drop_index("ix_accounts_name_key", "accounts")
    op.drop_column("accounts", "name_key")
    op.drop_column("accounts", "name")
