"""What went wrong with all mail of the last days is found without passing what is older."""

from alembic import op

revision = "0026"
down_revision = "0025"

BY_TIME = """
create index on ops.delivery_tally (counted_at);
create index on ops.opt_in_request (requested_at);
"""


def upgrade() -> None:
    """Adds two indexes by time."""
    op.execute(BY_TIME)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
