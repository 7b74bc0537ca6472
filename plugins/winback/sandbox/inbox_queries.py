"""What the inbox page and `/sandbox/counts` ask the journal. Reads only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from winback.sandbox.journal import HELD, Journal
from winback.sandbox.rendering import Rendered, render

PAGE_SIZE = 50
_MATCHES = (
    " where (?1 = '' or state = ?1) and (?2 = '%%' or address like ?2 escape '\\' "
    "or subject like ?2 escape '\\' or categories like ?2 escape '\\' "
    "or message_id like ?2 escape '\\')"
)
_HOW_MANY = f"select count(*) from recipient {_MATCHES}"  # noqa: S608 - constants only
_ONE_PAGE = f"select * from recipient {_MATCHES} order by id desc limit ?3 offset ?4"  # noqa: S608
_COUNTS = (
    "select (select count(*) from request) as requests, "  # noqa: S608
    "(select count(*) from recipient) as accepted, "
    "(select count(distinct message_id) from recipient) as distinct_keys, "
    "(select coalesce(max(n), 0) from (select count(*) as n from recipient "
    " where message_id is not null and request_number not in ("
    "  select s.request_number from scheduled s join batch b on b.batch_id = s.batch_id"
    "  where b.status = 'cancel') group by message_id)) as max_per_key, "
    "(select count(*) from event where is_posted and event <> 'one_click') as events_posted, "
    "(select count(*) from recipient where answered_at is null "
    f" and request_number not in ({HELD})) as events_pending, "
    "(select count(*) from recipient where answered_at is null "
    f" and request_number in ({HELD})) as held, "
    "(select count(*) from event where not is_posted) as events_failed, "
    "(select count(*) from event where is_posted and event = 'one_click') as unsubscribed, "
    "(select count(*) from request where fault is not null) as faults_met"
)


@dataclass(frozen=True)
class Line:
    """A message as the list shows it."""

    id: int
    address: str
    subject: str
    categories: str
    state: str
    received_at: str


@dataclass(frozen=True)
class Page:
    """One page of the list: its lines, how many messages match in all, which page of how many."""

    lines: list[Line]
    total: int
    number: int
    last: int


@dataclass(frozen=True)
class Opened:
    """A message as its own page shows it; events are (name, time, posted, JSON)."""

    line: Line
    message_id: str | None
    sg_message_id: str
    request_number: int
    send_at: str | None
    batch_id: str | None
    headers: dict[str, str]
    rendered: Rendered
    events: list[tuple[str, str, bool, str]]


def counts(journal: Journal) -> dict[str, int]:
    """The figures of `/sandbox/counts`.

    `requests` counts every send request, refused ones included; `accepted` recipients;
    `distinct` keys and `max_per_key` copies of the most repeated one that are not cancelled;
    `events_pending` recipients that still wait for their events, and `held` those that wait for
    their time or were cancelled before it; `events_failed` events that the webhook never took;
    `unsubscribed` one-click requests that were taken; `faults_met` requests that met a fault.
    """
    row = journal.read(_COUNTS, (journal.now(), journal.now()))[0]
    figures = {name: int(row[name]) for name in row.keys()}  # noqa: SIM118 (a Row iterates values)
    figures["distinct"] = figures.pop("distinct_keys")
    return figures


def states(journal: Journal) -> dict[str, int]:
    """How many messages are in each state."""
    rows = journal.read("select state, count(*) from recipient group by state order by 2 desc")
    return {row[0]: row[1] for row in rows}


def page(journal: Journal, text: str, state: str, number: int) -> Page:
    """One page of messages, newest first.

    Args:
        journal: The log.
        text: Part of an address, subject, category or key; empty for all.
        state: A state to filter by; empty for all.
        number: The page, from 1; the last one when there are fewer.
    """
    pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    total = int(journal.read(_HOW_MANY, (state, pattern))[0][0])
    last = max(1, -(-total // PAGE_SIZE))
    number = min(number, last)
    rows = journal.read(_ONE_PAGE, (state, pattern, PAGE_SIZE, (number - 1) * PAGE_SIZE))
    return Page([_line(row) for row in rows], total, number, last)


def opened(journal: Journal, recipient_id: int) -> Opened | None:
    """One message, put together from template and personalization; None if there is none."""
    rows = journal.read(
        "select r.*, q.body, s.send_at, s.batch_id from recipient r "
        "join request q on q.number = r.request_number "
        "left join scheduled s on s.request_number = r.request_number where r.id = ?",
        (recipient_id,),
    )
    if not rows:
        return None
    row = rows[0]
    body = json.loads(row["body"])
    version = journal.template_version(body.get("template_id"))
    events = journal.read(
        "select event, occurred_at, is_posted, payload from event where recipient_id = ? "
        "order by id",
        (recipient_id,),
    )
    return Opened(
        line=_line(row),
        message_id=row["message_id"],
        sg_message_id=row["sg_message_id"],
        request_number=row["request_number"],
        send_at=_utc(row["send_at"]) if row["send_at"] else None,
        batch_id=row["batch_id"],
        headers=json.loads(row["headers"]),
        rendered=render(body, row["position"], version),
        events=[
            (e["event"], _utc(e["occurred_at"]), bool(e["is_posted"]), _indented(e["payload"]))
            for e in events
        ],
    )


def _line(row: Any) -> Line:
    return Line(
        id=row["id"],
        address=row["address"],
        subject=row["subject"],
        categories=", ".join(json.loads(row["categories"])),
        state=row["state"],
        received_at=_utc(row["received_at"]),
    )


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _indented(payload: str) -> str:
    return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
