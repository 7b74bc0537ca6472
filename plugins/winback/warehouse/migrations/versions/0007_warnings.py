"""State tables: the warnings of each day, so that they can be held against what came."""

from alembic import op

revision = "0007"
down_revision = "0006"

WARNINGS = """
create table ops.warning_day (
    as_of date primary key,
    n_watched int not null,
    n_warned int not null check (n_warned <= n_watched),
    recorded_at timestamptz not null default now()
);
comment on table ops.warning_day is
    'One row per as-of date whose warnings were recorded, those without any too. Never changed.';
comment on column ops.warning_day.n_watched is 'Customers who could be warned of: not lapsed.';

create table ops.warning (
    as_of date not null references ops.warning_day,
    customer_key text not null,
    n_signs int not null check (n_signs > 0),
    severity text not null,
    signs text not null,
    is_about_contact_person boolean not null,
    primary key (as_of, customer_key)
);
create index on ops.warning (customer_key);
comment on table ops.warning is
    'One row per as-of date and customer who showed signs of leaving. Never changed.';
"""


def upgrade() -> None:
    """Creates what is kept of the warnings."""
    op.execute(WARNINGS)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
