"""Messages nobody knows the fate of: which there are, and what a person may decide about them.

They are never sent again by themselves. The provider's event settles them (`record/events.py`);
where none comes, a person abandons them or orders a resend: a new row of the ledger, the one
exception to at most once per key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from winback.outreach.decisions import Decision, NotDecided, keep
from winback.outreach.ended_workers import settle_dead_dispatches

# the provider's events come within minutes; after a day there will be none
WAITS_FOR_EVENTS_HOURS = 24


@dataclass(frozen=True)
class UnknownMessage:
    """A message that may or may not have been taken; nothing in it is personal.

    Attributes:
        message_id: Its id.
        campaign_id: Its campaign.
        step: Its step.
        channel: Its channel.
        since: When its request left.
        reason: Why nobody knows.
        n_hours: How long it has been open.
        is_for_a_person: No event came in time: somebody has to decide.
    """

    message_id: UUID
    campaign_id: str
    step: int
    channel: str
    since: datetime
    reason: str | None
    n_hours: float
    is_for_a_person: bool


def read_unknown(connection: psycopg.Connection) -> list[UnknownMessage]:
    """All of them, the oldest first.

    Args:
        connection: As the sender or the web app.
    """
    with connection.cursor(row_factory=class_row(UnknownMessage)) as cursor:
        return cursor.execute(
            "select message_id, campaign_id, step, channel, dispatching_at as since, reason,"
            " (extract(epoch from now() - dispatching_at) / 3600)::float8 as n_hours,"
            # of one that waited at the provider, events can come only after its time
            " now() - coalesce(send_at, dispatching_at) >= make_interval(hours => %s)"
            "  as is_for_a_person"
            " from ops.outreach where state = 'unknown' order by dispatching_at, message_id",
            (WAITS_FOR_EVENTS_HOURS,),
        ).fetchall()


@dataclass(frozen=True)
class UnknownRequest:
    """A mail that asked for a consent and may or may not have been taken.

    Nobody decides about it: an event settles it, and once `opt_in_pause_days` are over the person
    may be asked anew.

    Attributes:
        request_id: Its id.
        purpose: What it asked a consent for.
        since: When its request left.
        reason: Why nobody knows.
        n_hours: How long it has been open.
    """

    request_id: UUID
    purpose: str
    since: datetime
    reason: str
    n_hours: float


def read_unknown_requests(connection: psycopg.Connection) -> list[UnknownRequest]:
    """All of them, the oldest first; also those whose sender ended before it knew.

    Args:
        connection: As the sender or the web app.
    """
    with connection.cursor(row_factory=class_row(UnknownRequest)) as cursor:
        return cursor.execute(
            "select request_id, purpose, requested_at as since,"
            " coalesce(reason, 'its sender ended before the answer') as reason,"
            " (extract(epoch from now() - requested_at) / 3600)::float8 as n_hours"
            " from ops.opt_in_request"
            # an answer is cut off long before
            " where state = 'unknown'"
            "  or state = 'dispatching' and requested_at < now() - interval '10 minutes'"
            " order by requested_at, request_id"
        ).fetchall()


def resend(
    connection: psycopg.Connection, message_ids: Sequence[UUID], decision: Decision
) -> dict[UUID, UUID]:
    """Plans these messages anew; the caller commits.

    The new ones pass the last check like everything else: whoever objected or bought since, and
    whose first message turned up after all, is not written to.

    Args:
        connection: As the sender.
        message_ids: Unknown ones; all or none are planned.
        decision: `resend`.

    Returns:
        The new message of each.

    Raises:
        NotDecided: One is not unknown, or may wait at the provider, or its campaign is cancelled.
    """
    campaigns = _lock_unknown(connection, message_ids)
    cancelled = connection.execute(
        "select min(campaign_id) from ops.campaign"
        " where state = 'cancelled' and campaign_id = any(%s)",
        (list(campaigns.values()),),
    ).fetchone()
    if cancelled and cancelled[0]:
        raise NotDecided(f"campaign {cancelled[0]} is cancelled for good: abandon its messages")
    rows = connection.execute(
        "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template, is_lapse_open, resend_of, likely_shape,"
        " is_dormant)"
        " select o.campaign_id, o.lapse_id, o.step, o.channel, o.customer_key, o.address_hash,"
        " newest.snapshot_id, newest.as_of, o.template, o.is_lapse_open, o.message_id,"
        " o.likely_shape, o.is_dormant"
        " from ops.outreach as o cross join ops.newest_snapshot as newest"
        " where o.message_id = any(%s) returning resend_of, message_id",
        (list(message_ids),),
    ).fetchall()
    new: dict[UUID, UUID] = dict(rows)
    _abandon(connection, list(campaigns))
    for message_id, campaign in campaigns.items():
        keep(connection, decision, campaign, message_id, new[message_id])
    return new


def abandon(
    connection: psycopg.Connection, message_ids: Sequence[UUID], decision: Decision
) -> None:
    """Gives these messages up: nobody waits for their fate any more; the caller commits.

    Args:
        connection: As the sender.
        message_ids: Unknown ones; all or none are given up.
        decision: `abandon`.

    Raises:
        NotDecided: One is not unknown, or may wait at the provider.
    """
    campaigns = _lock_unknown(connection, message_ids)
    _abandon(connection, list(campaigns))
    for message_id, campaign in campaigns.items():
        keep(connection, decision, campaign, message_id)


def _abandon(connection: psycopg.Connection, message_ids: list[UUID]) -> None:
    # the reason stays what it was; why somebody decided so stands in ops.outreach_decision
    connection.execute(
        "update ops.outreach set state = 'abandoned', settled_at = now()"
        " where message_id = any(%s)",
        (message_ids,),
    )


def _lock_unknown(connection: psycopg.Connection, message_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The campaign of each, once nobody else can change them and all are unknown."""
    connection.execute(
        "select 1 from ops.outreach where message_id = any(%s)"
        " order by message_id for no key update",
        (list(message_ids),),
    )
    settle_dead_dispatches(connection, among=message_ids)
    rows = connection.execute(
        "select o.message_id, o.campaign_id, o.state, b.send_at"
        " from ops.outreach as o left join ops.scheduled_batch as b on b.batch_id = o.batch_id"
        "  and b.cancelled_at is null and b.send_at > now()"
        " where o.message_id = any(%s) order by o.message_id",
        (list(message_ids),),
    ).fetchall()
    found = {message_id: told for message_id, _, *told in rows}
    for message_id in message_ids:
        if message_id not in found:
            raise NotDecided(f"there is no message {message_id}: ./winback outreach unknown")
        state, waits_until = found[message_id]
        if state != "unknown":
            raise NotDecided(
                f"message {message_id} is {state}, and only an unknown one is decided"
                " about: nothing was changed; see ./winback outreach unknown"
            )
        if waits_until is not None:
            # given up, it would not be taken back any more when somebody objects
            raise NotDecided(
                f"message {message_id} may wait at the provider until"
                f" {waits_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC: nothing was changed; decide"
                " then, or take it back now with ./winback outreach pause"
            )
    return {message_id: campaign for message_id, campaign, *_ in rows}
