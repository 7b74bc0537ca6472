"""State tables: legal grounds by country, proof of consent, and what customers wish."""

from alembic import op

revision = "0011"
down_revision = "0010"

GROUNDS = """
create table ops.country_rule (
    country text not null,
    channel text not null,
    kind text not null check (kind in ('consumer', 'business')),
    ground text not null check (ground in (
        'existing_customer', 'presumed_consent', 'until_objection')),
    law text not null,
    primary key (country, channel, kind, ground)
);
comment on table ops.country_rule is
    'The rows of config/country_rules.yaml: what allows a message beside express consent. A '
    'country without a row allows nothing else.';
"""

OPT_IN = """
create table ops.consent_text (
    text_version text primary key,
    channel text not null,
    purpose text not null,
    language text not null,
    advertiser text not null,
    content text not null,
    first_used_at timestamptz not null default now()
);
comment on table ops.consent_text is
    'The very words that customers were asked to agree to. Never changed.';

create table ops.opt_in_request (
    request_id uuid primary key default gen_random_uuid(),
    customer_key text not null,
    address_hash text not null,
    channel text not null check (channel = 'email'),
    purpose text not null check (purpose in ('marketing', 'survey', 'tracking')),
    text_version text not null references ops.consent_text,
    source text not null check (btrim(source) <> ''),
    requested_by text not null,
    requested_at timestamptz not null default now(),
    expires_at timestamptz not null,
    state text not null default 'dispatching' check (state in (
        'dispatching', 'accepted', 'rejected', 'unknown')),
    reason text,
    provider_message_id text,
    settled_at timestamptz,
    confirmed_at timestamptz check (confirmed_at < expires_at)
);
comment on table ops.opt_in_request is
    'One row per mail that asked for a consent, and when it was confirmed: the proof of the double '
    'opt-in. Who asked again gets a row of its own.';
comment on column ops.opt_in_request.state is
    'As in the send ledger: committed as dispatching before the request leaves.';
create index on ops.opt_in_request (customer_key);
"""

WISHES = """
create table ops.contact_preference (
    preference_id bigint generated always as identity primary key,
    customer_key text not null,
    channel text not null check (channel in ('email', 'phone', 'letter', 'ads')),
    is_wanted boolean not null,
    pause_days int check (pause_days > 0),
    is_by_contact_person boolean not null default false,
    message_id uuid not null,
    stated_at timestamptz not null default now()
);
comment on table ops.contact_preference is
    'What customers chose on the preference page; the newest row of a channel counts, beside the '
    'feed contact_preferences. Never changed.';
create index on ops.contact_preference (customer_key, channel, stated_at);
"""

# Whoever objects again after a new consent has objected again. The row of the first time is there
# already, so that every insert would leave no trace; roles may insert here and nothing more.
RENEWAL = """
alter table ops.suppression add column renewed_at timestamptz;
comment on column ops.suppression.renewed_at is
    'When the same was said last, if more than once. Only a consent given later lifts it.';

create function ops.suppression_renewed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update ops.suppression as known set renewed_at = now()
    where known.address_hash = new.address_hash and known.reason = new.reason
        and coalesce(known.customer_key, '') = coalesce(new.customer_key, '');
    if found then
        return null;
    end if;
    return new;
end
$$;
create trigger suppression_renewed before insert on ops.suppression
    for each row execute function ops.suppression_renewed();
"""

# the verdict that was committed before a message left names the consent that it relied on
USE = """
create view ops.consent_use as
select
    evidence ->> 'consent' as consent_id,
    min(decided_at) as first_used_at,
    max(decided_at) as last_used_at,
    count(*) as n_uses
from ops.verdict
where step = 'outreach' and is_eligible and evidence ? 'consent'
group by 1;
comment on view ops.consent_use is
    'When each consent was relied on, first and last: proof is kept five years from there.';
"""


def upgrade() -> None:
    """Creates what consents, their proof and the wishes of customers need."""
    for statements in (GROUNDS, OPT_IN, WISHES, RENEWAL, USE):
        op.execute(statements)


def downgrade() -> None:
    """Refuses: the ledger and the suppressions are proof, and are never dropped by a program."""
    raise NotImplementedError("restore a backup instead: ops holds proof that must not be dropped")
