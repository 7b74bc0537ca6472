"""Verdicts are found by the person, and by the snapshot that they came with."""

from alembic import op

revision = "0020"
down_revision = "0019"

# One index of snapshot, campaign and person served neither a look at one person nor the inserts,
# which compared three columns. The verdicts of a snapshot lie together, which a block range says.
INDEX = """
drop index ops.verdict_snapshot_id_campaign_id_customer_key_idx;
create index verdict_by_customer on ops.verdict (customer_key);
create index verdict_by_snapshot on ops.verdict using brin (snapshot_id);
"""


def upgrade() -> None:
    """Exchanges the index for two."""
    op.execute(INDEX)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
