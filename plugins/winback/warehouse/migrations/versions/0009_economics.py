"""State tables: what a measure costs and is expected to return, per customer."""

from alembic import op

revision = "0009"
down_revision = "0008"

ECONOMICS = """
create table ops.economics_run (
    economics_run_id bigint generated always as identity primary key,
    campaign_id text not null,
    snapshot_id bigint not null references ops.snapshot,
    as_of date not null,
    definition jsonb not null,
    contact_cents numeric not null,
    offer_cents numeric not null,
    lift_pct numeric not null,
    lift_from text not null check (lift_from in ('assumed', 'measured')),
    lift_because text not null,
    n_judged int not null,
    n_not_judged int not null,
    cost_cents numeric not null,
    worth_cents numeric not null,
    is_worth_it boolean,
    is_overruled boolean not null,
    has_stopped boolean not null,
    judged_at timestamptz not null default now()
);
create index on ops.economics_run (campaign_id, economics_run_id);
comment on table ops.economics_run is
    'One row per campaign and selection: what the measure costs and is expected to return. Never '
    'changed.';
comment on column ops.economics_run.definition is 'The campaign file it was judged by.';
comment on column ops.economics_run.n_judged is
    'Those of the audience, drawn before or not, whom nothing but this rule speaks against, with a '
    'score and no must-win; the sums are over them.';
comment on column ops.economics_run.is_worth_it is
    'Whether more is expected to come of it than it costs; null: nobody was judged.';
comment on column ops.economics_run.is_overruled is
    'A person set the campaign running again after it was stopped for these figures.';

create table ops.economics (
    customer_key text not null,
    economics_run_id bigint not null references ops.economics_run,
    p_holdout numeric,
    p_treated numeric,
    clv_cents bigint,
    cost_cents numeric,
    worth_cents numeric,
    profit_cents numeric,
    crc_cents numeric,
    ratio numeric,
    finding text not null check (finding in (
        'returns_more', 'costs_more', 'nobody_more_returns', 'no_value', 'no_score')),
    is_must_win boolean not null,
    primary key (customer_key, economics_run_id)
);
-- rows of one run lie together: the smallest index that finds them
create index on ops.economics using brin (economics_run_id);
comment on table ops.economics is
    'One row per customer of a campaign''s audience and selection: the rule CRC / CLV < 1 with its '
    'parts. Never changed.';

alter table ops.outreach add column expected_profit_cents numeric;
comment on column ops.outreach.expected_profit_cents is
    'What writing is expected to add, when it was planned; null without a score. The messages of a '
    'selection go out in this order, the most first.';
drop index ops.outreach_to_claim;
create index outreach_to_claim on ops.outreach
    (campaign_id, planned_at, expected_profit_cents desc nulls last, message_id)
    where state in ('planned', 'claimed');
"""


def upgrade() -> None:
    """Creates what the rule CRC / CLV keeps."""
    op.execute(ECONOMICS)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
