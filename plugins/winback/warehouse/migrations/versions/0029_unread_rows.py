"""Whose row could not be read though it may forbid to write to them: not written to until it is."""

from alembic import op

revision = "0029"
down_revision = "0028"

UNREAD = """
create table quarantine.unread_row (
    unread_row_id bigint generated always as identity primary key,
    feed text not null,
    row_key jsonb,
    customer_key text not null,
    snapshot_id bigint not null references ops.snapshot,
    set_aside_at timestamptz not null default now()
);
create index unread_row_by_customer on quarantine.unread_row (customer_key);
comment on table quarantine.unread_row is
    'Rows in quarantine that could be the reason why somebody must not be written to. A row leaves '
    'once it is read, or is not in quarantine any more when the whole source is read.';
comment on column quarantine.unread_row.row_key is
    'The key of the row as it would be loaded; null where that could not be read either.';
"""

# What is in quarantine already is found by reading these feeds once as a whole: an increment would
# not read it again.
READ_AS_A_WHOLE = """
update ops.extract_run set cursor_until = null where feed in (
    'customers', 'consents', 'contact_preferences', 'complaints', 'payments'
)
"""


def upgrade() -> None:
    """Creates the table; the next loads fill it."""
    op.execute(UNREAD)
    op.execute(READ_AS_A_WHOLE)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
