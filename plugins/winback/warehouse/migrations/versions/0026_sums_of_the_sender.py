"""What went wrong with all mail of the last days, and who was asked lately, is found by indexes."""

from alembic import op

revision = "0026"
down_revision = "0025"

INDEXES = """
create index on ops.delivery_tally (counted_at);
create index on ops.opt_in_request (requested_at);
create index on ops.opt_in_request (address_hash);
"""


def upgrade() -> None:
    """Adds the indexes."""
    op.execute(INDEXES)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
