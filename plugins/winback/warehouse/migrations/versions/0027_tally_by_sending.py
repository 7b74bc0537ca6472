"""Bounces and reports are counted with the messages they belong to, not with those of their day."""

from alembic import op

revision = "0027"
down_revision = "0026"

# Those of a large mailing last week were held against the few messages of today, and those of this
# evening against all that waited for the morning.
BY_SENDING = """
alter table ops.delivery_tally rename column counted_at to sent_at;
comment on column ops.delivery_tally.sent_at is
    'When the messages leave that the row counts: when the provider took them, or until when it is '
    'to keep them. Before that they have proved nothing.';
"""


def upgrade() -> None:
    """Dates what is counted from now on by its messages."""
    op.execute(BY_SENDING)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
