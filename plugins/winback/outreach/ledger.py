"""The send ledger: every change of state of a planned message, each as one compare-and-set.

planned → claimed → dispatching → accepted | rejected | unknown → delivered | bounced | dropped.
The database refuses any other transition. Rows are planned by `select/selection.py`; events move
them in `record/events.py`; when to do what is decided in `dispatch.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import psycopg

from winback.outreach.message import Recipient
from winback.record.unsubscribe import token
from winback.settings import Settings


@dataclass(frozen=True)
class Claim:
    """A message that this worker alone may send until its lease ends.

    `fence` is the number of the claim: whoever holds an older one can change nothing.
    """

    message_id: UUID
    fence: int


@dataclass(frozen=True)
class Refused:
    """A claimed message that may not be sent after all, with the reasons."""

    claim: Claim
    reasons: list[str]


def claim(
    connection: psycopg.Connection, campaign: str, worker: str, config: Settings
) -> list[Claim]:
    """Takes up to one batch of planned messages, and of claims whose worker is gone.

    Args:
        connection: As the sender; the caller commits.
        campaign: The campaign.
        worker: Who takes them, for people who look.
        config: Batch size and lease.
    """
    rows = connection.execute(
        "update ops.outreach set state = 'claimed', fence = fence + 1, claimed_by = %s,"
        " lease_until = now() + make_interval(secs => %s)"
        " where message_id in ("
        "  select message_id from ops.outreach"
        "  where campaign_id = %s"
        "   and (state = 'planned' or state = 'claimed' and lease_until < now())"
        "  order by planned_at, message_id limit %s for update skip locked)"
        " returning message_id, fence",
        (worker, config.send_lease_seconds, campaign, config.send_batch_size),
    ).fetchall()
    return [Claim(*row) for row in rows]


def check(
    connection: psycopg.Connection,
    claims: Sequence[Claim],
    campaign: str,
    snapshot_id: int,
    as_of: date,
    config: Settings,
) -> tuple[dict[Claim, Recipient], list[Refused]]:
    """Asks once more about every claim, right before the request, and reads whom it goes to.

    Asks the same SQL function as the planning. Who bought, objected or lost the address in the
    meantime is refused; the verdict is kept.

    Args:
        connection: As the sender.
        claims: What is to be sent.
        campaign: Its campaign.
        snapshot_id: The snapshot that this run acts on.
        as_of: Its date.
        config: Settings.

    Returns:
        Recipients by claim, and the refused.
    """
    values = {
        "ids": [c.message_id for c in claims],
        "fences": [c.fence for c in claims],
        "campaign": campaign,
        "snapshot": snapshot_id,
        "as_of": as_of,
        "known_until": config.as_of_at(as_of),
        "months": config.consent_unused_months,
        "zone": config.business_timezone,
    }
    rows = connection.execute(_CHECK, values).fetchall()
    connection.execute(
        "insert into ops.verdict"
        " (snapshot_id, campaign_id, customer_key, channel, step, is_eligible, reasons, evidence)"
        " select %s, %s, v.customer_key, 'email', 'outreach', v.is_eligible,"
        " string_to_array(v.reasons, ','), v.evidence::jsonb"
        " from unnest(%s::text[], %s::bool[], %s::text[], %s::text[])"
        " as v (customer_key, is_eligible, reasons, evidence)",
        (
            snapshot_id,
            campaign,
            [r[2] for r in rows],
            [r[3] for r in rows],
            [",".join(r[4]) for r in rows],
            [json.dumps(r[5]) for r in rows],
        ),
    )
    recipients: dict[Claim, Recipient] = {}
    refused = []
    for message_id, fence, _, is_eligible, reasons, _, email, name, locale, bought, agreed in rows:
        own = Claim(message_id, fence)
        if is_eligible:
            url = f"{config.public_url.rstrip('/')}/winback/unsubscribe/{token(message_id)}"
            recipients[own] = Recipient(message_id, email, name, locale, bought, agreed, url)
        else:
            refused.append(Refused(own, reasons))
    return recipients, refused


_CHECK = """
with claimed as (
    select
        o.message_id, o.fence, o.customer_key, o.address_hash, a.occasion_date,
        -- a purchase at the very instant at which the window starts is a return as well
        a.window_starts_at - interval '1 microsecond' as silent_until,
        row_number() over (order by o.message_id) as asked_at
    from ops.outreach as o
    inner join unnest(%(ids)s::uuid[], %(fences)s::bigint[]) as own (message_id, fence)
        using (message_id, fence)
    inner join ops.assignment as a
        on a.campaign_id = o.campaign_id and a.lapse_id = o.lapse_id and a.arm = 'treated'
    where o.state = 'claimed'
),

