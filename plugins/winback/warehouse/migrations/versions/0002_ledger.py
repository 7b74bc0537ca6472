"""State tables: the send ledger, events, suppressions and the webhook inbox."""

from alembic import op

revision = "0002"
down_revision = "0001"

LEDGER = """
create table ops.outreach (
    message_id uuid primary key default gen_random_uuid(),
    campaign_id text not null references ops.campaign,
    lapse_id text not null,
    step int not null,
    channel text not null,
    customer_key text not null,
    address_hash text not null,
    snapshot_id bigint not null references ops.snapshot,
    as_of date not null,
    template text not null,
    state text not null default 'planned' check (state in (
        'planned', 'claimed', 'dispatching', 'accepted', 'rejected', 'unknown',
        'delivered', 'bounced', 'dropped', 'cancelled', 'abandoned')),
    fence bigint not null default 0,
    lease_until timestamptz,
    claimed_by text,
    reason text,
    provider_message_id text,
    resend_of uuid references ops.outreach,
    is_lapse_open boolean not null default true,
    planned_at timestamptz not null default now(),
    dispatching_at timestamptz,
    accepted_at timestamptz,
    settled_at timestamptz
);
comment on table ops.outreach is
    'The send ledger: one row per campaign, lapse, step and channel, whatever is retried.';
create unique index outreach_once_per_lapse on ops.outreach (campaign_id, lapse_id, step, channel)
    where resend_of is null;
create unique index outreach_once_per_address
    on ops.outreach (campaign_id, step, channel, address_hash)
    where resend_of is null and is_lapse_open and state <> 'cancelled';
create index outreach_to_claim on ops.outreach (campaign_id, planned_at)
    where state in ('planned', 'claimed');
create index on ops.outreach (customer_key);
create index on ops.outreach (address_hash);

create function ops.outreach_transition() returns trigger language plpgsql as $$
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
        ('accepted', 'delivered'), ('accepted', 'bounced'), ('accepted', 'dropped'),
        ('delivered', 'bounced')
    ) then
        raise exception 'outreach % may not go from % to %', old.message_id, old.state, new.state
            using errcode = 'check_violation';
    end if;
    return new;
end
$$;
create trigger outreach_transition before insert or update of state on ops.outreach
    for each row execute function ops.outreach_transition();

create table ops.event (
    event_id text primary key,
    message_id uuid references ops.outreach,
    kind text not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    detail text
);
create index on ops.event (message_id);

create table ops.suppression (
    suppression_id bigint generated always as identity primary key,
    address_hash text not null,
    customer_key text,
    scope text not null check (scope in ('address', 'person')),
    reason text not null check (reason in (
        'unsubscribe', 'bounce', 'spam_report', 'objection', 'dropped')),
    message_id uuid,
    suppressed_at timestamptz not null default now()
);
create unique index suppression_once on ops.suppression
    (address_hash, reason, coalesce(customer_key, ''));
create index on ops.suppression (customer_key);
comment on table ops.suppression is 'Who must not be written to. Kept for ever; hashes only.';

create table pii.webhook_inbox (
    inbox_id bigint generated always as identity primary key,
    received_at timestamptz not null default now(),
    body bytea,
    processed_at timestamptz,
    n_events int,
    problem text
);
create index webhook_inbox_open on pii.webhook_inbox (inbox_id) where processed_at is null;
"""


def upgrade() -> None:
    """Creates what outreach and the events of the mail provider keep."""
    op.execute(LEDGER)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
