"""State tables: messages that wait at the provider, and what became of opt-in mails."""

from alembic import op

revision = "0014"
down_revision = "0013"

BATCHES = """
create table ops.scheduled_batch (
    batch_id text primary key check (batch_id <> ''),
    campaign_id text not null references ops.campaign,
    as_of date not null,
    send_at timestamptz not null,
    created_at timestamptz not null default now(),
    cancel_asked_at timestamptz,
    question_left_at timestamptz,
    cancelled_at timestamptz,
    problem text,
    check (cancelled_at is null or cancel_asked_at is not null),
    constraint question_was_wanted
        check (question_left_at is null or cancel_asked_at is not null),
    -- the provider promises nothing in the last ten minutes
    check (cancelled_at < send_at - interval '10 minutes')
);
comment on table ops.scheduled_batch is
    'One row per request that the mail provider is to send later, committed with its messages '
    'before the request leaves.';
comment on column ops.scheduled_batch.cancel_asked_at is
    'Committed before the provider is asked; whoever finds it without cancelled_at asks again.';
comment on column ops.scheduled_batch.question_left_at is
    'Committed before the provider is asked to cancel; null: it was not asked, or it is known that '
    'it did not do it. With cancelled_at null and its time near, its messages are unknown.';
comment on column ops.scheduled_batch.cancelled_at is
    'When the provider had confirmed that it sends nothing of it.';
comment on column ops.scheduled_batch.problem is 'Why the provider did not confirm, the last time.';

alter table ops.outreach
    add column batch_id text references ops.scheduled_batch,
    add column send_at timestamptz;
comment on column ops.outreach.send_at is 'Until when the provider keeps it; null: sent at once.';
create index outreach_of_batch on ops.outreach (batch_id) where batch_id is not null;
"""

# accepted was the end of what we could do; a batch that the provider confirmed not to send opens
# the one way back, and one that it may have cancelled unheard makes its messages unknown, though
# not before nothing can be taken back any more
TRANSITION = """
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
    if old.state = 'accepted' and new.state in ('planned', 'cancelled') then
        if not exists (
            select 1 from ops.scheduled_batch as batch
            where batch.batch_id = old.batch_id
                and batch.cancelled_at is not null
                and batch.send_at = old.send_at
                and batch.send_at > clock_timestamp()
        ) then
            raise exception
                'outreach % may not go from accepted to %: no confirmed cancellation of its batch',
                old.message_id, new.state using errcode = 'check_violation';
        end if;
    elsif old.state = 'accepted' and new.state = 'unknown' then
        if not exists (
            select 1 from ops.scheduled_batch as batch
            where batch.batch_id = old.batch_id
                and (batch.question_left_at is not null or batch.cancelled_at is not null)
                and batch.send_at <= clock_timestamp() + interval '10 minutes'
        ) then
            raise exception
                'outreach % may not go from accepted to unknown: its batch may not have been '
                'cancelled', old.message_id using errcode = 'check_violation';
        end if;
    elsif not (old.state, new.state) in (
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
    if new.state = 'planned' then
        -- the next request has a batch of its own, or none
        new.batch_id := null;
        new.send_at := null;
    end if;
    return new;
end
$$;
"""

OPT_IN = """
alter table ops.opt_in_request
    drop constraint opt_in_request_state_check,
    add constraint opt_in_request_state_check check (state in (
        'dispatching', 'accepted', 'rejected', 'unknown', 'delivered', 'bounced', 'dropped'));
alter table ops.event add column opt_in_request_id uuid references ops.opt_in_request,
    add constraint event_of_one_kind check (message_id is null or opt_in_request_id is null);
create index on ops.event (opt_in_request_id) where opt_in_request_id is not null;
"""


def upgrade() -> None:
    """Creates what is kept of scheduled batches, and lets opt-in mails be settled by events."""
    for statements in (BATCHES, TRANSITION, OPT_IN):
        op.execute(statements)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
