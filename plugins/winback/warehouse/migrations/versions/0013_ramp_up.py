"""State tables: what tells a campaign to stop by itself, and the portions of a ramp-up."""

from alembic import op

from winback.settings import settings

revision = "0013"
down_revision = "0012"

TALLY = """
create table ops.delivery_tally (
    tally_id bigint generated always as identity primary key,
    campaign_id text not null,
    n_accepted int not null default 0,
    n_bounced int not null default 0,
    n_spam_reports int not null default 0,
    counted_at timestamptz not null default now()
);
create index on ops.delivery_tally (campaign_id, counted_at);
comment on table ops.delivery_tally is
    'One row per request that was accepted, and per batch of events that told of hard bounces or '
    'spam reports: sums over it decide whether a campaign has to stop. Never changed.';
comment on column ops.delivery_tally.n_bounced is
    'Messages with a hard bounce, of those accepted since a person last resumed the campaign; each '
    'counts once. The same for n_spam_reports.';
-- What was accepted before: its bounces are still to come, and would stand against nothing.
insert into ops.delivery_tally (campaign_id, n_accepted, n_bounced, n_spam_reports, counted_at)
select
    o.campaign_id, count(*), count(*) filter (where told.has_bounced),
    count(*) filter (where told.is_spam), o.accepted_at
from ops.outreach as o
left join (
    select message_id, bool_or(kind = 'bounced') as has_bounced,
        bool_or(kind = 'spam_report') as is_spam
    from ops.event group by message_id
) as told using (message_id)
where o.accepted_at is not null
group by o.campaign_id, o.accepted_at;
"""

# The index: who heard from us lately has to be found among any number of rows that wait for a
# portion.
RAMP_UP = """
alter table ops.outreach
    add column is_dormant boolean not null default false,
    add column portion_day date;
comment on column ops.outreach.is_dormant is
    'No message of ours had reached the address for a long time when this one was planned.';
comment on column ops.outreach.portion_day is
    'From which day''s portion of the ramp-up its claim was taken; null again when it waits again.';
drop index ops.outreach_to_claim;
create index outreach_to_claim on ops.outreach (campaign_id, is_dormant, claim_order)
    where is_pending;

create table ops.ramp_up_day (
    campaign_id text not null,
    day date not null,
    portion bigint not null check (portion > 0),
    n_taken bigint not null default 0 check (n_taken between 0 and portion),
    was_stopped boolean not null default false,
    begun_at timestamptz not null default now(),
    primary key (campaign_id, day)
);
comment on table ops.ramp_up_day is
    'One row per campaign and business day on which dormant addresses could be written to: how '
    'many, and how many were claimed.';
comment on column ops.ramp_up_day.n_taken is 'How many messages have this portion_day.';
comment on column ops.ramp_up_day.was_stopped is
    'The campaign was stopped during this day or before the next one began: the next portion is '
    'not larger.';

create function ops.give_back_portion() returns trigger language plpgsql as $$
begin
    update ops.ramp_up_day set n_taken = n_taken - 1
    where campaign_id = old.campaign_id and day = old.portion_day;
    return new;
end
$$;
create trigger outreach_gives_back_its_portion after update of portion_day on ops.outreach
    for each row when (old.portion_day is not null and new.portion_day is null)
    execute function ops.give_back_portion();
"""

# What was planned before there were portions is not sent at once either: as ramp_up.py judges what
# is planned now. A worker that lives keeps its claims.
DORMANT = """
update ops.outreach as o set is_dormant = true
where (o.state = 'planned' or o.state = 'claimed' and o.lease_until < now())
    and o.resend_of is null
    and not exists (
        select 1 from ops.outreach as sent
        where sent.address_hash = o.address_hash
            and sent.accepted_at > now() - interval '{days} days'
            and sent.state not in ('bounced', 'dropped')
    )
    and not exists (
        select 1 from ops.opt_in_request as asked
        where asked.address_hash = o.address_hash
            and asked.state in ('accepted', 'delivered')
            and asked.requested_at > now() - interval '{days} days'
    );
"""


def upgrade() -> None:
    """Creates what stop thresholds and the ramp-up keep."""
    op.execute(TALLY)
    op.execute(RAMP_UP)
    op.execute(DORMANT.format(days=settings().dormant_after_days))


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
