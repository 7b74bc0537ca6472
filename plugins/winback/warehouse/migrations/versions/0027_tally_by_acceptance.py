"""Bounces and reports are counted with the messages they belong to, not with those of their day."""

from alembic import op

revision = "0027"
down_revision = "0026"

# Those of a large mailing last week were held against the few messages of today.
BY_ACCEPTANCE = """
alter table ops.delivery_tally rename column counted_at to accepted_at;
comment on column ops.delivery_tally.accepted_at is
    'When the provider took the messages that the row counts.';
"""


def upgrade() -> None:
    """Dates what is counted from now on by its messages."""
    op.execute(BY_ACCEPTANCE)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
