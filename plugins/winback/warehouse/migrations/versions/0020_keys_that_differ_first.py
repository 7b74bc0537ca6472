"""Indexes that every selection adds to begin with the column in which their keys differ."""

from alembic import op

revision = "0020"
down_revision = "0019"

# Where all keys of a selection begin alike, a place is found by comparing several columns. What is
# looked for by the campaign alone has another index. That of verdicts served no look at one person
# either; the verdicts of a snapshot lie together, which a block range says.
INDEXES = """
drop index ops.verdict_snapshot_id_campaign_id_customer_key_idx;
create index verdict_by_customer on ops.verdict (customer_key);
create index verdict_by_snapshot on ops.verdict using brin (snapshot_id);
drop index ops.assignment_drawn_once;
create unique index assignment_drawn_once on ops.assignment (lapse_id, campaign_id)
    where arm <> 'excluded';
drop index ops.assignment_excluded_once;
create unique index assignment_excluded_once on ops.assignment (lapse_id, campaign_id)
    where arm = 'excluded';
drop index ops.outreach_once_per_address;
create unique index outreach_once_per_address
    on ops.outreach (address_hash, campaign_id, step, channel)
    where resend_of is null and is_lapse_open and not is_cancelled;
"""


def upgrade() -> None:
    """Builds them anew."""
    op.execute(INDEXES)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
