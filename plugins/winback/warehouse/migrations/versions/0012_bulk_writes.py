"""What lets a selection plan, and outreach send, a million messages in their time.

Why so, with what it saves: docs/decisions/0023-references-checked-by-the-statement.md.
"""

from alembic import op

revision = "0012"
down_revision = "0011"

LAYOUT = """
-- PostgreSQL leaves the indexes alone when a changed row stays on its page and no column of any
-- index changed, those of a partial index's condition included. No step of a message from its plan
-- to its acceptance changes what the indexes look at.
alter table ops.outreach
    add column claim_order bigint,
    add column is_pending boolean not null generated always as
        (state in ('planned', 'claimed', 'dispatching', 'accepted')) stored,
    add column is_cancelled boolean not null generated always as (state = 'cancelled') stored;
with ordered as (
    select message_id, row_number() over (
        order by planned_at, expected_profit_cents desc nulls last, message_id
    ) as place
    from ops.outreach
)
update ops.outreach as o set claim_order = ordered.place
from ordered where ordered.message_id = o.message_id;
alter table ops.outreach
    alter column claim_order set not null,
    alter column claim_order add generated always as identity;
select setval(
    pg_get_serial_sequence('ops.outreach', 'claim_order'),
    coalesce(max(claim_order), 0) + 1, false
) from ops.outreach;
comment on column ops.outreach.claim_order is
    'Messages are claimed in the order in which they were planned; a selection plans first what is '
    'expected to add most.';
comment on column ops.outreach.is_pending is
    'Whether it is planned, on its way, or accepted with no news since.';
comment on column ops.outreach.is_cancelled is 'Whether it was cancelled.';
drop index ops.outreach_to_claim;
create index outreach_to_claim on ops.outreach (campaign_id, claim_order) where is_pending;
drop index ops.outreach_once_per_address;
create unique index outreach_once_per_address
    on ops.outreach (campaign_id, step, channel, address_hash)
    where resend_of is null and is_lapse_open and not is_cancelled;
-- room on each page for the next version of its rows
alter table ops.outreach set (fillfactor = 50);

drop trigger outreach_transition on ops.outreach;
create trigger outreach_beginning before insert on ops.outreach
    for each row when (new.state <> 'planned') execute function ops.outreach_transition();
-- what every message goes through is let through without calling the function
create trigger outreach_transition before update of state on ops.outreach
    for each row when (
        new.state <> old.state
        and not (old.state = 'planned' and new.state = 'claimed')
        and not (old.state = 'claimed' and new.state = 'dispatching')
        and not (old.state = 'dispatching' and new.state = 'accepted')
        and not (old.state = 'accepted' and new.state = 'delivered')
    ) execute function ops.outreach_transition();
"""

REFERENCES = """
create function ops.require_parents() returns trigger language plpgsql as $$
declare
    parent text := tg_argv[0];
    parent_key text := tg_argv[1];
    missing text;
begin
    execute format(
        'select key from (select distinct %2$I as key from inserted) as given'
        ' where key is not null'
        ' and not exists (select from ops.%1$I as parent where parent.%2$I = given.key) limit 1',
        parent, parent_key
    ) into missing;
    if missing is not null then
        raise exception '% %, which ops.% refers to, is not in ops.%',
            parent_key, missing, tg_table_name, parent
            using errcode = 'foreign_key_violation';
    end if;
    return null;
end
$$;
create function ops.refuse_other_parent() returns trigger language plpgsql as $$
begin
    raise exception 'ops.%: % never changes', tg_table_name, tg_argv[0]
        using errcode = 'foreign_key_violation';
end
$$;
create function ops.require_no_children() returns trigger language plpgsql as $$
declare
    parent_key text := tg_argv[0];
    child text := tg_argv[1];
    n int;
begin
    execute format('select 1 from ops.%1$I where %2$I = ($1).%2$I limit 1', child, parent_key)
        into n using old;
    if n is not null then
        raise exception 'ops.%: rows of ops.% refer to it', tg_table_name, child
            using errcode = 'foreign_key_violation';
    end if;
    return old;
end
$$;
"""
# child, parent, the column that both call the same
CHILDREN = (
    ("verdict", "snapshot", "snapshot_id"),
    ("assignment", "snapshot", "snapshot_id"),
    ("assignment", "campaign", "campaign_id"),
    ("outreach", "snapshot", "snapshot_id"),
    ("outreach", "campaign", "campaign_id"),
    ("economics", "economics_run", "economics_run_id"),
)
REFERENCE = """
alter table ops.{child} drop constraint {child}_{column}_fkey;
create trigger {child}_{column}_is_known after insert on ops.{child}
    referencing new table as inserted
    for each statement execute function ops.require_parents('{parent}', '{column}');
create trigger {child}_{column}_stays before update of {column} on ops.{child}
    for each statement execute function ops.refuse_other_parent('{column}');
create trigger {child}_refers_to_it before delete on ops.{parent}
    for each row execute function ops.require_no_children('{column}', '{child}');
"""


def upgrade() -> None:
    """Lets the ledger keep its pages, and checks references by the statement."""
    op.execute(LAYOUT)
    op.execute(REFERENCES)
    for child, parent, column in CHILDREN:
        op.execute(REFERENCE.format(child=child, parent=parent, column=column))


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
