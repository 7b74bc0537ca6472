"""Connections to the warehouse, each acting as the role of the step that asks for it.

Where the warehouse lives is the Airflow connection `winback_warehouse`. What stands in it is
`setup.py` and `migrations/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from winback.errors import ServerError
from winback.settings import connection_from_environment

WAREHOUSE = "winback_warehouse"
ROLES = ("loader", "transformer", "sender", "webhook", "bi")


def url() -> str:
    """The warehouse's URL, `postgresql://user:password@host:port/database`.

    Raises:
        ServerError: There is no connection `winback_warehouse`.
    """
    from_environment = connection_from_environment(WAREHOUSE)
    if from_environment and from_environment.startswith("postgres"):
        return from_environment
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

    try:
        connection = Connection.get(WAREHOUSE)
    except (AirflowNotFoundException, AirflowRuntimeError) as error:
        raise ServerError(
            f"Airflow knows no connection {WAREHOUSE!r}: add it (type Postgres), "
            "or start the embedded server with `./winback up`"
        ) from error
    return str(connection.get_uri()).replace("postgres://", "postgresql://", 1)


@contextmanager
def connect(role: str | None = None, *, autocommit: bool = False) -> Iterator[psycopg.Connection]:
    """Opens a connection that acts as one of `ROLES`, or as the owner when left out.

    The transaction is committed when the block ends and rolled back when it raises.

    Raises:
        ServerError: The server does not answer.
    """
    try:
        connection = psycopg.connect(url(), autocommit=autocommit, application_name="winback")
    except psycopg.OperationalError as error:
        raise ServerError(f"the warehouse does not answer: {_first_line(error)}") from error
    with connection:
        # What a server that has it off loses in a crash would be sent again. As a statement, since
        # poolers refuse options.
        connection.execute("set synchronous_commit = on")
        if role is not None:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(f"winback_{role}")))
        if not autocommit:
            connection.commit()
        yield connection


def analyze(*tables: str) -> None:
    """Refreshes the planner's statistics after a bulk load, instead of waiting for autovacuum.

    Without them, the first queries on a new warehouse took ten times as long (measured on CDNOW).

    Args:
        tables: Names with schema, such as `raw.orders`.
    """
    with connect(autocommit=True) as connection:
        for table in tables:
            connection.execute(sql.SQL("analyze {}").format(sql.Identifier(*table.split("."))))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
