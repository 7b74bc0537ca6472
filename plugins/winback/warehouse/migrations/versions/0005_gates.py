"""State tables: what the gates measure, explain, and what a person let pass on purpose."""

from alembic import op

revision = "0005"
down_revision = "0004"

GATES = """
create table ops.gate_measure (
    snapshot_id bigint not null references ops.snapshot,
    about text not null,
    measure text not null,
    value numeric,
    n_rows bigint,
    n_of bigint,
    detail text,
    measured_at timestamptz not null default now(),
    primary key (snapshot_id, about, measure)
);
comment on table ops.gate_measure is
    'One row per snapshot, subject and measure: what gates judge, and compare the next one with.';
comment on column ops.gate_measure.value is 'Null: nothing to judge yet; detail says why.';

alter table ops.gate_result
    add column gate_result_id bigint generated always as identity primary key,
    add column expected text,
    add column not_judged text,
    add column can_be_accepted boolean not null default true,
    add column rows text,
    add column examples json not null default '[]';
comment on column ops.gate_result.rows is 'The query that gives the rows that do not fit.';
comment on column ops.gate_result.examples is 'Up to ten of those rows, masked.';
create index on ops.gate_result (gate_run_id);

create table ops.gate_acceptance (
    gate_run_id bigint primary key references ops.gate_run,
    accepted_by text not null check (accepted_by <> ''),
    accepted_at timestamptz not null default now(),
    reason text not null check (btrim(reason) <> '')
);
comment on table ops.gate_acceptance is
    'One row per failed gate run that a person let pass on purpose. Never changed.';

alter table ops.gate_run
    add column accepted_as bigint references ops.gate_acceptance
    check (accepted_as is null or not is_passed);
comment on column ops.gate_run.accepted_as is
    'The accepted run of the same snapshot and gate whose failures cover all failures of this one.';

create view ops.gate_verdict as
select distinct on (run.snapshot_id, run.gate)
    run.snapshot_id,
    run.gate,
    run.gate_run_id,
    run.is_passed,
    run.is_passed or acceptance.gate_run_id is not null as is_fit
from ops.gate_run as run
left join ops.gate_acceptance as acceptance
    on acceptance.gate_run_id = coalesce(run.accepted_as, run.gate_run_id)
order by run.snapshot_id, run.gate, run.gate_run_id desc;
comment on view ops.gate_verdict is
    'The newest verdict of each gate on each snapshot; is_fit counts what was let pass on purpose.';
"""


def upgrade() -> None:
    """Creates what the gates keep."""
    op.execute(GATES)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
