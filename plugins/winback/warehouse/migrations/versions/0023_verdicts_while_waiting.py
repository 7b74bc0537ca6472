"""Verdicts on messages that wait at the provider are kept as well."""

from alembic import op

revision = "0023"
down_revision = "0022"

STEPS = """
alter table ops.verdict drop constraint verdict_step_check;
alter table ops.verdict add constraint verdict_step_check
    check (step in ('select', 'outreach', 'waiting')) not valid;
alter table ops.verdict validate constraint verdict_step_check;
comment on column ops.verdict.step is
    'When it was decided: while selecting, right before the request, or while the message waited '
    'at the provider (then only who must not get it has a row).';
"""


def upgrade() -> None:
    """Allows the third moment."""
    op.execute(STEPS)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
