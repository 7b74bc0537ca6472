"""The step record: what the mail provider told us becomes events, states and suppressions.

Who objected also leaves the lists that were written before.

The inbox is worked through by the step record, and by the step outreach before it begins and before
each request.

Batches come in any order and more than once, and states only move forward. How an event reads is
`vocabulary.py`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from uuid import UUID

import psycopg

from winback.errors import ServerError
from winback.outreach import delivery_trouble
from winback.outreach.ended_workers import settle_dead_dispatches
from winback.outreach.ledger import cancel_rest_of_cancelled_campaigns
from winback.outreach.lists import refresh_lists
from winback.outreach.taking_back import look_again
from winback.outreach.warning_list import refresh_warning_list
from winback.record import opt_in_events, suppression
from winback.record.vocabulary import Event, Kind, read_batch
from winback.settings import settings
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

Transaction = Callable[[], AbstractContextManager[psycopg.Connection]]
_NEW_CONNECTION: Transaction = partial(warehouse.connect, "sender")

_NEXT_BATCH = """
select inbox_id, body, received_at from pii.webhook_inbox
where processed_at is null order by inbox_id limit 1 for update skip locked
"""
_UNREAD = "select 1 from pii.webhook_inbox where processed_at is null"
LONGEST_WAIT = "60s"

# Which kinds lead to a state, and which states they end; what was opened was delivered before, and
# what a person gave up may have arrived after all.
FORWARD: tuple[tuple[str, tuple[Kind, ...], list[str]], ...] = (
    ("accepted", ("processed", "deferred"), ["dispatching", "unknown"]),
    (
        "delivered",
        ("delivered", "opened", "clicked", "spam_report", "unsubscribed"),
        ["dispatching", "unknown", "abandoned", "accepted"],
    ),
    ("dropped", ("dropped",), ["dispatching", "unknown", "abandoned", "accepted"]),
    (
        "bounced",
        ("bounced", "blocked"),
        ["dispatching", "unknown", "abandoned", "accepted", "delivered"],
    ),
)


def record() -> Counter[str]:
    """Works through the inbox, settles what ended workers left behind, takes back what waits for
    people who must not get it any more, and refreshes the lists.

    A batch that can not be read keeps its body and says why in `problem`; it never holds up the
    others.

    Returns:
        How many events of each kind were new.
    """
    with warehouse.connect("sender") as connection:
        settle_dead_dispatches(connection)
    with warehouse.connect("sender") as connection:
        cancel_rest_of_cancelled_campaigns(connection)
    done = work_through_inbox()
    log.info("events: %s", dict(done))
    # also for what the unsubscribe page, a new order or another consent brought about
    if taken_back := look_again():
        log.warning("taken back from the provider before their time: %s", dict(taken_back))
    # after every run, since the unsubscribe page suppresses without an event
    folder = settings().home / "lists"
    refresh_lists(folder)
    refresh_warning_list(folder)
    return done


def work_through_inbox(transaction: Transaction = _NEW_CONNECTION) -> Counter[str]:
    """Turns what the mail provider told into events, a transaction for each batch.

    What another worker is reading just then is waited for: it may be an objection.

    Args:
        transaction: Opens one as the sender; a worker has a connection already.

    Returns:
        How many events of each kind were new.

    Raises:
        ServerError: Another worker does not come to an end with a batch.
    """
    done: Counter[str] = Counter()
    while True:
        with transaction() as connection:
            row = connection.execute(_NEXT_BATCH).fetchone()
            if row is None:
                if _is_left_unread_by_others(connection):
                    continue
                return done
            new = _process(connection, *row)
        if new["bounced"] or new["spam_report"]:
            with transaction() as connection:
                delivery_trouble.stop_if_needed(connection, settings())
        done += new


def _is_left_unread_by_others(connection: psycopg.Connection) -> bool:
    if connection.execute(f"{_UNREAD} limit 1").fetchone() is None:
        return False
    connection.execute("select set_config('lock_timeout', %s, true)", (LONGEST_WAIT,))
    try:
        return connection.execute(f"{_UNREAD} for key share").fetchone() is not None
    except psycopg.errors.LockNotAvailable as error:
        raise ServerError(
            "another worker has held what the mail provider told for a minute, and it may be an"
            " objection: nothing is sent until it is read; look for a worker that stands still"
        ) from error


def _process(
    connection: psycopg.Connection, inbox_id: int, body: bytes | None, received_at: datetime
) -> Counter[str]:
    new: Counter[str] = Counter()
    n_events, problem = 0, None
    try:
        events, n_unread = read_batch(bytes(body or b""), received_at)
        with connection.transaction():  # a savepoint: a batch that breaks is still noted
            new = apply(connection, events)
        n_events = len(events)
        if n_unread:
            problem = f"{n_unread} entries are no events, or object for an address that is no text"
    except (ValueError, psycopg.DataError, psycopg.IntegrityError) as error:
        # the error's own text could quote an address
        problem = f"the batch can not be read: {type(error).__name__}"
    if problem:
        log.error("webhook batch %s: %s; its body is kept in pii.webhook_inbox", inbox_id, problem)
    connection.execute(
        # a batch holds addresses; once all of it stands in ops.event it is not needed any more
        "update pii.webhook_inbox set processed_at = now(), n_events = %s, problem = %s,"
        " body = case when %s then null else body end where inbox_id = %s",
        (n_events, problem, problem is None, inbox_id),
    )
    return new


def apply(connection: psycopg.Connection, events: Sequence[Event]) -> Counter[str]:
    """Stores new events, moves the ledger forward and suppresses; the caller commits."""
    by_id = {event.event_id: event for event in events}
    new = connection.execute(
        "insert into ops.event"
        " (event_id, message_id, opt_in_request_id, kind, occurred_at, detail)"
        " select e.event_id, o.message_id, r.request_id, e.kind, e.occurred_at, e.detail"
        " from unnest(%s::text[], %s::uuid[], %s::text[], %s::timestamptz[], %s::text[])"
        " as e (event_id, message_id, kind, occurred_at, detail)"
        " left join ops.outreach as o using (message_id)"
        " left join ops.opt_in_request as r on r.request_id = e.message_id"
        # in one order, so that two batches with the same events can not wait for each other
        " order by e.event_id on conflict do nothing"
        " returning event_id, message_id, opt_in_request_id",
        (
            list(by_id),
            [e.message_id for e in by_id.values()],
            [e.kind for e in by_id.values()],
            [e.occurred_at for e in by_id.values()],
            [e.detail for e in by_id.values()],
        ),
    ).fetchall()
    ours = [(by_id[event_id], found) for event_id, found, _ in new if found is not None]
    asked = [(by_id[event_id], found) for event_id, _, found in new if found is not None]
    others = [by_id[event_id] for event_id, *found in new if found == [None, None]]
    # whose message is nobody's since they were erased can only be found by their address
    nobodys = suppression.nobodys(connection, [found for _, found in ours])
    others += [event for event, found in ours if found in nobodys]
    refused, objectors = opt_in_events.refused(connection, asked), _objectors(others)
    # all that is changed below, whichever way it is found
    suppression.lock(
        connection,
        [message_id for _, message_id in ours],
        [each for found in (refused, objectors) for hashes in found.values() for each in hashes],
    )
    if any(event.suppresses for event in by_id.values()):
        suppression.lock_for_all(connection)
    taken: set[UUID] = set()
    for state, kinds, from_states in FORWARD:
        moved = connection.execute(
            "update ops.outreach set state = %s, accepted_at = coalesce(accepted_at, now()),"
            " reason = null, settled_at = case when %s then settled_at else now() end"
            " where message_id = any(%s) and state = any(%s)"
            " returning message_id, accepted_at = now()",
            (
                state,
                state == "accepted",
                [message_id for event, message_id in ours if event.kind in kinds],
                from_states,
            ),
        ).fetchall()
        taken |= {message_id for message_id, is_new in moved if is_new}
    connection.execute(
        # taken, and perhaps still on its way: enough to hold back a resend
        "update ops.outreach set accepted_at = coalesce(accepted_at, now())"
        " where message_id = any(%s) and state = 'abandoned'",
        ([message_id for event, message_id in ours if event.kind in FORWARD[0][1]],),
    )
    delivery_trouble.count_events(
        connection,
        taken,
        {message_id for event, message_id in ours if event.kind == "bounced"},
        {message_id for event, message_id in ours if event.kind == "spam_report"},
    )
    opt_in_events.apply(connection, asked)
    for reason, hashes in sorted(refused.items()):
        suppression.suppress_addresses(connection, hashes, reason)
    _suppress(connection, ours)
    for reason, hashes in sorted(objectors.items()):
        suppression.suppress_people(connection, hashes, reason)
    return Counter(by_id[event_id].kind for event_id, *_ in new)


def _suppress(connection: psycopg.Connection, ours: Sequence[tuple[Event, UUID]]) -> None:
    messages: dict[tuple[suppression.Scope, str], list[UUID]] = {}
    for event, message_id in ours:
        if event.suppresses is not None:
            messages.setdefault(event.suppresses, []).append(message_id)
    for (scope, reason), message_ids in sorted(messages.items()):
        suppression.suppress(connection, message_ids, scope, reason)


def _objectors(others: Sequence[Event]) -> dict[str, list[str]]:
    """Who objects to another mailing of the same sender, or to one that the ledger lost, objects:
    the hashes of their addresses, by reason."""
    found: dict[str, list[str]] = {}
    for event in others:
        if event.suppresses is not None and event.objector is not None:
            found.setdefault(event.suppresses[1], []).append(event.objector)
    return found
