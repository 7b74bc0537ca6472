"""What is written down about a load, and where the next one begins.

Every function works within the load's own transaction. The rows themselves are `arrival.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.extract.mapping.cursor import CursorValue
from winback.extract.mapping.dataset import FeedMapping


@dataclass(frozen=True)
class Batch:
    """What the feeds of one snapshot are loaded for.

    Attributes:
        snapshot_id: The snapshot.
        dataset: Name of the dataset.
        as_of_at: The instant before which facts are known.
        business_timezone: Zone of times without an offset.
        is_replay: Rows from `as_of_at` on are left at the source, as if they were not there yet.
    """

    snapshot_id: int
    dataset: str
    as_of_at: datetime
    business_timezone: str
    is_replay: bool = False

    @property
    def known_until(self) -> datetime | None:
        """From when on rows are left at the source; None takes everything."""
        return self.as_of_at if self.is_replay else None


@dataclass(frozen=True)
class Counts:
    """What became of the rows of one feed.

    Attributes:
        n_received: Rows of the source; always the sum of the next two.
        n_passed: Rows that were loaded.
        n_quarantined: Rows that were set aside.
        n_deleted: Rows of earlier loads that the source no longer has.
        is_whole: Whether the whole source was read.
    """

    n_received: int
    n_passed: int
    n_quarantined: int
    n_deleted: int
    is_whole: bool


@dataclass(frozen=True)
class Arrived:
    """What a pass over a source brought.

    Attributes:
        n_received: Rows of the source.
        n_passed: Rows that were loaded.
        n_new: Those among them whose key was not there before.
        is_first: Whether there were no rows before.
        n_deleted: Rows of earlier loads that the source no longer has.
        n_erased: Rows of erased people, left out and counted nowhere else.
        newest_event_at: The newest event among the rows that were loaded.
        cursor_until: The largest value of the cursor.
        is_whole: Whether the whole source was read.
    """

    n_received: int
    n_passed: int
    n_new: int
    is_first: bool
    n_deleted: int
    n_erased: int
    newest_event_at: datetime | None
    cursor_until: CursorValue | None
    is_whole: bool


def run(cursor: dbapi.Cursor, *statements: sql.Composable) -> list[tuple[Any, ...]]:
    """Runs statements, and gives the rows of the last one if it has any."""
    for statement in statements:
        cursor.execute(statement.as_string())
    return cursor.fetchall() if cursor.description else []


def where_to_begin(cursor: dbapi.Cursor, mapping: FeedMapping, batch: Batch) -> CursorValue | None:
    """From which value of the cursor on rows are new; None reads everything.

    Everything is read without a cursor, the first time, after the mapping changed, and in a
    replay, whose dates do not follow one another.
    """
    if mapping.cursor is None or batch.is_replay:
        return None
    found = run(
        cursor,
        sql.SQL(
            "select cursor_until from ops.extract_run where feed = {} and source = {}"
            " and mapping_fingerprint = {} and cursor_until is not null"
            " order by extract_run_id desc limit 1"
        ).format(mapping.feed.name, mapping.source, _fingerprint(mapping)),
    )
    if not found:
        return None
    reached = found[0][0]
    value = datetime.fromisoformat(reached) if mapping.cursor.kind == "time" else int(reached)
    return mapping.cursor.since(value)


def write(
    cursor: dbapi.Cursor,
    mapping: FeedMapping,
    batch: Batch,
    arrived: Arrived,
    started_at: datetime,
) -> Counts:
    """Writes the run and the state of the feed; the database refuses counts that do not add up."""
    reached = arrived.cursor_until
    run_row = sql.SQL(
        "insert into ops.extract_run (snapshot_id, feed, source, n_received, n_passed,"
        " n_quarantined, newest_event_at, started_at, finished_at, is_whole, cursor_until,"
        " n_deleted, mapping_fingerprint, n_erased)"
        # now() is when the transaction began
        " select {}, {}, {}, {}, {}, count(*), {}::timestamptz, {}::timestamptz,"
        " clock_timestamp(), {}, {}, {}, {}, {} from rejected"
        " returning n_passed, n_quarantined"
    ).format(
        batch.snapshot_id,
        mapping.feed.name,
        mapping.source,
        arrived.n_received,
        arrived.n_passed,
        _text(arrived.newest_event_at),
        started_at.isoformat(),
        arrived.is_whole,
        _text(reached),
        arrived.n_deleted,
        _fingerprint(mapping),
        arrived.n_erased,
    )
    [(n_passed, n_quarantined)] = run(cursor, run_row)
    run(cursor, _status(mapping, arrived))
    return Counts(arrived.n_received, n_passed, n_quarantined, arrived.n_deleted, arrived.is_whole)


def _status(mapping: FeedMapping, arrived: Arrived) -> sql.Composable:
    feed = mapping.feed
    # counting anew would cost more than an increment does
    if arrived.is_whole and not arrived.is_first:
        n_rows = sql.SQL("(select count(*) from {} where deleted_at is null)").format(
            sql.Identifier("raw", feed.name)
        )
        updates = "n_rows = excluded.n_rows, newest_event_at = excluded.newest_event_at"
    else:
        n_rows = sql.SQL("{}").format(arrived.n_new)
        updates = (
            "n_rows = excluded.n_rows, newest_event_at = excluded.newest_event_at"
            if arrived.is_first
            else "n_rows = status.n_rows + excluded.n_rows,"
            " newest_event_at = greatest(status.newest_event_at, excluded.newest_event_at)"
        )
    age = feed.max_age_days if mapping.max_age_days is None else mapping.max_age_days
    return sql.SQL(
        "insert into ops.feed_status as status (feed, is_present, is_made_up, source, n_rows,"
        " newest_event_at, max_age_days) values ({}, true, {}, {}, {}, {}::timestamptz, {})"
        " on conflict (feed) do update set is_present = true, is_made_up = excluded.is_made_up,"
        " source = excluded.source, max_age_days = excluded.max_age_days, updated_at = now(), {}"
    ).format(
        feed.name,
        mapping.is_made_up,
        mapping.source,
        n_rows,
        _text(arrived.newest_event_at),
        age,
        sql.SQL(updates),
    )


def _fingerprint(mapping: FeedMapping) -> str:
    """Tells whether rows that were loaded before were mapped in the same way."""
    return sha256(repr(mapping).encode()).hexdigest()[:16]


def _text(value: CursorValue | None) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if value is None else str(value)
