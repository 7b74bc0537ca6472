"""The sandbox's own log: every request, every accepted recipient, every simulated event.

Accepted recipients are committed before the answer leaves, so that this log, and not the memory
of a killed sender, says how often a key was sent. Bodies are stored once per request and put
together with the personalization only when the inbox opens a message. Queries for the pages are
in `inbox_queries`, batches that wait for their time in `schedule`.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "sandbox.sqlite"

_SCHEMA = """
create table if not exists request (
    number integer primary key,      -- 1, 2, 3 … in order of arrival
    received_at real not null,       -- seconds since 1970, UTC
    outcome text not null,           -- accepted | refused | sandbox_mode | fault
    fault text,                      -- the fault it met, if any
    provider_id text,                -- X-Message-Id of an accepted request
    has_open_tracking integer not null default 0,
    has_click_tracking integer not null default 0,
    body blob                        -- JSON as received; accepted requests only
);
create table if not exists recipient (
    id integer primary key,
    request_number integer not null references request (number),
    position integer not null,       -- index of the personalization
    message_id text,                 -- the sender's opaque id, from custom_args
    sg_message_id text not null,
    address text not null,
    subject text not null,
    headers text not null,           -- JSON object: the request's headers and the recipient's own
    custom_args text not null,       -- JSON object
    categories text not null,        -- JSON array
    received_at real not null,
    state text not null default 'accepted',
    answered_at real                 -- null until its events were posted or given up
);
create index if not exists recipient_by_key on recipient (message_id);
-- by the time, so that a look at what is due does not pass all that is not
create index if not exists recipient_waiting on recipient (received_at) where answered_at is null;
drop index if exists recipient_unanswered;
create table if not exists event (
    id integer primary key,
    recipient_id integer not null references recipient (id),
    event text not null,
    occurred_at real not null,
    payload text not null,           -- JSON as posted
    is_posted integer not null       -- 0: the webhook never took it
);
create index if not exists event_by_recipient on event (recipient_id);
create table if not exists batch (
    batch_id text primary key,
    status text not null default '', -- cancel | pause, when the provider was told so in time
    told text not null default ''    -- cancel | pause, whenever it was told
);
create table if not exists scheduled (
    request_number integer primary key references request (number),
    send_at integer not null,        -- seconds since 1970, UTC
    batch_id text not null           -- empty: it can not be cancelled
);
create table if not exists template (
    template_id text primary key,
    content text not null            -- JSON as the provider gives it
);
"""

# requests of which nothing is sent now: their time has not come, or they were cancelled or paused
HELD = (
    "select s.request_number from scheduled s left join batch b on b.batch_id = s.batch_id "
    "where s.send_at > ? or b.status <> ''"
)
_UNANSWERED = (
    "select r.id, r.message_id, r.sg_message_id, q.provider_id, r.address, r.headers, "  # noqa: S608
    "r.custom_args, r.categories, q.has_open_tracking, q.has_click_tracking "
    "from recipient r join request q on q.number = r.request_number "
    "where r.answered_at is null and r.received_at <= ? "
    f"and r.request_number not in ({HELD}) order by r.received_at, r.id limit ?"
)


@dataclass(frozen=True)
class Recipient:
    """One accepted recipient, before it has a row."""

    position: int
    message_id: str | None
    sg_message_id: str
    address: str
    subject: str
    headers: str
    custom_args: str
    categories: str


@dataclass(frozen=True)
class Unanswered:
    """An accepted recipient whose events are still to come."""

    id: int
    message_id: str | None
    sg_message_id: str
    provider_id: str
    address: str
    headers: dict[str, str]
    custom_args: dict[str, str]
    categories: list[str]
    has_open_tracking: bool
    has_click_tracking: bool


@dataclass(frozen=True)
class Answer:
    """What happened to one recipient: its new state and the events that told so."""

    recipient_id: int
    state: str
    events: list[tuple[str, dict[str, Any], bool]]


class Journal:
    """The log in one SQLite file; safe to use from several threads."""

    def __init__(self, data: Path) -> None:
        """Opens the log in the folder `data`, creating both if need be."""
        data.mkdir(parents=True, exist_ok=True)
        self._path = data / FILE_NAME
        self._writer = self._connect()
        self._reader = self._connect()
        # One lock per connection: SQLite has one writer anyway, and waiting here is fair and
        # instant, while its own busy handler sleeps up to 100 ms.
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._writer.executescript(_SCHEMA)
        self.ahead_seconds = 0.0
        self._number: int = self._writer.execute(
            "select coalesce(max(number), 0) from request"
        ).fetchone()[0]

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=30, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("pragma journal_mode = wal")
        # NORMAL keeps every commit when the process is killed, which is what the fault tests do;
        # only a power cut could take the last ones, and FULL would cost a sync per request.
        connection.execute("pragma synchronous = normal")
        return connection

    def close(self) -> None:
        """Closes the file once running queries are through."""
        with self._write_lock, self._read_lock:
            self._writer.close()
            self._reader.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Writes that are committed together when the block ends, and none when it raises."""
        with self._write_lock:
            self._writer.execute("begin immediate")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("rollback")
                raise
            self._writer.execute("commit")

    def now(self) -> float:
        """The sandbox's time of day: the machine's, and what it was set ahead by."""
        return time.time() + self.ahead_seconds

    def next_number(self) -> int:
        """The number of a request that just arrived."""
        with self._write_lock:
            self._number += 1
            return self._number

    def record_unaccepted(self, number: int, outcome: str, fault: str | None) -> None:
        """Commits a request that brought no recipient in."""
        with self.transaction() as connection:
            connection.execute(
                "insert into request (number, received_at, outcome, fault) values (?, ?, ?, ?)",
                (number, time.time(), outcome, fault),
            )

    def record_accepted(
        self,
        number: int,
        provider_id: str,
        body: bytes,
        tracking: tuple[bool, bool],
        recipients: Iterable[Recipient],
        schedule: tuple[int, str] | None = None,
    ) -> None:
        """Commits an accepted request with all its recipients; nothing of it before, all after.

        Args:
            number: The request's number.
            provider_id: Its X-Message-Id.
            body: The request's body as received.
            tracking: Whether opens and whether clicks are tracked.
            recipients: One entry per address.
            schedule: When to send it and its batch, if later.
        """
        now = self.now()
        with self.transaction() as connection:
            connection.execute(
                "insert into request (number, received_at, outcome, provider_id, "
                "has_open_tracking, has_click_tracking, body) "
                "values (?, ?, 'accepted', ?, ?, ?, ?)",
                (number, now, provider_id, *tracking, body),
            )
            if schedule is not None:
                connection.execute("insert into scheduled values (?, ?, ?)", (number, *schedule))
            connection.executemany(
                "insert into recipient (request_number, position, message_id, sg_message_id, "
                "address, subject, headers, custom_args, categories, received_at) "
                "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        number,
                        r.position,
                        r.message_id,
                        r.sg_message_id,
                        r.address,
                        r.subject,
                        r.headers,
                        r.custom_args,
                        r.categories,
                        now,
                    )
                    for r in recipients
                ],
            )

    def record_fault(self, number: int, fault: str) -> None:
        """Notes the fault that an accepted request met on its way out."""
        with self.transaction() as connection:
            connection.execute("update request set fault = ? where number = ?", (fault, number))

    def unanswered(self, limit: int, received_before: float) -> list[Unanswered]:
        """The longest waiting recipients without events, at most `limit`."""
        rows = self.read(_UNANSWERED, (received_before, self.now(), limit))
        return [
            Unanswered(
                id=row["id"],
                message_id=row["message_id"],
                sg_message_id=row["sg_message_id"],
                provider_id=row["provider_id"],
                address=row["address"],
                headers=json.loads(row["headers"]),
                custom_args=json.loads(row["custom_args"]),
                categories=json.loads(row["categories"]),
                has_open_tracking=bool(row["has_open_tracking"]),
                has_click_tracking=bool(row["has_click_tracking"]),
            )
            for row in rows
        ]

    def record_answers(self, answers: Iterable[Answer]) -> None:
        """Commits the events of some recipients and marks them as answered."""
        now = self.now()
        with self.transaction() as connection:
            for answer in answers:
                connection.executemany(
                    "insert into event (recipient_id, event, occurred_at, payload, is_posted) "
                    "values (?, ?, ?, ?, ?)",
                    [
                        (answer.recipient_id, name, now, json.dumps(payload), is_posted)
                        for name, payload, is_posted in answer.events
                    ],
                )
                connection.execute(
                    "update recipient set state = ?, answered_at = ? where id = ?",
                    (answer.state, now, answer.recipient_id),
                )

    def template_version(self, template_id: object) -> dict[str, str] | None:
        """The active version of a template; None when there is none."""
        rows = self.read("select content from template where template_id = ?", (template_id,))
        for row in rows:
            version: dict[str, str] = json.loads(row["content"])["versions"][0]
            return version
        return None

    def read(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """Runs one query beside the writer and fetches all of its rows."""
        with self._read_lock:
            return self._reader.execute(query, values).fetchall()
