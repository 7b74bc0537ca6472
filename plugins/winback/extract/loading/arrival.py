"""How a feed's rows arrive in the warehouse: by key, or at once where there were none before.

Works within the load's own transaction. Leaves the rows that may not pass in the temporary table
`rejected`.
"""

from __future__ import annotations

import logging
import tempfile
from datetime import timedelta
from typing import IO

import pyarrow as pa
from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.errors import SourceError
from winback.extract.loading import erased_rows, raw_tables, unread_rows
from winback.extract.loading import load_statements as statements
from winback.extract.loading.load_records import Arrived, Batch, run
from winback.extract.mapping.cursor import CursorValue
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.rows.checked_rows import CheckedRows
from winback.extract.rows.validation import stored_schema
from winback.extract.sources.source_rows import SOURCE

log = logging.getLogger(__name__)

SPOOL_BYTES = 16 << 20


def arrive(
    cursor: dbapi.Cursor, mapping: FeedMapping, batch: Batch, since: CursorValue | None
) -> Arrived:
    """Reads the source and brings its rows into `raw` and `pii`.

    Args:
        cursor: Of the load's transaction.
        mapping: Where the feed comes from.
        batch: What it is loaded for.
        since: Where an increment begins; None reads the whole source.

    Raises:
        SourceError: The source can not be read.
    """
    arrived = None
    if _may_arrive_at_once(cursor, mapping):
        arrived = _at_once(cursor, mapping, batch, since)
    return arrived or _by_key(cursor, mapping, batch, since)


def _may_arrive_at_once(cursor: dbapi.Cursor, mapping: FeedMapping) -> bool:
    if mapping.derive_from or mapping.is_distinct or raw_tables.pii_columns(mapping.feed):
        return False
    query = sql.SQL("select not exists (select 1 from {})").format(
        sql.Identifier("raw", mapping.feed.name)
    )
    return bool(run(cursor, query)[0][0])


def _at_once(
    cursor: dbapi.Cursor, mapping: FeedMapping, batch: Batch, since: CursorValue | None
) -> Arrived | None:
    """Fills an empty table and builds its key afterwards; None when a key comes twice."""
    feed = mapping.feed
    run(
        cursor,
        sql.SQL("savepoint empty"),
        statements.create_rejected_table(),
        sql.SQL("reset role"),
        *statements.prepare_empty(feed, batch.snapshot_id),
        sql.SQL("set role winback_loader"),
    )
    # what nothing is mapped to stays empty without being sent
    names = [
        name for name, column in raw_tables.raw_columns(feed) if column.name in mapping.columns
    ]
    stored = stored_schema(feed)
    schema = pa.schema([stored.field(name) for name in names])
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
        rows = _pass(mapping, batch, since, spool)
        _ingest(
            cursor,
            rows,
            rows.passed(schema, lambda each: each.select(names)),
            feed.name,
            db_schema_name="raw",
        )
        _refuse_no_rows(rows, mapping)
        run(cursor, sql.SQL("reset role"))
        [(is_keyed,)] = run(cursor, *statements.build_key(feed))
        if not is_keyed:
            run(cursor, sql.SQL("rollback to savepoint empty"), sql.SQL("set role winback_loader"))
            log.info("%s: keys come twice, so the source is read again, row by row", feed.name)
            return None
        run(cursor, *raw_tables.create_indexes(feed), statements.forget_snapshot(feed))
        run(cursor, sql.SQL("set role winback_loader"))
        _ingest(cursor, rows, rows.rejected(), "rejected", temporary=True)
    n_erased = erased_rows.leave_out(cursor, feed, sql.Identifier("raw", feed.name))
    _keep_unread(cursor, mapping, batch, rows, sql.Identifier("raw", feed.name))
    count = sql.SQL("select count(*) from {}").format(sql.Identifier("raw", feed.name))
    [(n_passed,)] = run(cursor, count)
    return _arrived(
        rows,
        n_received=rows.n_received - n_erased,
        n_passed=n_passed,
        n_new=n_passed,
        n_erased=n_erased,
        is_first=True,
    )


