"""Loads one feed into the warehouse: all of it or nothing, and every row accounted for.

The batches go into temporary tables first; one transaction then quarantines, upserts by key and
writes the counts, so a run that is killed or repeated leaves the same rows. The rows received are
counted where they arrive and the others where they end, so that the constraint `nothing_vanishes`
compares two counts of different origin.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.errors import SourceError
from winback.extract import raw_tables
from winback.extract.feeds import Feed
from winback.extract.file_source import ROW_NUMBER, BrokenRows
from winback.extract.mapping import FeedMapping
from winback.extract.reading import read_source
from winback.extract.validation import Rejected, check
from winback.privacy.keyed_hash import keyed_hash
from winback.warehouse import connection as warehouse

REJECTED = pa.schema([(ROW_NUMBER, pa.int64()), ("reasons", pa.string()), ("content", pa.string())])
REASON_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Counts:
    """What became of the rows of one feed; `n_received` is always the sum of the other two."""

    n_received: int
    n_passed: int
    n_quarantined: int


def load_feed(
    mapping: FeedMapping,
    dataset: str,
    snapshot_id: int,
    business_timezone: str,
    known_until: datetime | None,
) -> Counts:
    """Reads a feed from its source into `raw`, `pii` and `quarantine`.

    Args:
        mapping: Where the feed comes from.
        dataset: Name of the dataset.
        snapshot_id: The snapshot the rows belong to.
        business_timezone: Zone of times without an offset.
        known_until: In a replay, rows from this instant on are not known yet and left at the
            source; None takes everything.

    Raises:
        SourceError: The source can not be read; nothing was loaded.
    """
    started_at = datetime.now(UTC)
    feed = mapping.feed
    n_received = 0
    with dbapi.connect(warehouse.url()) as connection, connection.cursor() as cursor:
        cursor.execute("set role winback_loader")
        for part in _checked(mapping, dataset, business_timezone, known_until):
            n_received += part.n_received
            cursor.adbc_ingest("incoming", part.passed, mode="create_append", temporary=True)
            cursor.adbc_ingest("rejected", part.rejected, mode="create_append", temporary=True)
        if mapping.derive_from:
            n_received -= _keep_earliest_of_each_key(cursor, feed)
        else:
            cursor.execute(_text(_reject_repeated_keys(feed)))
        counts = _write_counts(cursor, mapping, snapshot_id, n_received, started_at)
        cursor.execute(_text(_quarantine(mapping, snapshot_id)))
        cursor.execute(_text(_upsert("raw", feed, snapshot_id)))
        if raw_tables.pii_columns(feed):
            cursor.execute(_text(_upsert("pii", feed, snapshot_id)))
        connection.commit()
    return counts


@dataclass(frozen=True)
class _Part:
    """A checked batch, and how many rows of the source it accounts for."""

    n_received: int
    passed: pa.RecordBatch
    rejected: pa.RecordBatch


def _checked(
    mapping: FeedMapping, dataset: str, business_timezone: str, known_until: datetime | None
) -> Iterator[_Part]:
    broken = BrokenRows()
    n_read = 0
    batches = read_source(mapping, broken)
    for batch in itertools.chain(batches, [_no_rows(mapping)]):
        n_read += batch.num_rows
        checked = check(batch, mapping, dataset, business_timezone, known_until)
        if mapping.derive_from:
            # rows without the right columns are quarantined with the feed it is derived from
            broken.rows.clear()
        rejected = checked.rejected + list(map(_split_wrongly, broken.rows))
        n_received = batch.num_rows - checked.n_not_yet + len(broken.rows)
        broken.rows.clear()
        yield _Part(n_received, checked.passed, _rejected_batch(rejected))
    if mapping.table and mapping.feed.is_required and n_read == 0:
        raise SourceError(f"{mapping.source} has no rows: fill it, or name another table")


def _no_rows(mapping: FeedMapping) -> pa.RecordBatch:
    # makes the temporary tables when the source has no rows, and takes the broken ones of its end
    names = sorted(mapping.source_columns)
    arrays = [*(pa.array([], pa.string()) for _ in names), pa.array([], pa.int64())]
    return pa.record_batch(arrays, names=[*names, ROW_NUMBER])


def _split_wrongly(row: tuple[int, str]) -> Rejected:
    number, text = row
    # which of its values are personal can not be told
    content = json.dumps({"row": keyed_hash("row", text)})
    return Rejected(number, ["the row does not have as many columns as the header"], content)


def _rejected_batch(rejected: list[Rejected]) -> pa.RecordBatch:
    return pa.record_batch(
        [
            pa.array([r.row_number for r in rejected], pa.int64()),
            pa.array([REASON_SEPARATOR.join(r.reasons) for r in rejected], pa.string()),
            pa.array([r.content for r in rejected], pa.string()),
        ],
        schema=REJECTED,
    )


def _keep_earliest_of_each_key(cursor: dbapi.Cursor, feed: Feed) -> int:
    """Leaves one row per key in `incoming`; gives how many others there were."""
    cursor.execute(
        _text(
            sql.SQL(
                "create temporary table earliest as select * from (select *, row_number() over"
                " (partition by {key} order by {time}, {n}) as nth from incoming) as numbered"
                " where nth = 1"
            ).format(
                key=_key(feed), time=sql.Identifier(feed.event_time), n=sql.Identifier(ROW_NUMBER)
            )
        )
    )
    cursor.execute("select (select count(*) from incoming) - (select count(*) from earliest)")
    [(n_others,)] = cursor.fetchall()
    cursor.execute("drop table incoming")
    cursor.execute("alter table earliest rename to incoming")
    return int(n_others)


def _reject_repeated_keys(feed: Feed) -> sql.Composable:
    return sql.SQL(
        "with numbered as ("
        " select ctid as place, {n}, first_value({n}) over (partition by {key} order by {n})"
        " as first_row from incoming"
        "), moved as ("
        " delete from incoming using numbered"
        " where incoming.ctid = numbered.place and numbered.{n} <> numbered.first_row"
        " returning incoming.*, numbered.first_row"
        ") insert into rejected select {n},"
        " {reason} || first_row, jsonb_build_object('key', jsonb_build_array({key}))::text"
        " from moved"
    ).format(
        key=_key(feed),
        n=sql.Identifier(ROW_NUMBER),
        reason=sql.Literal(f"{' and '.join(feed.key)} repeats the key of row "),
    )


def _key(feed: Feed) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, raw_tables.raw_key(feed)))


def _write_counts(
    cursor: dbapi.Cursor,
    mapping: FeedMapping,
    snapshot_id: int,
    n_received: int,
    started_at: datetime,
) -> Counts:
    newest = sql.SQL("(select max({}) from incoming)").format(
        sql.Identifier(mapping.feed.event_time)
    )
    run = sql.SQL(
        "insert into ops.extract_run (snapshot_id, feed, source, n_received, n_passed,"
        " n_quarantined, newest_event_at, started_at, finished_at)"
        # now() is when the transaction began
        " select {}, {}, {}, {}, passed.n, rejected.n, {}, {}::timestamptz, clock_timestamp()"
        " from (select count(*) as n from incoming) as passed,"
        " (select count(*) as n from rejected) as rejected"
        " returning n_passed, n_quarantined"
    ).format(
        snapshot_id,
        mapping.feed.name,
        mapping.source,
        n_received,
        newest,
        started_at.isoformat(),
    )
    cursor.execute(_text(run))
    [(n_passed, n_quarantined)] = cursor.fetchall()
    status = sql.SQL(
        "insert into ops.feed_status (feed, is_present, is_made_up, source, n_rows,"
        " newest_event_at) values ({}, true, {}, {}, {}, {})"
        " on conflict (feed) do update set is_present = true,"
        " is_made_up = excluded.is_made_up, source = excluded.source,"
        " n_rows = excluded.n_rows, newest_event_at = excluded.newest_event_at,"
        " updated_at = now()"
    ).format(mapping.feed.name, mapping.is_made_up, mapping.source, n_passed, newest)
    cursor.execute(_text(status))
    return Counts(n_received, n_passed, n_quarantined)


def _quarantine(mapping: FeedMapping, snapshot_id: int) -> sql.Composable:
    return sql.SQL(
        "insert into quarantine.rejected_row"
        " (extract_run_id, feed, source, row_number, reasons, content)"
        " select run.extract_run_id, run.feed, run.source, {n},"
        " string_to_array(reasons, {separator}), content::jsonb"
        " from rejected cross join ops.extract_run as run"
        " where run.snapshot_id = {snapshot} and run.feed = {feed}"
    ).format(
        n=sql.Identifier(ROW_NUMBER),
        separator=sql.Literal(REASON_SEPARATOR),
        snapshot=snapshot_id,
        feed=mapping.feed.name,
    )


def _upsert(schema: str, feed: Feed, snapshot_id: int) -> sql.Composable:
    key = raw_tables.raw_key(feed)
    if schema == "raw":
        names = [name for name, _ in raw_tables.raw_columns(feed)]
        target, values = (
            [*names, "snapshot_id"],
            [*map(sql.Identifier, names), sql.Literal(snapshot_id)],
        )
    else:
        target = key + raw_tables.pii_columns(feed)
        values = list(map(sql.Identifier, target))
    compared = [name for name in target if name not in key and name != "snapshot_id"]
    return sql.SQL(
        "insert into {table} as target ({target}) select {values} from incoming"
        " on conflict ({key}) do update set {updates}"
        # rewriting rows that did not change costs ten times as much as finding that out
        " where ({old}) is distinct from ({new})"
    ).format(
        table=sql.Identifier(schema, feed.name),
        target=sql.SQL(", ").join(map(sql.Identifier, target)),
        values=sql.SQL(", ").join(values),
        key=sql.SQL(", ").join(map(sql.Identifier, key)),
        updates=sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
            for name in target
            if name not in key
        ),
        old=_compared("target", compared),
        new=_compared("excluded", compared),
    )


def _compared(table: str, names: list[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(table, name) for name in names)


def _text(statement: sql.Composable) -> str:
    return statement.as_string()
