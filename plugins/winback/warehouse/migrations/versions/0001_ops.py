"""The state tables: snapshots and gates, assignment and verdicts, ledger, events, KPI snapshots."""

from alembic import op

revision = "0001"
down_revision = None

SNAPSHOTS = """
create table ops.snapshot (
    snapshot_id bigint generated always as identity primary key,
    as_of date not null,
    purpose text not null check (purpose in ('live', 'backfill')),
    dataset text not null,
    created_at timestamptz not null default now(),
    completed_at timestamptz
);
comment on table ops.snapshot is
    'One row per batch that was extracted for an as-of date; gates and outreach refer to it.';
comment on column ops.snapshot.completed_at is
    'When the last feed was loaded; until then, and after a failure, nothing is built from it.';

create view ops.newest_snapshot as
select snapshot_id, as_of from ops.snapshot
where purpose = 'live' and completed_at is not null
order by as_of desc, snapshot_id desc
limit 1;
comment on view ops.newest_snapshot is
    'The one snapshot that may be acted on; no row before the first.';

create table ops.extract_run (
    extract_run_id bigint generated always as identity primary key,
    snapshot_id bigint not null references ops.snapshot,
    feed text not null,
    source text not null,
    n_received bigint not null,
    n_passed bigint not null,
    n_quarantined bigint not null,
    quarantined_pct numeric(7, 4) generated always as (
        case when n_received = 0 then 0 else round(100.0 * n_quarantined / n_received, 4) end
    ) stored,
    newest_event_at timestamptz,
    started_at timestamptz not null,
    finished_at timestamptz not null default now(),
    constraint nothing_vanishes check (n_received = n_passed + n_quarantined),
    unique (snapshot_id, feed)
);

create table ops.feed_status (
    feed text primary key,
    is_present boolean not null,
    is_made_up boolean not null default false,
    source text,
    n_rows bigint not null default 0,
    newest_event_at timestamptz,
    updated_at timestamptz not null default now()
);

create table quarantine.rejected_row (
    extract_run_id bigint not null references ops.extract_run,
    feed text not null,
    source text not null,
    row_number bigint not null,
    reasons text[] not null,
    content jsonb not null,
    primary key (extract_run_id, row_number)
);
comment on column quarantine.rejected_row.content is
    'The row as received; personal columns hold a keyed hash instead.';

create table ops.gate_run (
    gate_run_id bigint generated always as identity primary key,
    snapshot_id bigint not null references ops.snapshot,
    gate text not null,
    is_passed boolean not null,
    n_expectations int not null,
    n_failed int not null,
    decided_at timestamptz not null default now()
);
create index on ops.gate_run (snapshot_id, gate, gate_run_id);

create table ops.gate_result (
    gate_run_id bigint not null references ops.gate_run,
    table_name text not null,
    expectation text not null,
    column_name text,
    is_met boolean not null,
    observed text,
    n_unexpected bigint,
    why text not null,
    source text not null
);
"""

SELECTION = """
create table ops.campaign (
    campaign_id text primary key,
    definition jsonb not null,
    state text not null default 'running' check (state in ('running', 'paused', 'stopped')),
    state_reason text,
    updated_at timestamptz not null default now()
);

create table ops.assignment (
    assignment_id bigint generated always as identity primary key,
    campaign_id text not null references ops.campaign,
    lapse_id text not null,
    customer_key text not null,
    snapshot_id bigint not null references ops.snapshot,
    as_of date not null,
    occasion text not null,
    occasion_date date not null,
    arm text not null check (arm in ('treated', 'holdout', 'excluded')),
    reason text,
    stratum text not null,
    customer_state text not null,
    window_starts_at timestamptz not null,
    window_ends_at timestamptz not null,
    window_days int not null,
    assigned_at timestamptz not null default now(),
    check ((arm = 'excluded') = (reason is not null))
);
comment on column ops.assignment.window_starts_at is
    'Recoveries count after this instant, the same for every arm: 00:00 of as_of in business time.';
comment on column ops.assignment.window_ends_at is
    'Recoveries count up to this instant: 00:00 in business time, window_days later.';
comment on table ops.assignment is
    'One row per campaign and lapse that entered the draw (treated, holdout), and one for the '
    'first time it was turned away (excluded). Nobody leaves it.';
create unique index assignment_drawn_once on ops.assignment (campaign_id, lapse_id)
    where arm <> 'excluded';
create unique index assignment_excluded_once on ops.assignment (campaign_id, lapse_id)
    where arm = 'excluded';
create index on ops.assignment (campaign_id, as_of);
create index on ops.assignment (customer_key);

create table ops.verdict (
    verdict_id bigint generated always as identity primary key,
    snapshot_id bigint not null references ops.snapshot,
    campaign_id text not null,
    customer_key text not null,
    channel text not null,
    step text not null check (step in ('select', 'outreach')),
    is_eligible boolean not null,
    reasons text[] not null,
    evidence jsonb not null,
    decided_at timestamptz not null default now()
);
create index on ops.verdict (snapshot_id, campaign_id, customer_key);
"""

