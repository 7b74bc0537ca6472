"""State tables: the quantiles of the next gap depend on how large a stock was bought last."""

from alembic import op

revision = "0016"
down_revision = "0015"

# Rhythms fitted before stretched nothing: their quantiles are the same at every level, and only
# those with an elasticity know other levels than the usual one.
LEVELS = """
alter table ops.rhythm_quantile
    add column stock_level int not null default 0,
    add column usual_late double precision;
update ops.rhythm_quantile set usual_late = late;
alter table ops.rhythm_quantile
    alter column stock_level drop default,
    alter column usual_late set not null,
    drop constraint rhythm_quantile_pkey,
    add primary key (model_run_id, stock_level, n_gaps);
insert into ops.rhythm_quantile
    (model_run_id, stock_level, n_gaps, early, expected, late, usual_late)
select q.model_run_id, level, q.n_gaps, q.early, q.expected, q.late, q.usual_late
from ops.rhythm_quantile as q
join ops.model_run as run using (model_run_id)
cross join generate_series(-2, 6) as level
where (run.parameters ->> 'quantity_elasticity')::numeric > 0 and level <> 0;
comment on table ops.rhythm_quantile is
    'The 10, 50 and 90 per cent quantile of the next gap for so many gaps seen and a stock of that '
    'level, in units of the stock factor times the rhythm''s rate_days plus the sum of those gaps.';
comment on column ops.rhythm_quantile.stock_level is
    'Of what was bought last: two to a doubling of the stock factor, 0 is the usual quantity.';
comment on column ops.rhythm_quantile.usual_late is
    'The 90 per cent quantile after a usual quantity, from which lapsed is counted.';
"""


def upgrade() -> None:
    """Gives every rhythm the levels of a stock."""
    op.execute(LEVELS)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
