"""Reads a table of another PostgreSQL as record batches, over ADBC.

Which server it is and who logs in is an Airflow connection; the mapping only names it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from adbc_driver_manager import Error as AdbcError
from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.errors import SourceError
from winback.extract.file_source import ROW_NUMBER
from winback.extract.mapping import FeedMapping
from winback.settings import connection_from_environment


def read_table(mapping: FeedMapping) -> Iterator[pa.RecordBatch]:
    """Yields the table's mapped columns plus `ROW_NUMBER`, in the table's own types.

    Raises:
        SourceError: The server is down, or the table or a column is not there.
    """
    if mapping.connection is None or mapping.table is None:
        raise SourceError(f"feed {mapping.feed.name} does not come from a table")
    query = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(map(sql.Identifier, sorted(mapping.source_columns))),
        sql.Identifier(*mapping.table.split(".")),
    )
    try:
        with (
            dbapi.connect(_url(mapping, mapping.connection)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(query.as_string())
            first = 1
            for batch in cursor.fetch_record_batch():
                numbers = pa.array(range(first, first + batch.num_rows), pa.int64())
                first += batch.num_rows
                yield batch.append_column(ROW_NUMBER, numbers)
    except AdbcError as error:
        reason = " ".join(str(error).split())
        raise SourceError(
            f"feed {mapping.feed.name}: {mapping.source} can not be read ({reason}); check the "
            f"Airflow connection {mapping.connection!r}, the table and its columns"
        ) from error


def _url(mapping: FeedMapping, conn_id: str) -> str:
    url = connection_from_environment(conn_id)
    if url is None or not url.startswith("postgres"):
        from airflow.sdk import Connection
        from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

        try:
            connection = Connection.get(conn_id)
        except (AirflowNotFoundException, AirflowRuntimeError) as error:
            raise SourceError(
                f"feed {mapping.feed.name}: Airflow knows no connection {conn_id!r}: add it "
                f"(type Postgres), or set AIRFLOW_CONN_{conn_id.upper()}"
            ) from error
        if connection.conn_type not in ("postgres", "postgresql"):
            raise SourceError(
                f"feed {mapping.feed.name}: the Airflow connection {conn_id!r} is of type "
                f"{connection.conn_type!r}, and a table is read from Postgres only"
            )
        url = connection.get_uri()
    return url.replace("postgres://", "postgresql://", 1)
