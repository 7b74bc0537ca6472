"""The last check: asked about every recipient in the transaction that commits `dispatching`.

Asks the same SQL function as the planning, about what became known in the meantime; what only the
ledger knows: whether this lapse is still the newest, and whether the person was written to since;
and what the newest selection and models hold against somebody who was planned by an earlier one:
that they cost more than they return, or are not wanted. Locks what it is asked about; writes the
verdicts it keeps, which never leave the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import psycopg

from winback.outreach import ledger, ramp_up
from winback.outreach.ledger import Claim
from winback.outreach.message import Recipient
from winback.record.unsubscribe import tokens
from winback.select.customer_rules import NOT_WANTED
from winback.select.economics import TOO_DEAR_BY_NOW
from winback.settings import Settings

# what nobody knew when the resend `o` was ordered has become known
FIRST_ONE_ARRIVED = """
select earlier.message_id from ops.outreach as earlier
where o.resend_of is not null
    and earlier.campaign_id = o.campaign_id
    and earlier.lapse_id = o.lapse_id
    and earlier.step = o.step
    and earlier.channel = o.channel
    and earlier.message_id <> o.message_id
    and earlier.accepted_at is not null
    and earlier.state <> 'dropped'
limit 1
"""

# the campaign measures with another number of the person, so none of them is written to by it
HELD_OUT = """
select drawn.assignment_id from ops.assignment as drawn
-- most have one number alone
where cardinality(verdict.members) > 1
    and drawn.customer_key = any(verdict.members)
    and drawn.campaign_id = {of}.campaign_id
    and drawn.lapse_id <> {of}.lapse_id
    and drawn.arm = 'holdout'
    and drawn.as_of + drawn.window_days >= %(as_of)s
limit 1
"""

_CHECK = f"""
with claimed as (
    select
        own.position, o.message_id, o.customer_key, o.address_hash, o.campaign_id, o.lapse_id,
        o.step, o.channel, o.resend_of, a.occasion_date,
        coalesce((
            select merged.winner_key from ops.customer_merge as merged
            where merged.customer_key = o.customer_key and merged.unmerged_at is null
        ), o.customer_key) as person_key,
        -- the lapse is named by a day: any purchase after that day ends it, however late we learn
        -- of it
        (a.occasion_date + 1)::timestamp at time zone %(zone)s - interval '1 microsecond'
            as silent_until,
        array_remove(array[
            case when a.assignment_id is null then 'not_assigned' end,
            case when o.resend_of is null and not o.is_lapse_open then 'lapse_over' end,
            case when a.occasion = 'cancellation' and ops.cancellation_is_over(
                o.customer_key, (a.occasion_date + 1)::timestamp at time zone %(zone)s,
                coalesce(%(known_until)s::timestamptz, statement_timestamp())
            ) then 'cancellation_over' end,
            -- who comes back by it now would not be counted beside the holdout any more
            case when a.as_of + a.window_days <= %(as_of)s then 'window_over' end,
            case when first_one.message_id is not null then 'first_one_arrived' end
        ], null) as own_reasons,
        a.as_of + a.window_days as window_ends_on,
        first_one.message_id as first_one,
        -- by the key, that what lies together is looked up together
        row_number() over (order by o.customer_key) as asked_at
    from (
        select * from unnest(%(ids)b::uuid[], %(fences)b::bigint[])
            with ordinality as own (message_id, fence, position)
        -- all lock in the same order: see ledger.py
        order by message_id
    ) as own
    -- Locked as it is read: whoever objects from here on waits for the commit, and whoever was
    -- quicker has changed the state. One by one: by the planner's statistics nothing is claimed,
    -- and it compared all with all.
    cross join lateral (
        select * from ops.outreach
        where message_id = own.message_id and fence = own.fence and state = 'claimed'
            and coalesce(portion_day = {ramp_up.TODAY}, true)
        for no key update
    ) as o
    left join ops.assignment as a
        on a.campaign_id = o.campaign_id and a.lapse_id = o.lapse_id and a.arm = 'treated'
    left join lateral ({FIRST_ONE_ARRIVED}) as first_one on true
),

