"""A planned message knows which shape of the mail it will probably have."""

from alembic import op

revision = "0019"
down_revision = "0018"

COLUMN = """
alter table ops.outreach add column likely_shape text not null default '';
comment on column ops.outreach.likely_shape is
    'Language, whether there is a name, and ground, as they were at the planning: what is alike is '
    'checked and sent together. The check before the request decides which it has.';
"""


def upgrade() -> None:
    """Adds it; what is planned already counts as alike, and the check tells it apart as before."""
    op.execute(COLUMN)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