verdict as (
    select
        asked_at, evidence, address_hash, is_eligible, reasons
    from ops.eligibility(
        (select array_agg(customer_key order by asked_at) from claimed),
        (select array_agg(silent_until order by asked_at) from claimed),
        %(campaign)s, 'email', %(as_of)s, %(known_until)s, %(months)s
    )
)

select
    claimed.message_id,
    claimed.fence,
    claimed.customer_key,
    verdict.is_eligible and verdict.address_hash = claimed.address_hash and person.email is not null,
    verdict.reasons || array_remove(array[
        case when verdict.address_hash is distinct from claimed.address_hash
            then 'address_changed' end], null),
    verdict.evidence,
    person.email,
    person.first_name,
    customers.locale,
    claimed.occasion_date,
    (consent.granted_at at time zone %(zone)s)::date
from claimed
inner join verdict using (asked_at)
left join pii.customers as person using (customer_key)
left join raw.customers as customers using (customer_key)
left join raw.consents as consent on consent.consent_id = verdict.evidence ->> 'consent'
"""


def cancel(connection: psycopg.Connection, refused: Sequence[Refused]) -> None:
    """Ends claims that may not be sent, with the reason."""
    _move(
        connection,
        [r.claim for r in refused],
        "claimed",
        "cancelled",
        [", ".join(r.reasons) for r in refused],
    )


def mark_dispatching(
    connection: psycopg.Connection, claims: Sequence[Claim], config: Settings
) -> list[Claim]:
    """Commits that a request is about to leave; from here on nothing is sent again by itself.

    Returns:
        The claims that are still ours; only these may be in the request.
    """
    rows = connection.execute(
        "update ops.outreach as o set state = 'dispatching', dispatching_at = now(),"
        " lease_until = now() + make_interval(secs => %s)"
        " from unnest(%s::uuid[], %s::bigint[]) as own (message_id, fence)"
        " where o.message_id = own.message_id and o.fence = own.fence and o.state = 'claimed'"
        " and o.lease_until > now()"
        " returning o.message_id, o.fence",
        (
            config.send_timeout_seconds + config.send_lease_seconds,
            [c.message_id for c in claims],
            [c.fence for c in claims],
        ),
    ).fetchall()
    return [Claim(*row) for row in rows]


def accepted(
    connection: psycopg.Connection, claims: Sequence[Claim], provider_message_id: str
) -> None:
    """The provider took these messages."""
    connection.execute(
        "update ops.outreach as o set provider_message_id = %s,"
        " accepted_at = coalesce(o.accepted_at, now()),"
        # an event may have been quicker than our own commit
        " state = case when o.state in ('dispatching', 'unknown') then 'accepted' else o.state end"
        " from unnest(%s::uuid[], %s::bigint[]) as own (message_id, fence)"
        " where o.message_id = own.message_id and o.fence = own.fence"
        " and o.state in ('dispatching', 'unknown', 'accepted', 'delivered', 'bounced', 'dropped')",
        (provider_message_id, [c.message_id for c in claims], [c.fence for c in claims]),
    )


def back_to_planned(connection: psycopg.Connection, claims: Sequence[Claim], reason: str) -> None:
    """Nothing left this machine, or the provider took nothing: these may be sent again."""
    _move(connection, claims, "dispatching", "planned", [reason] * len(claims))


def rejected(connection: psycopg.Connection, claims: Sequence[Claim], reason: str) -> None:
    """The provider refused these messages for what they are."""
    _move(connection, claims, "dispatching", "rejected", [reason] * len(claims))


def unknown(connection: psycopg.Connection, claims: Sequence[Claim], reason: str) -> None:
    """Nobody knows whether the provider took these; an event or a person decides."""
    _move(connection, claims, "dispatching", "unknown", [reason] * len(claims))


def settle_dead_dispatches(connection: psycopg.Connection) -> int:
    """Makes unknown what a worker was sending when it died; returns how many."""
    return connection.execute(
        "update ops.outreach set state = 'unknown', settled_at = now(),"
        " reason = 'the worker ended while the request was under way'"
        " where state = 'dispatching' and lease_until < now()"
    ).rowcount


def stop_campaign(connection: psycopg.Connection, campaign: str, reason: str) -> None:
    """Stops a campaign until a person starts it again."""
    connection.execute(
        "update ops.campaign set state = 'stopped', state_reason = %s, updated_at = now()"
        " where campaign_id = %s",
        (reason, campaign),
    )


def _move(
    connection: psycopg.Connection,
    claims: Sequence[Claim],
    old: str,
    new: str,
    reasons: Sequence[str],
) -> None:
    connection.execute(
        "update ops.outreach as o set state = %s, reason = own.reason, settled_at = now()"
        " from unnest(%s::uuid[], %s::bigint[], %s::text[]) as own (message_id, fence, reason)"
        " where o.message_id = own.message_id and o.fence = own.fence and o.state = %s",
        (new, [c.message_id for c in claims], [c.fence for c in claims], list(reasons), old),
    )
