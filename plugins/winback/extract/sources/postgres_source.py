"""Reads a table of another PostgreSQL as record batches, over ADBC.

Which server it is and who logs in is an Airflow connection; the mapping only names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
from adbc_driver_manager import Error as AdbcError
from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.errors import SourceError
from winback.extract.mapping.cursor import CursorValue
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.source_connection import postgres_url
from winback.extract.sources.source_rows import refuse_missing_columns, with_position


def read_table(
    mapping: FeedMapping, since: CursorValue | None, business_timezone: str
) -> Iterator[pa.RecordBatch]:
    """Yields a table's rows in its own types: the columns the mapping reads, and a running number.

    Args:
        mapping: Names connection and table.
        since: Only rows whose cursor is this or larger, or missing, are asked for.
        business_timezone: Zone of times without an offset where the cursor names none.

    Raises:
        SourceError: The server is down, or the table or a column is not there.
    """
    columns = mapping.read_columns
    query = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), _table(mapping)
    )
    refuse_missing_columns(list(table_columns(mapping)), mapping.source, mapping)
    with _asking(mapping) as ask:
        if mapping.cursor is not None and since is not None:
            # a time without a zone is compared in that of the session
            zone = sql.Literal(mapping.cursor.timezone or business_timezone)
            ask.execute(sql.SQL("set time zone {}").format(zone).as_string())
            query += sql.SQL(" where {0} >= {1} or {0} is null").format(
                sql.Identifier(mapping.cursor.column), sql.Literal(since)
            )
        ask.execute(query.as_string())
        first = 1
        for batch in ask.fetch_record_batch():
            numbers = pa.array(np.arange(first, first + batch.num_rows))
            first += batch.num_rows
            yield with_position(batch, columns, numbers, mapping.source)


def table_columns(mapping: FeedMapping) -> dict[str, str]:
    """The columns of a table with their types, as PostgreSQL calls them.

    Raises:
        SourceError: The server is down, or the table is not there.
    """
    query = sql.SQL(
        "select attname::text, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = {}::regclass and attnum > 0 and not attisdropped order by attnum"
    ).format(sql.Literal(_table(mapping).as_string()))
    with _asking(mapping) as ask:
        ask.execute(query.as_string())
        return dict(ask.fetchall())


@contextmanager
def _asking(mapping: FeedMapping) -> Iterator[dbapi.Cursor]:
    url = postgres_url(str(mapping.connection))
    try:
        with (
            dbapi.connect(url) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor
    except AdbcError as error:
        reason = " ".join(str(error).split())
        raise SourceError(
            f"{mapping.source} can not be read ({reason}); check the Airflow connection "
            f"{mapping.connection!r}, the table and its columns"
        ) from error


def _table(mapping: FeedMapping) -> sql.Identifier:
    return sql.Identifier(*str(mapping.table).split("."))
