"""The last check: asked about every recipient in the transaction that commits `dispatching`.

Asks the same SQL function as the planning, about what became known in the meantime, and what only
the ledger knows: whether this lapse is still the newest, and whether the person was written to
since. Pure reading but for the verdicts it keeps.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from winback.outreach.ledger import Claim
from winback.outreach.message import Recipient
from winback.record.unsubscribe import token
from winback.settings import Settings

_CHECK = """
with claimed as (
    select
        o.message_id, o.fence, o.customer_key, o.address_hash, a.occasion_date,
        -- the lapse is named by a day: any purchase after that day ends it, however late we learn
        -- of it
        (a.occasion_date + 1)::timestamp at time zone %(zone)s - interval '1 microsecond'
            as silent_until,
        array_remove(array[
            case when a.assignment_id is null then 'not_assigned' end,
            case when o.resend_of is null and not o.is_lapse_open then 'lapse_over' end,
            case when o.resend_of is null and exists (
                -- late or corrected orders may give one and the same silence a new name
                select 1 from ops.outreach as sent
                where sent.customer_key = o.customer_key
                    and sent.campaign_id = o.campaign_id
                    and sent.step = o.step
                    and sent.channel = o.channel
                    and sent.message_id <> o.message_id
                    and sent.state in ('dispatching', 'unknown', 'abandoned', 'accepted',
                        'delivered', 'bounced', 'dropped')
                    and sent.as_of > a.occasion_date
            ) then 'contacted_since' end,
            case when o.resend_of is not null and exists (
                -- what nobody knew when the resend was ordered has become known
                select 1 from ops.outreach as earlier
                where earlier.campaign_id = o.campaign_id
                    and earlier.lapse_id = o.lapse_id
                    and earlier.step = o.step
                    and earlier.channel = o.channel
                    and earlier.message_id <> o.message_id
                    and earlier.accepted_at is not null
                    and earlier.state <> 'dropped'
            ) then 'first_one_arrived' end
        ], null) as own_reasons,
        row_number() over (order by o.message_id) as asked_at
    from unnest(%(ids)s::uuid[], %(fences)s::bigint[]) as own (message_id, fence)
    -- one by one: by the planner's statistics nothing is claimed, and it compared all with all
    cross join lateral (
        select * from ops.outreach
        where message_id = own.message_id and fence = own.fence and state = 'claimed'
        offset 0
    ) as o
    left join ops.assignment as a
        on a.campaign_id = o.campaign_id and a.lapse_id = o.lapse_id and a.arm = 'treated'
)

select
    claimed.message_id,
    claimed.fence,
    claimed.customer_key,
    verdict.reasons || claimed.own_reasons || array_remove(array[
        case when verdict.address_hash is distinct from claimed.address_hash
            then 'address_changed' end,
        case when person.email is null and verdict.address_hash is not null then 'no_address' end,
        -- a message must say what allows it, and since when
        case when cardinality(verdict.reasons) = 0 and (
            verdict.evidence ->> 'since' is null
            or verdict.evidence ->> 'ground' not in ('consent', 'existing_customer')
        ) then 'consent_missing' end
    ], null),
    verdict.evidence,
    person.email,
    person.first_name,
    customers.locale,
    claimed.occasion_date,
    ((verdict.evidence ->> 'since')::timestamptz at time zone %(zone)s)::date,
    verdict.evidence ->> 'ground'
from claimed
inner join ops.eligibility(
    (select array_agg(customer_key order by asked_at) from claimed),
    (select array_agg(silent_until order by asked_at) from claimed),
    %(campaign)s, 'email', %(as_of)s,
    -- the database's clock: a worker's own may be slow, and overlook this morning's objections
    coalesce(%(known_until)s::timestamptz, statement_timestamp()), %(months)s, %(pause)s
) as verdict using (asked_at)
left join pii.customers as person on person.customer_key = claimed.customer_key
left join raw.customers as customers on customers.customer_key = claimed.customer_key
order by claimed.message_id
"""


@dataclass(frozen=True)
class Checked:
    """A claim with the person it goes to, or with the reasons why it must not be sent."""

    claim: Claim
    customer_key: str
    recipient: Recipient | None
    reasons: list[str]
    evidence: dict[str, Any]


def check(
    connection: psycopg.Connection,
    claims: Sequence[Claim],
    campaign: str,
    as_of: date,
    config: Settings,
) -> list[Checked]:
    """Asks once more about every claim that is still ours, and reads whom it goes to.

    Args:
        connection: As the sender.
        claims: What is to be sent.
        campaign: Its campaign.
        as_of: The date of the snapshot that this run acts on.
        config: Settings.
    """
    values = {
        "ids": [c.message_id for c in claims],
        "fences": [c.fence for c in claims],
        "campaign": campaign,
        "as_of": as_of,
        # Facts since 00:00 of as_of played no part in the selection; but whoever withdrew or
        # bought this morning is not written to. Only a replay has to pretend not to know.
        "known_until": config.as_of_at(as_of) if config.replay else None,
        "months": config.consent_unused_months,
        "pause": config.contact_pause_days,
        "zone": config.business_timezone,
    }
    checked = []
    for row in connection.execute(_CHECK, values):
        message_id, fence, key, reasons, evidence, email, name, locale, bought, since, ground = row
        url = f"{config.public_url.rstrip('/')}/winback/unsubscribe/{token(message_id)}"
        recipient = (
            None
            if reasons
            else Recipient(message_id, email, name, locale, bought, since, url, ground)
        )
        checked.append(Checked(Claim(message_id, fence), key, recipient, reasons, evidence))
    return checked


def keep_verdicts(
    connection: psycopg.Connection, checked: Sequence[Checked], campaign: str, snapshot_id: int
) -> None:
    """Stores what was found, as the planning does."""
    connection.execute(
        "insert into ops.verdict"
        " (snapshot_id, campaign_id, customer_key, channel, step, is_eligible, reasons, evidence)"
        " select %s, %s, v.customer_key, 'email', 'outreach', v.reasons = '',"
        " string_to_array(v.reasons, ','), v.evidence::jsonb"
        " from unnest(%s::text[], %s::text[], %s::text[]) as v (customer_key, reasons, evidence)",
        (
            snapshot_id,
            campaign,
            [each.customer_key for each in checked],
            [",".join(each.reasons) for each in checked],
            [json.dumps(each.evidence) for each in checked],
        ),
    )
