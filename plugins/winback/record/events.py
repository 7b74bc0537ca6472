"""The step record: what the mail provider told us becomes events, states and suppressions.

The provider's words are translated into a closed vocabulary; what is not in it is counted as
`other`. Batches come in any order and more than once, and states only move forward.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import psycopg

from winback.outreach.ledger import settle_dead_dispatches
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

Kind = Literal[
    "processed", "deferred", "delivered", "bounced", "dropped", "spam_report", "unsubscribed",
    "opened", "clicked", "other",
]  # fmt: skip
VOCABULARY: dict[str, Kind] = {
    "processed": "processed",
    "deferred": "deferred",
    "delivered": "delivered",
    "bounce": "bounced",
    "blocked": "bounced",
    "dropped": "dropped",
    "spamreport": "spam_report",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
    "open": "opened",
    "click": "clicked",
}
# which states an event may end, and the state it leads to
FORWARD: dict[Kind, tuple[str, list[str]]] = {
    "delivered": ("delivered", ["dispatching", "unknown", "accepted"]),
    "dropped": ("dropped", ["dispatching", "unknown", "accepted"]),
    "bounced": ("bounced", ["dispatching", "unknown", "accepted", "delivered"]),
}
# a message that never left proves no more than that; the others concern address or person
SUPPRESSING: dict[Kind, tuple[str, str]] = {
    "bounced": ("address", "bounce"),
    "dropped": ("address", "dropped"),
    "spam_report": ("person", "spam_report"),
    "unsubscribed": ("person", "unsubscribe"),
}


@dataclass(frozen=True)
class Event:
    """One event, without anything personal."""

    event_id: str
    message_id: UUID | None
    kind: Kind
    occurred_at: datetime
    detail: str | None


def read_batch(body: bytes) -> list[Event]:
    """Reads one batch; an entry without id or time is left out of it.

    Raises:
        ValueError: The body is no list of objects.
    """
    entries = json.loads(body)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("the batch is not a list of events")
    return [event for event in map(_event, entries) if event is not None]


def _event(entry: dict[str, Any]) -> Event | None:
    try:
        occurred_at = datetime.fromtimestamp(float(entry["timestamp"]), UTC)
        event_id = str(entry["sg_event_id"])
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None
    try:
        message_id = UUID(str(entry.get("message_id")))
    except ValueError:
        message_id = None
    word = str(entry.get("event"))
    kind = VOCABULARY.get(word, "other")
    detail = str(entry.get("status") or "")[:20] if kind in ("bounced", "dropped") else None
    if kind == "other":
        detail = "".join(c for c in word if c.isalnum() or c == "_")[:40]
    return Event(event_id, message_id, kind, occurred_at, detail or None)


def record() -> Counter[str]:
    """Works through the inbox, batch by batch, and settles what ended workers left behind.

    Returns:
        How many events of each kind were new.
    """
    done: Counter[str] = Counter()
    with warehouse.connect("sender") as connection:
        settle_dead_dispatches(connection)
    while True:
        with warehouse.connect("sender") as connection:
            row = connection.execute(
                "select inbox_id, body from pii.webhook_inbox where processed_at is null"
                " order by inbox_id limit 1 for update skip locked"
            ).fetchone()
            if row is None:
                log.info("events: %s", dict(done))
                return done
            problem, events = None, []
            try:
                events = read_batch(bytes(row[1]))
            except ValueError as error:
                problem = type(error).__name__
            done += apply(connection, events)
            # the batch held addresses; what is needed of it stands in ops.event now
            connection.execute(
                "update pii.webhook_inbox set processed_at = now(), n_events = %s, problem = %s,"
                " body = null where inbox_id = %s",
                (len(events), problem, row[0]),
            )


def apply(connection: psycopg.Connection, events: Sequence[Event]) -> Counter[str]:
    """Stores new events, moves the ledger forward and suppresses; the caller commits."""
    new = connection.execute(
        "insert into ops.event (event_id, message_id, kind, occurred_at, detail)"
        " select e.event_id, o.message_id, e.kind, e.occurred_at, e.detail"
        " from unnest(%s::text[], %s::uuid[], %s::text[], %s::timestamptz[], %s::text[])"
        " as e (event_id, message_id, kind, occurred_at, detail)"
        " left join ops.outreach as o using (message_id)"
        " on conflict do nothing returning message_id, kind",
        (
            [e.event_id for e in events],
            [e.message_id for e in events],
            [e.kind for e in events],
            [e.occurred_at for e in events],
            [e.detail for e in events],
        ),
    ).fetchall()
    messages: dict[Kind, list[UUID]] = {}
    for message_id, kind in new:
        if message_id is not None:
            messages.setdefault(kind, []).append(message_id)
    for kind, (state, from_states) in FORWARD.items():
        connection.execute(
            "update ops.outreach set state = %s, settled_at = now(),"
            " accepted_at = coalesce(accepted_at, now())"
            " where message_id = any(%s) and state = any(%s)",
            (state, messages.get(kind, []), from_states),
        )
    for kind, (scope, reason) in SUPPRESSING.items():
        _suppress(connection, messages.get(kind, []), scope, reason)
    return Counter(kind for _, kind in new)


def _suppress(
    connection: psycopg.Connection, messages: Sequence[UUID], scope: str, reason: str
) -> None:
    if not messages:
        return
    connection.execute(
        "insert into ops.suppression (address_hash, customer_key, scope, reason, message_id)"
        " select address_hash, case when %(scope)s = 'person' then customer_key end, %(scope)s,"
        " %(reason)s, message_id"
        " from ops.outreach where message_id = any(%(ids)s) on conflict do nothing",
        {"scope": scope, "reason": reason, "ids": list(messages)},
    )
    connection.execute(
        "update ops.outreach as o set state = 'cancelled', reason = 'suppressed',"
        " settled_at = now(), fence = o.fence + 1"
        " from ops.outreach as told"
        " where told.message_id = any(%s) and o.state in ('planned', 'claimed')"
        " and (o.address_hash = told.address_hash or (%s = 'person'"
        " and o.customer_key = told.customer_key))",
        (list(messages), scope),
    )
