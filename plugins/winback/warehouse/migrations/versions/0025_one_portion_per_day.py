"""A portion of the ramp-up is for the sender, no longer for each campaign."""

from alembic import op

revision = "0025"
down_revision = "0024"

# What several campaigns took on one day was one day's portion in the eyes of mailbox providers.
ONE_PORTION = """
create temporary table former on commit drop as select * from ops.ramp_up_day;
truncate ops.ramp_up_day;
alter table ops.ramp_up_day drop column campaign_id;
alter table ops.ramp_up_day add primary key (day);
insert into ops.ramp_up_day (day, portion, n_taken, was_stopped, begun_at)
select day, greatest(max(portion), sum(n_taken)), sum(n_taken), bool_or(was_stopped), min(begun_at)
from former group by day;
comment on table ops.ramp_up_day is
    'One row per business day on which dormant addresses could be written to: how many, by all '
    'campaigns together, and how many were claimed.';
comment on column ops.ramp_up_day.was_stopped is
    'A campaign was stopped during this day or before the next one began: the next portion is '
    'not larger.';

create or replace function ops.give_back_portion() returns trigger language plpgsql as $$
begin
    update ops.ramp_up_day set n_taken = n_taken - 1 where day = old.portion_day;
    return new;
end
$$;
"""


def upgrade() -> None:
    """Adds up the portions of each day."""
    op.execute(ONE_PORTION)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
