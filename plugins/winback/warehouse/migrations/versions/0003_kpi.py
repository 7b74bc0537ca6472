"""State tables: KPI snapshots and customer counts."""

from alembic import op

revision = "0003"
down_revision = "0002"

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
    """Creates what the step kpi keeps."""
    op.execute(KPI)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
