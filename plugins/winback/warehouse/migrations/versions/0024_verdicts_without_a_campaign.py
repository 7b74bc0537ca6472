"""Verdicts no campaign asked for: for the list of warnings, and before a consent is asked for."""

from alembic import op

revision = "0024"
down_revision = "0023"

STEPS = """
alter table ops.verdict drop constraint verdict_step_check;
alter table ops.verdict add constraint verdict_step_check
    check (step in ('select', 'outreach', 'waiting', 'warning', 'opt_in')) not valid;
alter table ops.verdict validate constraint verdict_step_check;
alter table ops.verdict add constraint verdict_campaign_check
    check ((campaign_id = '') = (step in ('warning', 'opt_in'))) not valid;
alter table ops.verdict validate constraint verdict_campaign_check;
comment on column ops.verdict.step is
    'When it was decided: while selecting, right before the request, or while the message waited '
    'at the provider (then only who must not get it has a row); or, without a campaign, for the '
    'list of warnings (a row where it says something new) and before a consent was asked for.';
comment on column ops.verdict.campaign_id is
    'The campaign that asked; empty for the steps warning and opt_in, which belong to none.';
"""


def upgrade() -> None:
    """Allows two more moments, and an empty campaign for them alone."""
    op.execute(STEPS)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
