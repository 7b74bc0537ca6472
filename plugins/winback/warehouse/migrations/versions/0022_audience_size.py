"""How many people each selection found for a campaign, and whether a person must approve them."""

from alembic import op

revision = "0022"
down_revision = "0021"

AUDIENCE_SIZE = """
create table ops.audience_size (
    audience_size_id bigint generated always as identity primary key,
    campaign_id text not null,
    snapshot_id bigint not null references ops.snapshot,
    as_of date not null,
    n_people int not null,
    n_before int,
    needs_approval boolean not null,
    has_stopped boolean not null,
    judged_at timestamptz not null default now()
);
create index on ops.audience_size (campaign_id, audience_size_id);
comment on table ops.audience_size is
    'One row per campaign and selection: how many people it is for. Never changed.';
comment on column ops.audience_size.n_people is
    'Those of the audience, drawn before or not, against whom nothing speaks but that they heard '
    'from us lately, or that the campaign as a whole costs more than it returns.';
comment on column ops.audience_size.n_before is
    'The same at the last selection that needed no approval or was approved; null: the first one.';
comment on column ops.audience_size.needs_approval is
    'It rose beyond the setting max_audience_rise_pct, and nobody was drawn.';
comment on column ops.audience_size.has_stopped is
    'The campaign ran and was stopped for it; a person who resumes it has approved.';
"""


def upgrade() -> None:
    """Creates what audiences are compared by."""
    op.execute(AUDIENCE_SIZE)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
