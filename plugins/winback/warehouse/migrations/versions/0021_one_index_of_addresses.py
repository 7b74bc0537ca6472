"""Messages to an address are found by the index that keeps them apart."""

from alembic import op

revision = "0021"
down_revision = "0020"

# Each message costs one entry less to plan. Open messages have no `message_id` in the index, so
# that no two of them agree in the rest; all others have one, and agree with nobody.
ADDRESSES = """
drop index ops.outreach_once_per_address;
create unique index outreach_once_per_address on ops.outreach (
    address_hash, campaign_id, step, channel,
    (case when resend_of is not null or not is_lapse_open or is_cancelled then message_id end)
) nulls not distinct;
drop index ops.outreach_address_hash_idx;
"""

# Where the planner does not know the date that is asked for, it asked these about one customer's
# rows as well. That of orders is asked by a day's build.
DAYS = """
do $$
declare
    unasked text;
begin
    for unasked in
        select indexname from pg_indexes
        where schemaname = 'raw' and right(indexname, 8) = '_by_time'
            and indexname <> 'orders_by_time'
    loop
        execute format('drop index raw.%I', unasked);
    end loop;
end
$$;
"""


def upgrade() -> None:
    """Builds the one anew and drops the others."""
    op.execute(ADDRESSES)
    op.execute(DAYS)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
