"""Loads one feed into the warehouse: all of it or nothing, and every row accounted for.

One transaction takes the rows in, quarantines, upserts by key and writes the counts, so a run that
is killed, repeated or started twice leaves the same rows. The rows received are counted where they
are read and the others where they end, so that the constraint `nothing_vanishes` compares two
counts of different origin.
"""

from __future__ import annotations

from datetime import UTC, datetime

from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.extract.loading import arrival, load_records, load_statements
from winback.extract.loading.load_records import Batch, Counts, run
from winback.extract.mapping.cursor import CursorValue
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources import source_columns
from winback.warehouse import connection as warehouse


def load_feed(
    mapping: FeedMapping,
    batch: Batch,
    since: CursorValue | None = None,
    *,
    is_whole: bool = False,
    accept_types: bool = False,
) -> Counts:
    """Reads a feed from its source into `raw`, `pii` and `quarantine`.

    Args:
        mapping: Where the feed comes from.
        batch: What it is loaded for.
        since: Read from this value of the cursor on; left out: from where the last load came to.
        is_whole: Read everything, whatever the cursor says.
        accept_types: A required column may have another type than at the load before.

    Raises:
        SourceError: The source can not be read, or has changed its columns; nothing was loaded.
    """
    started_at = datetime.now(UTC)
    with (
        dbapi.connect(warehouse.url()) as connection,
        connection.cursor() as cursor,
    ):
        run(
            cursor,
            sql.SQL("set role winback_loader"),
            sql.SQL("select pg_advisory_xact_lock(hashtextextended({}, 0))").format(
                f"winback extract {mapping.feed.name}"
            ),
        )
        columns = source_columns.refuse_retyped(cursor, mapping, accept_types=accept_types)
        if since is None and not is_whole:
            since = load_records.where_to_begin(cursor, mapping, batch)
        arrived = arrival.arrive(cursor, mapping, batch, since)
        counts = load_records.write(cursor, mapping, batch, arrived, started_at)
        run(cursor, load_statements.quarantine(mapping.feed, batch.snapshot_id))
        source_columns.remember(cursor, mapping, columns)
        connection.commit()
    return counts
