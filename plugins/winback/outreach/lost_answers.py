"""Cancellations that the provider may have heard without our hearing its answer.

That a question leaves is on record before it does, and stays there until its answer is known. Where
it is not by the time from which nothing can be taken back, nobody knows whether the messages will
be sent. The provider's list does not say since when a batch is cancelled, and a cancellation in the
last ten minutes may come to nothing: so nothing is planned anew by it. When to ask is
`taking_back.py`, how `sendgrid_schedule.py`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from winback.outreach import delivery_trouble, sendgrid_schedule
from winback.outreach.kept_connection import KeptConnection
from winback.outreach.scheduled_batches import Batch
from winback.outreach.sendgrid_transport import SendGridTransport

log = logging.getLogger(__name__)

# whoever passes a question on gives it up sooner than that
HEARD_WITHIN = timedelta(minutes=2)

# What was processed when its time had come is known to have been sent.
_NOT_SENT_YET = """
o.state = 'accepted' and not exists (
    select 1 from ops.event as e
    where e.message_id = o.message_id and e.kind in ('processed', 'deferred')
        and e.occurred_at >= o.send_at
)
"""

_UNSETTLED = f"""
select
    b.batch_id, b.campaign_id, b.question_left_at, b.cancelled_at is not null as is_cancelled,
    b.send_at <= now() as is_due, b.question_left_at < now() - %(heard_within)s as is_heard_or_lost
from ops.scheduled_batch as b
where b.send_at <= now() + %(limit)s
    and (b.question_left_at is not null or b.cancelled_at is not null)
    and not exists (
        select 1 from ops.outreach as o
        where o.batch_id = b.batch_id and o.state = 'dispatching'
    )
    and exists (
        select 1 from ops.outreach as o where o.batch_id = b.batch_id and {_NOT_SENT_YET}
    )
order by b.send_at, b.batch_id
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class Question:
    """The wish to cancel a batch, on its way; `earlier_left_at` is that of one without answer."""

    batch: Batch
    left_at: datetime
    earlier_left_at: datetime | None


@dataclass(frozen=True)
class _Unsettled:
    batch_id: str
    campaign_id: str
    question_left_at: datetime | None
    is_cancelled: bool
    is_due: bool
    is_heard_or_lost: bool | None


def note_question(
    connection: psycopg.Connection, batch: Batch, until_before: timedelta
) -> Question | None:
    """Notes that the provider is about to be asked; the caller commits before it asks.

    Args:
        connection: As the sender.
        batch: A batch that is to be taken back.
        until_before: So long before its time a batch can not be taken back any more.

    Returns:
        None when it must not be asked: it is too late, or somebody was quicker.
    """
    row = connection.execute(
        "update ops.scheduled_batch as b set question_left_at = clock_timestamp() from ("
        "  select batch_id, question_left_at from ops.scheduled_batch where batch_id = %s"
        "  for no key update) as earlier"
        " where b.batch_id = earlier.batch_id and b.cancelled_at is null"
        "  and b.send_at > clock_timestamp() + %s"
        " returning b.question_left_at, earlier.question_left_at",
        (batch.batch_id, until_before),
    ).fetchone()
    return None if row is None else Question(batch, *row)


def note_refusal(connection: psycopg.Connection, question: Question) -> None:
    """The provider did not do what it was asked: nothing is open but what was before."""
    connection.execute(
        "update ops.scheduled_batch set question_left_at = %s"
        " where batch_id = %s and question_left_at = %s and cancelled_at is null",
        (question.earlier_left_at, question.batch.batch_id, question.left_at),
    )


def note_no_answer(connection: psycopg.Connection, question: Question) -> None:
    """Nobody knows whether the provider did it; also of a worker that stood still meanwhile."""
    connection.execute(
        "update ops.scheduled_batch"
        " set question_left_at = coalesce(question_left_at, clock_timestamp())"
        " where batch_id = %s and cancelled_at is null",
        (question.batch.batch_id,),
    )


def settle(
    kept: KeptConnection,
    transport: SendGridTransport,
    until_before: timedelta,
    send_timeout: timedelta,
) -> int:
    """Makes unknown what the provider may have cancelled, once it can not be asked to any more.

    Where the provider says, before the time has come, that it has heard nothing, they stay
    accepted. An event settles an unknown one; without one a person decides.

    Args:
        kept: As the sender.
        transport: To the provider.
        until_before: So long before its time a batch can not be taken back any more.
        send_timeout: No answer for so long is none.

    Returns:
        How many messages became unknown.
    """
    with (
        kept.transaction() as connection,
        connection.cursor(row_factory=class_row(_Unsettled)) as cursor,
    ):
        unsettled = cursor.execute(
            _UNSETTLED, {"limit": until_before, "heard_within": HEARD_WITHIN + send_timeout}
        ).fetchall()
    n_unknown = 0
    for batch in unsettled:
        reason = "handed in under a batch that was cancelled"
        if not batch.is_cancelled:
            listed = sendgrid_schedule.look_up(transport, batch.batch_id)
            if listed == "" and not batch.is_due:
                if batch.is_heard_or_lost:
                    with kept.transaction() as connection:
                        _note_not_heard(connection, batch)
                continue
            if listed is None and not batch.is_due:
                # the next run may get an answer
                continue
            reason = _reason(listed)
        with kept.transaction() as connection:
            n = _to_unknown(connection, batch, reason)
        log.warning("%s: %s messages are unknown: %s", batch.campaign_id, n, reason)
        n_unknown += n
    return n_unknown


def _reason(listed: str | None) -> str:
    asked = "it was to be taken back from the provider and no answer came"
    if listed:
        return f"{asked}; the provider lists its batch as {listed}, and not since when"
    return asked if listed is None else f"{asked}; the provider does not list its batch any more"


def _note_not_heard(connection: psycopg.Connection, batch: _Unsettled) -> None:
    connection.execute(
        "update ops.scheduled_batch set question_left_at = null,"
        " problem = 'the provider did not hear of it in time, and sends it'"
        " where batch_id = %s and question_left_at = %s and cancelled_at is null"
        # An answer from after its time says nothing: by then the provider may list it no more.
        " and send_at > clock_timestamp()",
        (batch.batch_id, batch.question_left_at),
    )


def _to_unknown(connection: psycopg.Connection, batch: _Unsettled, reason: str) -> int:
    rows = connection.execute(
        "select o.message_id from ops.outreach as o"  # noqa: S608 - a constant
        f" where o.batch_id = %s and {_NOT_SENT_YET}"
        # in the order in which everybody locks
        " order by o.message_id for no key update",
        (batch.batch_id,),
    ).fetchall()
    ids: list[UUID] = [message_id for (message_id,) in rows]
    delivery_trouble.uncount(connection, ids)
    connection.execute(
        # not accepted any more: a resend that a person orders must not be held back by it
        "update ops.outreach set state = 'unknown', settled_at = now(), accepted_at = null,"
        " reason = %s where message_id = any(%s)",
        (reason, ids),
    )
    return len(ids)
