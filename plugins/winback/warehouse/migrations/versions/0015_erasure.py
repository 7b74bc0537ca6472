"""State tables: who was erased, what proof is kept apart, and what figures need afterwards."""

from alembic import op

revision = "0015"
down_revision = "0014"

ERASURES = """
create table ops.erasure (
    erasure_id bigint generated always as identity primary key,
    erased_by text not null check (erased_by <> ''),
    erased_at timestamptz not null default now(),
    n_rows jsonb not null,
    files_done_at timestamptz
);
comment on table ops.erasure is
    'One row per person who was erased: when, on whose word, and how many rows of which table. '
    'Nothing of the person.';
comment on column ops.erasure.files_done_at is
    'When the lists were rid of the person, too; until then the command has to be given again.';

create table ops.erased_customer (
    customer_key text primary key,
    erasure_id bigint not null references ops.erasure,
    quarantine_hashes text[] not null
);
comment on table ops.erased_customer is
    'Keyed hashes of the customer numbers that stay out of every load. Kept for ever, as long as a '
    'source may still deliver them.';
comment on column ops.erased_customer.quarantine_hashes is
    'The same number as rows in quarantine hold it, once per column that names a customer.';

create table pii.erased_order (order_id text primary key);
comment on table pii.erased_order is
    'Orders of erased people, so that lines, which name no customer, stay out as well.';

alter table ops.extract_run add column n_erased bigint not null default 0;
comment on column ops.extract_run.n_erased is
    'Rows of erased people that the source still delivered: left out, and counted nowhere else.';
"""

# What a campaign brought about is measured after an erasure as before it, without the orders.
OUTCOMES = """
alter table ops.assignment
    add column erased_at timestamptz,
    add column recovered_at timestamptz,
    add column has_unsubscribed boolean not null default false,
    add check (erased_at is not null or (recovered_at is null and not has_unsubscribed));
comment on column ops.assignment.erased_at is
    'When the person was erased; customer_key and lapse_id are random since then.';
comment on column ops.assignment.recovered_at is
    'Of somebody erased: 00:00 of the business day of the first purchase in the window.';
comment on column ops.assignment.has_unsubscribed is
    'Of somebody erased: whether they unsubscribed from this message.';

create table ops.erased_count (
    as_of date primary key,
    n_customers int not null,
    n_six_months int not null,
    n_lapsed int not null,
    n_newly_inactive int not null,
    n_returned int not null
);
comment on table ops.erased_count is
    'How many erased people the counts of each past date hold, so that no erasure changes them.';
"""

PROOF = """
create table pii.kept_proof (
    proof_id bigint generated always as identity primary key,
    address_hash text,
    proof jsonb not null,
    keep_until date not null
);
comment on table pii.kept_proof is
    'What proves the consents of erased people, until its deadline. Only the owner reads it; it is '
    'found by the keyed hash of the address that somebody claims was written to.';
create index on pii.kept_proof (address_hash);

create function ops.drop_expired_proof() returns bigint
language sql security definer set search_path = '' as $$
    with expired as (
        delete from pii.kept_proof where keep_until < current_date returning 1
    )
    select count(*) from expired
$$;
revoke all on function ops.drop_expired_proof() from public;
"""


def upgrade() -> None:
    """Creates what erasures need."""
    for statements in (ERASURES, OUTCOMES, PROOF):
        op.execute(statements)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
