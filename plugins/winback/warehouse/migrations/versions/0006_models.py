"""State tables: which models were fitted, how they fared on the past, and which are in use."""

from alembic import op

revision = "0006"
down_revision = "0005"

MODELS = """
create table ops.model_run (
    model_run_id bigint generated always as identity primary key,
    model text not null,
    as_of date not null,
    parameters json not null,
    metrics json not null,
    is_in_use boolean not null,
    because text not null check (because <> ''),
    fitted_at timestamptz not null default now()
);
comment on table ops.model_run is
    'One row per fit of a model. Never changed. For an as-of date the newest of its model counts '
    'that was fitted up to then and is in use.';
comment on column ops.model_run.as_of is 'Facts before 00:00 of this business day were known.';
comment on column ops.model_run.metrics is 'How it fared on windows of the past, and its curves.';
comment on column ops.model_run.because is 'Why it was taken into use, or not.';
create index on ops.model_run (model, as_of, model_run_id);

create table ops.rhythm_quantile (
    model_run_id bigint not null references ops.model_run,
    n_gaps int not null,
    early double precision not null,
    expected double precision not null,
    late double precision not null,
    primary key (model_run_id, n_gaps)
);
comment on table ops.rhythm_quantile is
    'The 10, 50 and 90 per cent quantile of the next gap for so many gaps seen, in units of the '
    'rhythm''s rate_days plus the sum of those gaps.';

create table ops.customer_rule (
    kind text not null check (kind in ('do_not_want', 'must_win')),
    rule text not null,
    because text not null,
    fact text,
    at_least numeric,
    below numeric,
    customer_key text,
    check ((fact is null) <> (customer_key is null))
);
comment on table ops.customer_rule is
    'The rules of config/customer_rules.yaml: one row per condition (fact and limits; all of a '
    'rule must hold) or named customer. Replaced at every run of the models.';
"""


def upgrade() -> None:
    """Creates what the training keeps."""
    op.execute(MODELS)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