def _by_key(
    cursor: dbapi.Cursor, mapping: FeedMapping, batch: Batch, since: CursorValue | None
) -> Arrived:
    """Takes the rows in beside the old ones, then inserts or replaces them by their key."""
    feed = mapping.feed
    run(cursor, *statements.create_arrival_tables(feed))
    stored = stored_schema(feed)
    place = pa.field(SOURCE, pa.string())
    schema = stored.set(stored.get_field_index(SOURCE), place)
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
        rows = _pass(mapping, batch, since, spool)
        passed = rows.passed(schema, lambda each: each.cast(schema))
        _ingest(cursor, rows, passed, "incoming", temporary=True)
        _refuse_no_rows(rows, mapping)
        _ingest(cursor, rows, rows.rejected(), "rejected", temporary=True)
    # before they come near `raw` and `pii`
    n_erased = erased_rows.leave_out(cursor, feed, sql.Identifier("incoming"))
    n_received = rows.n_received - n_erased
    if mapping.derive_from:
        n_received -= run(cursor, statements.keep_earliest_of_each_key(feed))[0][0]
    else:
        if mapping.is_distinct:
            n_received -= run(cursor, statements.keep_one_of_equal_rows(feed))[0][0]
        run(cursor, statements.reject_repeated_keys(feed))
    _keep_unread(cursor, mapping, batch, rows, sql.Identifier("incoming"))
    [(n_passed,)] = run(cursor, sql.SQL("select count(*) from incoming"))
    [(n_new,)] = run(cursor, statements.upsert("raw", feed, batch.snapshot_id))
    if raw_tables.pii_columns(feed):
        run(cursor, statements.upsert("pii", feed, batch.snapshot_id))
    n_deleted = 0
    if mapping.deleted_rows == "mark":
        n_deleted = _mark_deleted(cursor, mapping, batch, n_passed)
    return _arrived(
        rows,
        n_received=n_received,
        n_passed=n_passed,
        n_new=n_new,
        n_erased=n_erased,
        n_deleted=n_deleted,
    )


def _pass(
    mapping: FeedMapping, batch: Batch, since: CursorValue | None, spool: IO[bytes]
) -> CheckedRows:
    return CheckedRows(
        mapping, batch.dataset, batch.business_timezone, batch.known_until, since, spool
    )


def _keep_unread(
    cursor: dbapi.Cursor,
    mapping: FeedMapping,
    batch: Batch,
    rows: CheckedRows,
    passed: sql.Identifier,
) -> None:
    keeping = unread_rows.update(
        mapping.feed,
        batch.snapshot_id,
        passed,
        is_whole=rows.is_whole,
        is_derived=mapping.derive_from is not None,
    )
    run(cursor, *keeping)


def _refuse_no_rows(rows: CheckedRows, mapping: FeedMapping) -> None:
    if rows.is_whole and mapping.feed.is_required and rows.n_read == 0:
        raise SourceError(f"{mapping.source} has no rows: fill it, or name another one")


def _ingest(
    cursor: dbapi.Cursor,
    rows: CheckedRows,
    stream: pa.RecordBatchReader,
    table: str,
    *,
    db_schema_name: str | None = None,
    temporary: bool = False,
) -> None:
    try:
        cursor.adbc_ingest(
            table, stream, mode="append", db_schema_name=db_schema_name, temporary=temporary
        )
    except Exception:
        # when the source broke, that is what there is to say
        rows.raise_failure()
        raise


def _mark_deleted(cursor: dbapi.Cursor, mapping: FeedMapping, batch: Batch, n_passed: int) -> int:
    feed = mapping.feed
    if n_passed == 0:
        raise SourceError(
            f"{mapping.source} has no rows that pass, so all rows of feed {feed.name} would count "
            "as deleted: mend the source, or set `deleted_rows: ignore`"
        )
    [(n_nameless,)] = run(cursor, sql.SQL("select count(*) from rejected where key is null"))
    if n_nameless:
        log.warning(
            "%s: %s rows in quarantine have no readable key and could be any of those missing, so"
            " none is marked as deleted this time",
            feed.name,
            n_nameless,
        )
        return 0
    # known since the day before, so that the date that finds it out leaves the row out already
    deleted_at = batch.as_of_at - timedelta(microseconds=1)
    [(n_deleted,)] = run(cursor, statements.mark_deleted(feed, deleted_at, batch.known_until))
    return int(n_deleted)


def _arrived(
    rows: CheckedRows,
    *,
    n_received: int,
    n_passed: int,
    n_new: int,
    n_erased: int,
    n_deleted: int = 0,
    is_first: bool = False,
) -> Arrived:
    return Arrived(
        n_received=n_received,
        n_passed=n_passed,
        n_new=n_new,
        is_first=is_first,
        n_deleted=n_deleted,
        n_erased=n_erased,
        newest_event_at=rows.newest_event_at,
        cursor_until=rows.cursor_until,
        is_whole=rows.is_whole,
    )
