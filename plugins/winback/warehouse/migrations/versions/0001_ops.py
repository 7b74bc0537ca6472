"""State tables: snapshots, gates, quarantine, assignment and verdicts."""

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


def upgrade() -> None:
    """Creates what extraction, gates and selection keep."""
    op.execute(SNAPSHOTS)
    op.execute(SELECTION)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
