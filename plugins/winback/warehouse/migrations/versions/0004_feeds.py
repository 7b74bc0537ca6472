"""State tables: increments, what a source looked like, and customers who are one person."""

from alembic import op

revision = "0004"
down_revision = "0003"

EXTRACTION = """
alter table ops.snapshot drop constraint snapshot_purpose_check;
alter table ops.snapshot add constraint snapshot_purpose_check
    check (purpose in ('live', 'backfill', 'load'));
comment on column ops.snapshot.purpose is
    'live may be acted on; backfill is only computed; load is one feed that a person loaded.';

alter table ops.extract_run
    add column is_whole boolean not null default true,
    add column cursor_until text,
    add column mapping_fingerprint text,
    add column n_deleted bigint not null default 0;
comment on column ops.extract_run.is_whole is
    'Whether the whole source was read, or only what its cursor showed as new.';
comment on column ops.extract_run.cursor_until is
    'The largest value of the cursor column that was seen; the next increment begins before it.';
comment on column ops.extract_run.mapping_fingerprint is
    'Changes with the mapping; then the whole source is read again.';
comment on column ops.extract_run.n_deleted is
    'Rows that were gone at the source and are marked so since this run.';
create index on ops.extract_run (feed, source, extract_run_id);

alter table ops.feed_status add column max_age_days int;
comment on column ops.feed_status.max_age_days is
    'The newest fact may be this old; null: not judged.';

alter table quarantine.rejected_row drop constraint rejected_row_pkey;
alter table quarantine.rejected_row add primary key (extract_run_id, source, row_number);

create table ops.source_column (
    feed text not null,
    source text not null,
    column_name text not null,
    column_type text not null,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    primary key (feed, source, column_name)
);
comment on table ops.source_column is
    'The columns each source had when it was last loaded, to notice when they change.';
"""

MERGES = """
create table ops.customer_merge (
    merge_id bigint generated always as identity primary key,
    customer_key text not null,
    winner_key text not null check (winner_key <> customer_key),
    evidence text not null check (evidence in ('email', 'email_without_plus_part')),
    email_hash text not null,
    merged_as_of date not null,
    merged_at timestamptz not null default now(),
    unmerged_as_of date,
    unmerged_at timestamptz,
    unmerged_by text,
    unmerged_because text,
    check ((unmerged_at is null) = (unmerged_because is null)),
    check ((unmerged_at is null) = (unmerged_as_of is null))
);
comment on table ops.customer_merge is
    'One row per customer who turned out to be another one, and when that was taken back.';
create unique index customer_merged_once on ops.customer_merge (customer_key)
    where unmerged_at is null;
create index on ops.customer_merge (winner_key);

create view ops.person as
with merged as (
    select winner_key, array_agg(customer_key order by customer_key) || winner_key as members
    from ops.customer_merge
    where unmerged_at is null
    group by winner_key
)

select unnest(members) as customer_key, winner_key as person_key, members from merged;
comment on view ops.person is
    'The customers who are one person, each with all of them; who is not here is a person alone.';
"""


def upgrade() -> None:
    """Creates what increments, schema drift and merged customers need."""
    op.execute(EXTRACTION)
    op.execute(MERGES)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