judged as materialized (
    select
        claimed.position,
        claimed.message_id,
        claimed.customer_key,
        claimed.person_key,
        claimed.step,
        verdict.reasons || claimed.own_reasons || array_remove(array[
            case when sent_since.message_id is not null then 'contacted_since' end,
            case when held_out.assignment_id is not null then 'drawn_under_another_lapse' end,
            case when verdict.address_hash is distinct from claimed.address_hash
                then 'address_changed' end,
            case when person.email is null and verdict.address_hash is not null
                then 'no_address' end,
            -- a message must say what allows it, and since when
            case when cardinality(verdict.reasons) = 0 and (
                verdict.since is null
                or verdict.ground not in ('consent', 'existing_customer')
            ) then 'consent_missing' end,
            case when rules.because is not null then 'not_wanted' end,
            case when too_dear.parts is not null then 'costs_more_than_it_returns' end
        ], null) as reasons,
        case
            when cardinality(claimed.own_reasons) = 0 and sent_since.message_id is null
                and held_out.assignment_id is null and rules.because is null
                and too_dear.parts is null
                and verdict.address_hash is not distinct from claimed.address_hash
                then verdict.evidence
            -- of these alone: most have nothing to be added
            else verdict.evidence || jsonb_strip_nulls(
                jsonb_build_object(
                    'occasion_date', claimed.occasion_date,
                    'window_ended', case when 'window_over' = any(claimed.own_reasons)
                        then claimed.window_ends_on end,
                    'address_of', case when verdict.address_hash is distinct from
                        claimed.address_hash then claimed.customer_key end,
                    'earlier_message', coalesce(claimed.first_one, sent_since.message_id),
                    'holdout', held_out.assignment_id,
                    'not_wanted', rules.because, 'economics', too_dear.parts
                )
            )
        end as evidence,
        person.email,
        person.first_name,
        verdict.locale,
        claimed.occasion_date,
        (verdict.since at time zone %(zone)s)::date as since,
        verdict.ground
    from claimed
    inner join ops.eligibility(
        (select array_agg(customer_key order by asked_at) from claimed),
        (select array_agg(silent_until order by asked_at) from claimed),
        %(campaign)s, 'email', %(as_of)s,
        -- the database's clock: a worker's own may be slow, and overlook this morning's objections
        coalesce(%(known_until)s::timestamptz, statement_timestamp()), %(months)s, %(pause)s,
        advertisers => %(advertisers)s::text[]
    ) as verdict using (asked_at)
    left join lateral (
        -- late or corrected orders, and a merge, may give one and the same silence a new name
        select sent.message_id from ops.outreach as sent
        -- most were never written to before
        where claimed.resend_of is null and verdict.n_messages > 1
            and sent.customer_key = any(verdict.members)
            and sent.campaign_id = claimed.campaign_id
            and sent.step = claimed.step
            and sent.channel = claimed.channel
            and sent.message_id <> claimed.message_id
            and sent.state in ('dispatching', 'unknown', 'abandoned', 'accepted',
                'delivered', 'bounced', 'dropped')
            and sent.as_of > claimed.occasion_date
        limit 1
    ) as sent_since on true
    left join lateral ({HELD_OUT.format(of="claimed")}) as held_out on true
    left join lateral (
        select * from ({NOT_WANTED}) as rules where rules.customer_key = claimed.person_key
    ) as rules on true
    left join lateral ({TOO_DEAR_BY_NOW}) as too_dear on true
    left join pii.customers as person on person.customer_key = claimed.customer_key
),

-- of two numbers that became one person after both were planned, one is enough
ranked as (
    select judged.*,
        row_number() over one_person as place,
        first_value(message_id) over one_person as first_message_id
    from judged
    window one_person as (
        partition by person_key, step, cardinality(reasons) = 0 order by position
    )
),

decided as materialized (
    select
        position, customer_key, email, first_name, locale, occasion_date, since, ground,
        case when is_second then array['contacted_since'] else reasons end as reasons,
        case
            when is_second
                then evidence || jsonb_build_object('earlier_message', first_message_id)
            else evidence
        end as evidence
    from ranked
    cross join lateral (select cardinality(reasons) = 0 and place > 1 as is_second) as told
),

kept as (
    insert into ops.verdict
        (snapshot_id, campaign_id, customer_key, channel, step, is_eligible, reasons, evidence)
    select
        %(snapshot)s, %(campaign)s, customer_key, 'email', 'outreach',
        cardinality(reasons) = 0, reasons, evidence
    from decided
)

select position, reasons, email, first_name, locale, occasion_date, since, ground
from decided
order by position
"""  # noqa: S608 - texts of our own


@dataclass(slots=True)
class Checked:
    """A claim with the person it goes to, or with the reasons why it must not be sent."""

    claim: Claim
    recipient: Recipient | None
    reasons: list[str]


def check(
    connection: psycopg.Connection,
    claims: Sequence[Claim],
    campaign: str,
    snapshot_id: int,
    as_of: date,
    config: Settings,
) -> list[Checked]:
    """Asks once more about every claim that is still ours, and reads whom it goes to.

    Until the caller commits, nobody can change these. The verdicts are kept with that commit, as
    the planning keeps its own. What was claimed of the portion of a day that is over is released,
    and waits for another.

    Args:
        connection: As the sender, in the transaction that decides by the answer.
        claims: What is to be sent.
        campaign: Its campaign.
        snapshot_id: The snapshot that this run acts on.
        as_of: Its date.
        config: Settings.
    """
    values = {
        "ids": [c.message_id for c in claims],
        "fences": [c.fence for c in claims],
        "campaign": campaign,
        "snapshot": snapshot_id,
        "as_of": as_of,
        # Facts since 00:00 of as_of played no part in the selection; but whoever withdrew or
        # bought this morning is not written to. Only a replay has to pretend not to know.
        "known_until": config.as_of_at(as_of) if config.replay else None,
        "months": config.consent_unused_months,
        "pause": config.contact_pause_days,
        "advertisers": config.advertiser_names(),
        "zone": config.business_timezone,
    }
    checked = []
    page = f"{config.public_url.rstrip('/')}/winback/unsubscribe/"
    token = tokens()
    for row in connection.execute(_CHECK, values):
        position, reasons, email, name, locale, bought, since, ground = row
        claim = claims[position - 1]
        recipient = None
        if not reasons:
            url = f"{page}{token(claim.message_id)}"
            recipient = Recipient(claim.message_id, email, name, locale, bought, since, url, ground)
        checked.append(Checked(claim, recipient, reasons))
    if len(checked) < len(claims):
        ours = {each.claim.message_id for each in checked}
        ledger.release(connection, [c for c in claims if c.message_id not in ours])
    return checked