LEDGER = """
create table ops.outreach (
    message_id uuid primary key default gen_random_uuid(),
    campaign_id text not null references ops.campaign,
    lapse_id text not null,
    step int not null,
    channel text not null,
    customer_key text not null,
    address_hash text not null,
    snapshot_id bigint not null references ops.snapshot,
    as_of date not null,
    template text not null,
    state text not null default 'planned' check (state in (
        'planned', 'claimed', 'dispatching', 'accepted', 'rejected', 'unknown',
        'delivered', 'bounced', 'dropped', 'cancelled', 'abandoned')),
    fence bigint not null default 0,
    lease_until timestamptz,
    claimed_by text,
    reason text,
    provider_message_id text,
    resend_of uuid references ops.outreach,
    is_lapse_open boolean not null default true,
    planned_at timestamptz not null default now(),
    dispatching_at timestamptz,
    accepted_at timestamptz,
    settled_at timestamptz
);
comment on table ops.outreach is
    'The send ledger: one row per campaign, lapse, step and channel, whatever is retried.';
create unique index outreach_once_per_lapse on ops.outreach (campaign_id, lapse_id, step, channel)
    where resend_of is null;
create unique index outreach_once_per_address
    on ops.outreach (campaign_id, step, channel, address_hash)
    where resend_of is null and is_lapse_open and state <> 'cancelled';
create index outreach_to_claim on ops.outreach (campaign_id, planned_at)
    where state in ('planned', 'claimed');
create index on ops.outreach (customer_key);
create index on ops.outreach (address_hash);

create function ops.outreach_transition() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        if new.state <> 'planned' then
            raise exception 'outreach % must begin as planned, not as %', new.message_id, new.state
                using errcode = 'check_violation';
        end if;
        return new;
    end if;
    if new.state = old.state then
        return new;
    end if;
    if not (old.state, new.state) in (
        ('planned', 'claimed'), ('planned', 'cancelled'),
        ('claimed', 'planned'), ('claimed', 'dispatching'),
        ('claimed', 'cancelled'),
        ('dispatching', 'accepted'), ('dispatching', 'rejected'), ('dispatching', 'unknown'),
        ('dispatching', 'planned'), ('dispatching', 'delivered'), ('dispatching', 'bounced'),
        ('dispatching', 'dropped'),
        ('unknown', 'accepted'), ('unknown', 'delivered'), ('unknown', 'bounced'),
        ('unknown', 'dropped'), ('unknown', 'abandoned'),
        ('accepted', 'delivered'), ('accepted', 'bounced'), ('accepted', 'dropped'),
        ('delivered', 'bounced')
    ) then
        raise exception 'outreach % may not go from % to %', old.message_id, old.state, new.state
            using errcode = 'check_violation';
    end if;
    return new;
end
$$;
create trigger outreach_transition before insert or update of state on ops.outreach
    for each row execute function ops.outreach_transition();

create table ops.event (
    event_id text primary key,
    message_id uuid references ops.outreach,
    kind text not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    detail text
);
create index on ops.event (message_id);

create table ops.suppression (
    suppression_id bigint generated always as identity primary key,
    address_hash text not null,
    customer_key text,
    scope text not null check (scope in ('address', 'person')),
    reason text not null check (reason in (
        'unsubscribe', 'bounce', 'spam_report', 'objection', 'dropped')),
    message_id uuid,
    suppressed_at timestamptz not null default now()
);
create unique index suppression_once on ops.suppression
    (address_hash, reason, coalesce(customer_key, ''));
create index on ops.suppression (customer_key);
comment on table ops.suppression is 'Who must not be written to. Kept for ever; hashes only.';

create table pii.webhook_inbox (
    inbox_id bigint generated always as identity primary key,
    received_at timestamptz not null default now(),
    body bytea,
    processed_at timestamptz,
    n_events int,
    problem text
);
create index webhook_inbox_open on pii.webhook_inbox (inbox_id) where processed_at is null;
"""

KPI = """
create table ops.kpi_snapshot (
    as_of date not null,
    campaign_id text not null,
    cohort date not null,
    segment text not null,
    revision int not null,
    is_window_closed boolean not null,
    n_candidates int not null,
    n_excluded int not null,
    n_holdout int not null,
    n_treated int not null,
    n_accepted int not null,
    n_delivered int not null,
    n_bounced int not null,
    n_unsubscribed int not null,
    n_unknown int not null,
    n_recovered_treated int,
    n_recovered_holdout int,
    naive_pct numeric(9, 4),
    incremental_pct numeric(9, 4),
    incremental_low_pct numeric(9, 4),
    incremental_high_pct numeric(9, 4),
    reading text not null,
    recorded_at timestamptz not null default now(),
    primary key (as_of, campaign_id, cohort, segment, revision)
);
comment on table ops.kpi_snapshot is
    'KPI per as-of date, campaign, cohort (first assigned on) and segment. Never updated: '
    'when late data changes a figure, a new revision is added.';

create table ops.customer_count (
    as_of date not null,
    revision int not null,
    n_customers int not null,
    n_six_months int not null,
    n_lapsed int,
    n_newly_inactive int not null,
    n_returned int not null,
    recorded_at timestamptz not null default now(),
    primary key (as_of, revision)
);
"""


def upgrade() -> None:
    """Creates all tables of `ops`, the quarantine table and the webhook inbox."""
    for part in (SNAPSHOTS, SELECTION, LEDGER, KPI):
        op.execute(part)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
