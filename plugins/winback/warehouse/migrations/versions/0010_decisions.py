"""State tables: what people decided about campaigns and unknown messages."""

from alembic import op

revision = "0010"
down_revision = "0009"

DECISIONS = """
create table ops.outreach_decision (
    decision_id bigint generated always as identity primary key,
    campaign_id text not null references ops.campaign,
    decision text not null check (decision in ('pause', 'resume', 'cancel', 'resend', 'abandon')),
    message_id uuid references ops.outreach,
    resent_as uuid references ops.outreach,
    reason text not null check (btrim(reason) <> ''),
    decided_by text not null check (decided_by <> ''),
    decided_at timestamptz not null default now(),
    check ((decision in ('resend', 'abandon')) = (message_id is not null)),
    check ((decision = 'resend') = (resent_as is not null))
);
comment on table ops.outreach_decision is
    'One row per decision of a person on a campaign or on a message nobody knows the fate of. '
    'Never changed.';
create index on ops.outreach_decision (campaign_id, decision_id);
create unique index outreach_decided_once on ops.outreach_decision (message_id);

-- a message is sent again by one order of one person; another order is about the newer message
create unique index outreach_resent_once on ops.outreach (resend_of) where resend_of is not null;

alter table ops.campaign
    drop constraint campaign_state_check,
    add constraint campaign_state_check
    check (state in ('running', 'paused', 'stopped', 'cancelled'));

create function ops.campaign_stays_cancelled() returns trigger language plpgsql as $$
begin
    raise exception 'campaign % is cancelled for good and may not be %', old.campaign_id, new.state
        using errcode = 'check_violation';
end
$$;
create trigger campaign_stays_cancelled before update of state on ops.campaign
    for each row when (old.state = 'cancelled' and new.state <> 'cancelled')
    execute function ops.campaign_stays_cancelled();

create or replace function ops.outreach_transition() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        if new.state <> 'planned' then
            raise exception 'outreach % must begin as planned, not as %', new.message_id, new.state
                using errcode = 'check_violation';
        end if;
        return new;
    end if;
    if new.state = old.state then
        return new;
    end if;
    if not (old.state, new.state) in (
        ('planned', 'claimed'), ('planned', 'cancelled'),
        ('claimed', 'planned'), ('claimed', 'dispatching'),
        ('claimed', 'cancelled'),
        ('dispatching', 'accepted'), ('dispatching', 'rejected'), ('dispatching', 'unknown'),
        ('dispatching', 'planned'), ('dispatching', 'delivered'), ('dispatching', 'bounced'),
        ('dispatching', 'dropped'),
        ('unknown', 'accepted'), ('unknown', 'delivered'), ('unknown', 'bounced'),
        ('unknown', 'dropped'), ('unknown', 'abandoned'),
        -- an event that came too late for the person who decided
        ('abandoned', 'delivered'), ('abandoned', 'bounced'), ('abandoned', 'dropped'),
        ('accepted', 'delivered'), ('accepted', 'bounced'), ('accepted', 'dropped'),
        ('delivered', 'bounced')
    ) then
        raise exception 'outreach % may not go from % to %', old.message_id, old.state, new.state
            using errcode = 'check_violation';
    end if;
    return new;
end
$$;
"""


def upgrade() -> None:
    """Creates what people's decisions leave behind."""
    op.execute(DECISIONS)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
