"""State tables: what was built from what, so that the next build adds only what came since."""

from alembic import op

revision = "0008"
down_revision = "0007"

MART_BUILDS = """
create table ops.mart_build (
    mart_build_id bigint generated always as identity primary key,
    schema_suffix text not null,
    as_of date not null,
    newest_snapshot_id bigint not null,
    added_to_build_id bigint references ops.mart_build,
    stage_fingerprint text not null,
    model_fingerprint text,
    started_at timestamptz not null default clock_timestamp(),
    completed_at timestamptz
);
create index on ops.mart_build (schema_suffix, mart_build_id);
comment on table ops.mart_build is
    'One row per build of the dbt models of a date, also of those that failed. Without rows the '
    'next build starts from nothing.';
comment on column ops.mart_build.added_to_build_id is
    'The complete build that this one adds to; null where everything was built anew.';
comment on column ops.mart_build.stage_fingerprint is
    'Of the SQL and the settings that the step stage was built with.';
comment on column ops.mart_build.model_fingerprint is
    'The same of the step model, the rhythm in use included; null until it began.';
"""


def upgrade() -> None:
    """Creates the record of builds."""
    op.execute(MART_BUILDS)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
