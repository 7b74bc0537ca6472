"""Reads a table of MySQL, SQL Server or Oracle as record batches, over connectorx.

connectorx reads ahead without end when the reader of its stream is slower than the database, and
that one may be closed but not halted. So the rows go to a nameless file first, which is faster than
any database: memory stays bounded, the source is read by one statement, and one that breaks in the
middle has given no row. How the statements are written is `sql_dialect.py`.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import connectorx
import numpy as np
import pyarrow as pa

from winback.errors import SourceError
from winback.extract.mapping.cursor import CursorValue
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.source_connection import airflow_connection
from winback.extract.sources.source_rows import refuse_missing_columns, with_position
from winback.extract.sources.sql_dialect import (
    MYSQL,
    ORACLE,
    SQL_SERVER,
    Dialect,
    columns_statement,
    select_statement,
    since_condition,
)

# by the type of the Airflow connection
DIALECTS: Mapping[str, Dialect] = {"mysql": MYSQL, "mssql": SQL_SERVER, "oracle": ORACLE}
BATCH_ROWS = 32 << 10
CONNECT_SECONDS = 10
# connectorx is written in Rust, and a failure that it did not foresee comes as this; no Exception
PANIC = "PanicException"


def read_sql_table(
    mapping: FeedMapping, since: CursorValue | None, business_timezone: str, *, is_sample: bool
) -> Iterator[pa.RecordBatch]:
    """Yields a table's rows as text: the columns the mapping reads, and a running number.

    Args:
        mapping: Names connection and table.
        since: Only rows whose cursor is this or larger, or missing, are asked for.
        business_timezone: Zone of times without an offset where the cursor names none.
        is_sample: A batch of rows is enough, and a second one if there are more.

    Raises:
        SourceError: The server is down, the table or a column is not there, or the cursor's column
            is of another kind. Then no row was yielded.
    """
    dialect, url = _database(mapping)
    present = sql_table_columns(mapping)
    refuse_missing_columns(list(present), mapping.source, mapping)
    columns = mapping.read_columns
    condition = None
    if mapping.cursor is not None and since is not None:
        column_type, zone = present[mapping.cursor.column], mapping.cursor.timezone
        condition = since_condition(
            dialect, mapping.cursor, column_type, since, zone or business_timezone
        )
        if condition is None:
            raise SourceError(
                f"{mapping.source}: the `cursor` {mapping.cursor.column!r} is {column_type}: name a"
                f" column that holds a {mapping.cursor.kind} itself"
            )
    statement = select_statement(
        dialect,
        str(mapping.table),
        {name: present[name] for name in columns},
        condition,
        BATCH_ROWS + 1 if is_sample else None,
    )
    first = 1
    with tempfile.TemporaryFile() as spool:
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        schema = pa.schema([(name, pa.string()) for name in columns])
        with pa.ipc.new_stream(spool, schema, options=options) as stream:
            for batch in _asked(mapping, dialect, url, statement):
                stream.write_batch(batch.rename_columns(columns).cast(schema))
        spool.seek(0)
        for batch in pa.ipc.open_stream(spool):
            numbers = pa.array(np.arange(first, first + batch.num_rows))
            first += batch.num_rows
            yield with_position(batch, columns, numbers, mapping.source)


def sql_table_columns(mapping: FeedMapping) -> dict[str, str]:
    """The columns of a table with their types, as the database calls them.

    Raises:
        SourceError: The server is down, or the table is not there.
    """
    dialect, url = _database(mapping)
    statement = columns_statement(dialect, str(mapping.table))
    found: dict[str, str] = {}
    for batch in _asked(mapping, dialect, url, statement):
        found |= zip(*(column.to_pylist() for column in batch.columns), strict=True)
    if not found:
        raise SourceError(
            f"{mapping.source} can not be read: there is no such table, or the login of the Airflow"
            f" connection {mapping.connection!r} may not read it; write `schema.table` where it "
            "lies elsewhere"
        )
    return found


def _asked(
    mapping: FeedMapping, dialect: Dialect, url: str, statement: str
) -> Iterator[pa.RecordBatch]:
    try:
        yield from connectorx.read_sql(
            url,
            statement,
            return_type="arrow_stream",
            batch_size=BATCH_ROWS,
            pre_execution_query=list(dialect.prepare) or None,
        )
    except BaseException as error:
        if not isinstance(error, RuntimeError) and type(error).__name__ != PANIC:
            raise
        # what follows these words may be a person's data
        reason = str(error).partition("the value `")[0]
        raise SourceError(_unreadable(mapping, reason)) from None


def _database(mapping: FeedMapping) -> tuple[Dialect, str]:
    """What the connection leads to, and its address with the login."""
    conn_id = str(mapping.connection)
    connection = airflow_connection(conn_id, ", ".join(DIALECTS))
    dialect = DIALECTS[connection.conn_type]
    if not connection.host or not connection.login or not connection.schema:
        raise SourceError(
            f"the Airflow connection {conn_id!r} needs host, login and schema (the database)"
        )
    port = connection.port or dialect.port
    try:
        # connectorx tries for half a minute, and says less
        socket.create_connection((connection.host, port), CONNECT_SECONDS).close()
    except OSError as error:
        reason = f"no {dialect.title} answers at {connection.host}:{port}: {error}"
        raise SourceError(_unreadable(mapping, reason)) from error
    login = f"{quote(connection.login, safe='')}:{quote(connection.password or '', safe='')}"
    place = f"{connection.host}:{port}/{quote(connection.schema, safe='')}"
    return dialect, f"{dialect.scheme}://{login}@{place}{_options(connection, dialect)}"


def _options(connection: Any, dialect: Dialect) -> str:
    extra = connection.extra_dejson
    given = {key: str(extra[key]).lower() for key in dialect.options if key in extra}
    return f"?{urlencode(given)}" if given else ""


def _unreadable(mapping: FeedMapping, reason: str) -> str:
    return (
        f"{mapping.source} can not be read ({' '.join(reason.split())}); check the Airflow "
        f"connection {mapping.connection!r}, the table and its columns"
    )
