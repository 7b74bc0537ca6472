"""Messages that are planned together are found together: ids grow in the order of planning."""

from alembic import op

revision = "0017"
down_revision = "0016"

# Of a thousand random ids each lies on a page of its own. What a message's id tells is when it was
# planned; before PostgreSQL 18 ids stay random.
IDS = """
do $$
begin
    if current_setting('server_version_num')::int >= 180000 then
        execute 'alter table ops.outreach alter column message_id set default uuidv7()';
    end if;
end
$$;
"""


def upgrade() -> None:
    """New messages get ids that grow."""
    op.execute(IDS)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
