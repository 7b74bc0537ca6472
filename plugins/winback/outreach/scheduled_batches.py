"""Batches that wait at the provider: which there are, what was asked about them, and their end.

Every change of state of `ops.scheduled_batch` and of the messages in it while they wait. In which
order it is asked and committed is `taking_back.py`, when nobody knows `lost_answers.py`, whether
somebody in it may still be written to is `second_check.py`, and what the provider is asked is
`sendgrid_schedule.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from winback.outreach.ledger import Claim

# what the provider may have: nobody knows whether it took an unknown one
WAITING = ("accepted", "unknown")
# the provider keeps no more cancelled ones than these at a time, until their time has come
MOST_BATCHES = 10


class NoMoreMayWait(Exception):
    """The provider keeps as many batches as it lets us take back; more have to wait here."""


@dataclass(frozen=True)
class Slot:
    """Until when the provider is to keep a request, and under which id."""

    batch_id: str
    send_at: datetime


@dataclass(frozen=True)
class Batch:
    """A batch whose time has not come."""

    batch_id: str
    campaign_id: str
    as_of: date
    send_at: datetime


@dataclass(frozen=True)
class Waiting:
    """How many messages of a campaign wait at the provider until when."""

    campaign_id: str
    send_at: datetime
    n_messages: int


def schedule(
    connection: psycopg.Connection, claims: Sequence[Claim], slot: Slot, campaign: str, as_of: date
) -> None:
    """Notes that these messages are to wait; committed with `dispatching`, before the request.

    Args:
        connection: As the sender; the messages are marked as dispatching in it.
        claims: What is in the request.
        slot: Its batch and time; the batch may have been that of a request that was rejected.
        campaign: The campaign.
        as_of: The date of the snapshot that was acted on.

    Raises:
        NoMoreMayWait: As many wait already as can be taken back, or this one is being taken back.
    """
    # one after the other, so that two workers can not both be the last
    connection.execute("select pg_advisory_xact_lock(hashtextextended('ops.scheduled_batch', 1))")
    [(n_batches,)] = connection.execute(
        # a cancelled one counts as well: the provider keeps it until its time
        "select count(*) from ops.scheduled_batch as b where b.send_at > now() and b.batch_id <> %s"
        " and (b.cancelled_at is not null or exists (select 1 from ops.outreach as o"
        "  where o.batch_id = b.batch_id and o.state = any(%s)))",
        (slot.batch_id, ["dispatching", *WAITING]),
    ).fetchall()
    if n_batches >= MOST_BATCHES:
        raise NoMoreMayWait
    is_open = connection.execute(
        "insert into ops.scheduled_batch as b (batch_id, campaign_id, as_of, send_at)"
        " values (%s, %s, %s, %s) on conflict (batch_id) do update set send_at = excluded.send_at"
        " where b.cancel_asked_at is null and b.send_at = excluded.send_at returning 1",
        (slot.batch_id, campaign, as_of, slot.send_at),
    ).fetchone()
    if is_open is None:
        raise NoMoreMayWait
    connection.execute(
        "update ops.outreach set batch_id = %s, send_at = %s where message_id = any(%s)",
        (slot.batch_id, slot.send_at, [each.message_id for each in claims]),
    )


def read_open(connection: psycopg.Connection, until_before: timedelta) -> list[Batch]:
    """Batches with messages that can still be taken back.

    Args:
        connection: As the sender.
        until_before: So long before its time a batch can not be taken back any more.
    """
    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        return cursor.execute(
            "select batch_id, campaign_id, as_of, send_at from ops.scheduled_batch as b"
            " where cancelled_at is null and send_at > now() + %s and exists ("
            "  select 1 from ops.outreach as o"
            "  where o.batch_id = b.batch_id and o.state = any(%s))"
            " order by send_at, batch_id",
            (until_before, list(WAITING)),
        ).fetchall()


def ask_for_campaigns_that_rest(connection: psycopg.Connection) -> None:
    """Notes that whatever waits of a campaign that does not run is to be taken back."""
    connection.execute(
        "update ops.scheduled_batch set cancel_asked_at = now() where batch_id in ("
        "  select b.batch_id from ops.scheduled_batch as b"
        "  inner join ops.campaign as c using (campaign_id)"
        "  where c.state <> 'running' and b.cancel_asked_at is null and b.send_at > now()"
        # in one order, so that two who ask can not wait for each other
        "  order by b.batch_id for no key update of b)"
    )


def ask(connection: psycopg.Connection, batch_ids: Sequence[str]) -> None:
    """Notes that these batches are to be taken back."""
    connection.execute(
        "update ops.scheduled_batch set cancel_asked_at = now() where batch_id in ("
        "  select batch_id from ops.scheduled_batch"
        "  where batch_id = any(%s) and cancel_asked_at is null"
        "  order by batch_id for no key update)",
        (list(batch_ids),),
    )


def read_asked(
    connection: psycopg.Connection, until_before: timedelta, campaign: str | None = None
) -> list[Batch]:
    """Batches that are to be taken back and about which the provider can be asked now.

    None with a request under way: what the provider took of it is not known yet. An asked one stays
    asked whatever becomes of its campaign, since the provider may have heard the question.

    Args:
        connection: As the sender.
        until_before: So long before its time a batch can not be taken back any more.
        campaign: Of this one alone.
    """
    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        return cursor.execute(
            "select batch_id, campaign_id, as_of, send_at from ops.scheduled_batch as b"
            " where cancelled_at is null and cancel_asked_at is not null and send_at > now() + %s"
            " and campaign_id = coalesce(%s, campaign_id)"
            " and not exists (select 1 from ops.outreach as o"
            "  where o.batch_id = b.batch_id and o.state = 'dispatching')"
            " and exists (select 1 from ops.outreach as o"
            "  where o.batch_id = b.batch_id and o.state = any(%s))"
            # the provider takes back a few at a time
            " order by cancel_asked_at, send_at, batch_id",
            (until_before, campaign, list(WAITING)),
        ).fetchall()


def read_confirmed(
    connection: psycopg.Connection, until_before: timedelta, campaign: str | None = None
) -> list[Batch]:
    """Batches of which the provider sends nothing, with messages accepted only after it said so.

    A worker that stood still before its request finds its batch cancelled; the provider takes the
    messages all the same, and drops them when their time has come.
    """
    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        return cursor.execute(
            "select batch_id, campaign_id, as_of, send_at from ops.scheduled_batch as b"
            " where cancelled_at is not null and send_at > now() + %s"
            " and campaign_id = coalesce(%s, campaign_id)"
            " and exists (select 1 from ops.outreach as o"
            "  where o.batch_id = b.batch_id and o.state = 'accepted')"
            " order by send_at, batch_id",
            (until_before, campaign),
        ).fetchall()


def note_problem(connection: psycopg.Connection, batch: Batch, problem: str) -> None:
    """Keeps why the provider did not confirm."""
    connection.execute(
        "update ops.scheduled_batch set problem = %s where batch_id = %s and cancelled_at is null",
        (problem, batch.batch_id),
    )


def confirm(connection: psycopg.Connection, batch: Batch, until_before: timedelta) -> bool:
    """Notes that the provider sends nothing of a batch; the caller moves its messages and commits.

    Returns:
        False when somebody else was quicker, or when the answer came so late that the provider
        promises nothing.
    """
    return (
        connection.execute(
            "update ops.scheduled_batch set cancelled_at = clock_timestamp(), problem = null"
            " where batch_id = %s and cancelled_at is null and send_at > clock_timestamp() + %s"
            " returning 1",
            (batch.batch_id, until_before),
        ).fetchone()
        is not None
    )


def lock_waiting(connection: psycopg.Connection, batch: Batch) -> list[UUID]:
    """The accepted messages of a batch, which nobody else can change until the caller commits."""
    rows = connection.execute(
        "select message_id, state from ops.outreach where batch_id = %s and state = any(%s)"
        # all at once, in the order in which everybody locks
        " order by message_id for no key update",
        (batch.batch_id, list(WAITING)),
    ).fetchall()
    return [message_id for message_id, state in rows if state == "accepted"]


def take_back(
    connection: psycopg.Connection, batch: Batch, reasons: Mapping[UUID, str | None]
) -> None:
    """Moves the messages of a confirmed batch: planned again, or cancelled when there is a reason.

    Whatever said that they were sent is taken back as well. Of an unknown one nobody knows more
    than before, but it is said.

    Args:
        connection: As the sender, in the transaction that confirmed the batch.
        batch: The batch; its messages are locked by `lock_waiting`.
        reasons: Why not to send, by message; None to send anew.
    """
    connection.execute(
        "update ops.outreach as o set reason = own.reason, fence = o.fence + 1,"
        " state = case when own.reason is null then 'planned' else 'cancelled' end,"
        " settled_at = case when own.reason is null then null else now() end,"
        " accepted_at = null, dispatching_at = null, provider_message_id = null,"
        " portion_day = case when own.reason is not null then o.portion_day end"
        " from unnest(%s::uuid[], %s::text[]) as own (message_id, reason)"
        " where o.message_id = own.message_id and o.state = 'accepted'",
        (list(reasons), list(reasons.values())),
    )
    connection.execute(
        "update ops.outreach set reason = reason || '; its batch was cancelled at the provider'"
        " where batch_id = %s and state = 'unknown'"
        " and reason not like '%%; its batch was cancelled at the provider'",
        (batch.batch_id,),
    )


def count_left(
    connection: psycopg.Connection, campaign: str, until_before: timedelta
) -> dict[str, int]:
    """How many messages of a campaign still wait at the provider, by why they do."""
    return dict(
        connection.execute(
            "select case"
            "  when o.state = 'dispatching' then 'their request is under way'"
            "  when b.send_at <= now() + %(limit)s"
            "   then 'they are due within ten minutes, and the provider takes nothing back then'"
            "  else coalesce(b.problem, 'the provider was not asked yet') end,"
            " count(*) from ops.outreach as o inner join ops.scheduled_batch as b using (batch_id)"
            " where o.campaign_id = %(campaign)s and b.cancelled_at is null and b.send_at > now()"
            "  and o.state in ('accepted', 'unknown', 'dispatching') group by 1 order by 1",
            {"campaign": campaign, "limit": until_before},
        ).fetchall()
    )


def read_waiting(connection: psycopg.Connection) -> list[Waiting]:
    """How many accepted messages wait at the provider, by campaign and time."""
    with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        return cursor.execute(
            "select o.campaign_id, o.send_at, count(*) as n_messages from ops.outreach as o"
            " inner join ops.scheduled_batch as b using (batch_id)"
            " where o.state = 'accepted' and b.cancelled_at is null and b.send_at > now()"
            " group by 1, 2 order by 1, 2"
        ).fetchall()
