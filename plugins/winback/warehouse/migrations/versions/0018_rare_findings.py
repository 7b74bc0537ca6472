"""What the last check asks about everybody, and seldom finds, has an index of its own."""

from alembic import op

revision = "0018"
down_revision = "0017"

# Nearly everybody was drawn for treatment, and is worth what writing costs. An index of the others
# alone says so at once, where one of all leads to a row that says it.
INDEXES = """
create index assignment_holdouts on ops.assignment (customer_key) where arm = 'holdout';
create index economics_too_dear on ops.economics (customer_key, economics_run_id)
    where finding in ('costs_more', 'nobody_more_returns', 'no_value') and not is_must_win;
"""


def upgrade() -> None:
    """Adds both."""
    op.execute(INDEXES)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
