"""Loads one feed into the warehouse: all of it or nothing, and every row accounted for.

The batches go into temporary tables first; one transaction then quarantines, upserts by key and
writes the counts, so a run that is killed or repeated leaves the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.extract import raw_tables
from winback.extract.feeds import Feed
from winback.extract.file_source import ROW_NUMBER, BrokenRows, read_file
from winback.extract.mapping import FeedMapping
from winback.extract.postgres_source import read_table
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
    with dbapi.connect(warehouse.url()) as connection, connection.cursor() as cursor:
        cursor.execute("set role winback_loader")
        for batch, rejected in _checked(mapping, dataset, business_timezone, known_until):
            cursor.adbc_ingest("incoming", batch, mode="create_append", temporary=True)
            if rejected.num_rows:
                cursor.adbc_ingest("rejected", rejected, mode="create_append", temporary=True)
        cursor.execute(
            "create temporary table if not exists rejected "
            f'("{ROW_NUMBER}" bigint, reasons text, content text)'
        )
        cursor.execute(_text(_reject_repeated_keys(feed)))
        counts = _write_counts(cursor, mapping, snapshot_id, started_at)
        cursor.execute(_text(_quarantine(mapping, snapshot_id)))
        cursor.execute(_text(_upsert("raw", feed, snapshot_id)))
        if raw_tables.pii_columns(feed):
            cursor.execute(_text(_upsert("pii", feed, snapshot_id)))
        connection.commit()
    return counts


def _checked(
    mapping: FeedMapping, dataset: str, business_timezone: str, known_until: datetime | None
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    broken = BrokenRows()
    batches = read_file(mapping, broken) if mapping.file else read_table(mapping)
    seen: set[str] = set()
    for batch in batches:
        checked = check(batch, mapping, dataset, business_timezone, known_until)
        passed, rejected = checked.passed, checked.rejected
        if mapping.derive_from:
            # its broken rows are already quarantined with the feed that it is derived from
            passed, rejected = _first_of_each(passed, raw_tables.raw_key(mapping.feed), seen), []
        yield passed, _rejected_batch(rejected)
    if not mapping.derive_from:
        rows = [
            Rejected(
                number,
                ["the row does not have as many columns as the header"],
                f'{{"row": "{keyed_hash("row", text)}"}}',
            )
            for number, text in broken.rows
        ]
        if rows:
            yield passed.slice(0, 0), _rejected_batch(rows)


def _first_of_each(batch: pa.RecordBatch, key: list[str], seen: set[str]) -> pa.RecordBatch:
    keys = pc.binary_join_element_wise(*(batch.column(name) for name in key), REASON_SEPARATOR)
    is_first = []
    for value in keys.to_pylist():
        is_first.append(value not in seen)
        seen.add(value)
    return batch.filter(pa.array(is_first, pa.bool_()))


def _rejected_batch(rejected: list[Rejected]) -> pa.RecordBatch:
    return pa.record_batch(
        [
            pa.array([r.row_number for r in rejected], pa.int64()),
            pa.array([REASON_SEPARATOR.join(r.reasons) for r in rejected], pa.string()),
            pa.array([r.content for r in rejected], pa.string()),
        ],
        schema=REJECTED,
    )


def _reject_repeated_keys(feed: Feed) -> sql.Composable:
    key = sql.SQL(", ").join(map(sql.Identifier, raw_tables.raw_key(feed)))
    same = sql.SQL(" and ").join(
        sql.SQL("incoming.{0} = numbered.{0}").format(sql.Identifier(name))
        for name in raw_tables.raw_key(feed)
    )
    return sql.SQL(
        "with numbered as ("
        " select {key}, {n}, first_value({n}) over (partition by {key} order by {n}) as first_row"
        " from incoming"
        "), moved as ("
        " delete from incoming using numbered"
        " where {same} and incoming.{n} = numbered.{n} and numbered.{n} <> numbered.first_row"
        " returning incoming.*, numbered.first_row"
        ") insert into rejected select {n},"
        " {text} || first_row, jsonb_build_object('key', jsonb_build_array({moved_key}))::text"
        " from moved"
    ).format(
        key=key,
        n=sql.Identifier(ROW_NUMBER),
        same=same,
        text=sql.Literal(f"{' and '.join(feed.key)} repeats the key of row "),
        moved_key=key,
    )


def _write_counts(
    cursor: dbapi.Cursor, mapping: FeedMapping, snapshot_id: int, started_at: datetime
) -> Counts:
    newest = sql.SQL("(select max({}) from incoming)").format(
        sql.Identifier(mapping.feed.event_time)
    )
    statement = sql.SQL(
        "insert into ops.extract_run (snapshot_id, feed, source, n_received, n_passed,"
        " n_quarantined, newest_event_at, started_at)"
        " select {}, {}, {}, passed.n + rejected.n, passed.n, rejected.n, {}, {}::timestamptz"
        " from (select count(*) as n from incoming) as passed,"
        " (select count(*) as n from rejected) as rejected"
        " returning n_received, n_passed, n_quarantined"
    ).format(snapshot_id, mapping.feed.name, mapping.source, newest, started_at.isoformat())
    cursor.execute(_text(statement))
    n_received, n_passed, n_quarantined = cursor.fetchone()
    cursor.execute(
        _text(
            sql.SQL(
                "insert into ops.feed_status (feed, is_present, is_made_up, source, n_rows,"
                " newest_event_at) values ({}, true, {}, {}, {}, {})"
                " on conflict (feed) do update set is_present = true,"
                " is_made_up = excluded.is_made_up, source = excluded.source,"
                " n_rows = excluded.n_rows, newest_event_at = excluded.newest_event_at,"
                " updated_at = now()"
            ).format(mapping.feed.name, mapping.is_made_up, mapping.source, n_passed, newest)
        )
    )
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
