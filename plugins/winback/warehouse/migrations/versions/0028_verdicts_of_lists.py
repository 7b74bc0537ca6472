"""Why somebody left a list of marketing is kept like every other verdict."""

from alembic import op

revision = "0028"
down_revision = "0027"

STEPS = """
alter table ops.verdict drop constraint verdict_step_check;
alter table ops.verdict add constraint verdict_step_check
    check (step in ('select', 'outreach', 'waiting', 'list', 'warning', 'opt_in')) not valid;
alter table ops.verdict validate constraint verdict_step_check;
comment on column ops.verdict.step is
    'When it was decided: while selecting, right before the request, while the message waited at '
    'the provider, or for a list of marketing (in both only who must not be reached has a row); '
    'or, without a campaign, for the list of warnings (a row where it says something new) and '
    'before a consent was asked for.';
"""


def upgrade() -> None:
    """Allows one more moment."""
    op.execute(STEPS)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
