"""The check while a message waits at the provider: may its recipient still be written to?

Asks the same SQL function as the planning and as `last_check.py`, about what became known since the
request left, and whether a rule says by now that somebody is not wanted. Not whether they cost more
than they return by now: a whole batch would be sent anew over a cent. What follows is decided in
`taking_back.py`, which keeps the verdict on whomever it cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from winback.outreach.last_check import FIRST_ONE_ARRIVED, HELD_OUT
from winback.outreach.scheduled_batches import WAITING, Batch
from winback.settings import Settings

_CHECK = f"""
with waiting as (
    select
        o.message_id, o.batch_id, o.customer_key, o.address_hash, o.campaign_id, o.lapse_id,
        o.step, o.channel, o.resend_of, o.dispatching_at,
        o.resend_of is null and not o.is_lapse_open as is_lapse_over,
        -- as in last_check.py: any purchase after the day that names the lapse ends it
        (a.occasion_date + 1)::timestamp at time zone %(zone)s - interval '1 microsecond'
            as silent_until,
        a.occasion = 'cancellation' as has_cancelled,
        a.occasion_date,
        first_one.message_id as first_one,
        row_number() over (order by o.message_id) as asked_at
    from ops.outreach as o
    left join ops.assignment as a
        on a.campaign_id = o.campaign_id and a.lapse_id = o.lapse_id and a.arm = 'treated'
    left join lateral ({FIRST_ONE_ARRIVED}) as first_one on true
    where o.batch_id = any(%(batches)s) and o.state = any(%(states)s)
),

-- the marts of a build that failed its gate take nothing back
fit as (
    select newest.as_of from ops.newest_snapshot as newest
    inner join ops.gate_verdict using (snapshot_id)
    where gate = 'marts' and is_fit
),

judged as (
    select
        waiting.batch_id,
        waiting.message_id,
        waiting.occasion_date,
        waiting.customer_key,
        coalesce(waiting.first_one, sent_before.message_id) as earlier_message,
        held_out.assignment_id as holdout,
        verdict.evidence,
        rules.because,
        -- the message that waits is itself the one that was sent so recently
        array_remove(verdict.reasons, 'contacted_too_recently') || array_remove(array[
            case when waiting.is_lapse_over then 'lapse_over' end,
            case when waiting.first_one is not null then 'first_one_arrived' end,
            case when sent_before.message_id is not null then 'contacted_since' end,
            case when held_out.assignment_id is not null then 'drawn_under_another_lapse' end,
            case when waiting.has_cancelled and ops.cancellation_is_over(
                waiting.customer_key, waiting.silent_until, statement_timestamp()
            ) then 'cancellation_over' end,
            case when verdict.address_hash is distinct from waiting.address_hash
                then 'address_changed' end,
            case when cardinality(verdict.reasons) = 0 and (
                verdict.evidence ->> 'since' is null
                or verdict.evidence ->> 'ground' not in ('consent', 'existing_customer')
            ) then 'consent_missing' end,
            case when rules.because is not null then 'not_wanted' end
        ], null) as reasons
    from waiting
    left join ops.person as known_as on known_as.customer_key = waiting.customer_key
    inner join ops.eligibility(
        (select array_agg(customer_key order by asked_at) from waiting),
        (select array_agg(silent_until order by asked_at) from waiting),
        %(campaign)s, 'email', %(as_of)s, statement_timestamp(), %(months)s, %(pause)s,
        advertisers => %(advertisers)s::text[]
    ) as verdict using (asked_at)
    left join lateral (
        -- under another number, and merged while this one waits
        select sent.message_id from ops.outreach as sent
        where waiting.resend_of is null and cardinality(verdict.members) > 1
            and sent.customer_key = any(verdict.members)
            and sent.campaign_id = waiting.campaign_id
            and sent.step = waiting.step
            and sent.channel = waiting.channel
            and sent.resend_of is null
            and sent.state in ('dispatching', 'unknown', 'abandoned', 'accepted',
                'delivered', 'bounced', 'dropped')
            and sent.as_of > waiting.occasion_date
            -- of two that wait, one is enough
            and (sent.dispatching_at, sent.message_id)
                < (waiting.dispatching_at, waiting.message_id)
        limit 1
    ) as sent_before on true
    left join lateral ({HELD_OUT.format(of="waiting")}) as held_out on true
    left join lateral (
        select string_agg(rules.because, '; ' order by rules.rule) as because
        from marts.fct_customer_rules as rules
        inner join fit on rules.as_of = fit.as_of
        where rules.customer_key = coalesce(known_as.person_key, waiting.customer_key)
            and rules.kind = 'do_not_want'
    ) as rules on true
)

select batch_id, message_id, array_to_string(reasons, ', '),
    evidence || jsonb_strip_nulls(jsonb_build_object(
        'occasion_date', case
            when reasons && array['lapse_over', 'cancellation_over'] then occasion_date
        end,
        'earlier_message', earlier_message,
        'holdout', holdout,
        'address_of', case when 'address_changed' = any(reasons) then customer_key end,
        'not_wanted', because
    ))
from judged
where cardinality(reasons) > 0
"""  # noqa: S608 - texts of our own
_KEEP = """
insert into ops.verdict
    (snapshot_id, campaign_id, customer_key, channel, step, is_eligible, reasons, evidence)
select o.snapshot_id, o.campaign_id, o.customer_key, o.channel, 'waiting', false,
    string_to_array(found.reasons, ', '), found.evidence
from unnest(%(ids)s::uuid[], %(reasons)s::text[], %(evidence)s::jsonb[])
    as found (message_id, reasons, evidence)
inner join ops.outreach as o using (message_id)
"""
# so many messages are judged by one statement
_BATCHES_AT_ONCE = 20


@dataclass(frozen=True)
class Refused:
    """Why a message that waits must not arrive.

    Attributes:
        reasons: Every one, comma-separated.
        evidence: Ids and dates of what decided it.
    """

    reasons: str
    evidence: dict[str, Any]


def check(
    connection: psycopg.Connection, batches: Sequence[Batch], config: Settings
) -> dict[str, dict[UUID, Refused]]:
    """Who in these batches must not be written to any more, and why.

    Args:
        connection: As the sender.
        batches: Batches that wait.
        config: Settings.

    Returns:
        By batch, the reasons by message; a batch in which nothing changed is not in it.
    """
    found: dict[str, dict[UUID, Refused]] = {}
    ordered = sorted(batches, key=lambda each: (each.campaign_id, each.as_of))
    for (campaign, as_of), group in groupby(ordered, lambda each: (each.campaign_id, each.as_of)):
        ids = [each.batch_id for each in group]
        for start in range(0, len(ids), _BATCHES_AT_ONCE):
            values = {
                "batches": ids[start : start + _BATCHES_AT_ONCE],
                "states": list(WAITING),
                "campaign": campaign,
                "as_of": as_of,
                "zone": config.business_timezone,
                "months": config.consent_unused_months,
                "pause": config.contact_pause_days,
                "advertisers": config.advertiser_names(),
            }
            for batch_id, message_id, *why in connection.execute(_CHECK, values):
                found.setdefault(batch_id, {})[message_id] = Refused(*why)
    return found


def keep(connection: psycopg.Connection, refused: Mapping[UUID, Refused]) -> None:
    """Keeps a verdict on each, beside those of the planning and of the last check."""
    connection.execute(
        _KEEP,
        {
            "ids": list(refused),
            "reasons": [each.reasons for each in refused.values()],
            "evidence": [Jsonb(each.evidence) for each in refused.values()],
        },
    )
