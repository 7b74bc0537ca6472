"""Finds the Airflow connection that a mapping names.

Looked up in the environment first, so that `./winback sources check` works while nothing runs.
"""

from __future__ import annotations

from typing import Any

from winback.errors import SourceError
from winback.settings import connection_from_environment

DATABASES = ("postgres", "mysql", "mssql", "oracle")


def airflow_connection(conn_id: str, kind: str) -> Any:
    """The connection as Airflow's own object, from its environment variable or from Airflow.

    Args:
        conn_id: Its id.
        kind: The type to add it with, for the message.

    Raises:
        SourceError: Airflow knows no such connection.
    """
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

    try:
        return Connection.get(conn_id)
    except (AirflowNotFoundException, AirflowRuntimeError) as error:
        raise SourceError(
            f"Airflow knows no connection {conn_id!r}: add it (type {kind}), or set "
            f"AIRFLOW_CONN_{conn_id.upper()}"
        ) from error


def database_type(conn_id: str) -> str:
    """The type of the connection that a table's mapping names: one of `DATABASES`.

    Raises:
        SourceError: Airflow knows no such connection, or it leads to no database that is read.
    """
    url = connection_from_environment(conn_id)
    if url is not None and url.startswith(("postgres://", "postgresql://")):
        return "postgres"
    given = str(airflow_connection(conn_id, "Postgres").conn_type)
    kind = "postgres" if given == "postgresql" else given
    if kind not in DATABASES:
        raise SourceError(
            f"the Airflow connection {conn_id!r} is of type {given!r}, and a table is read through "
            f"one of type {', '.join(DATABASES)}"
        )
    return kind


def postgres_url(conn_id: str) -> str:
    """The address of the PostgreSQL that a connection leads to.

    Raises:
        SourceError: Airflow knows no such connection, or it leads elsewhere.
    """
    if database_type(conn_id) != "postgres":
        raise SourceError(
            f"the Airflow connection {conn_id!r} leads to another database than Postgres, and a "
            "proposal is made from Postgres or files only: write the mapping by hand, see "
            "docs/sources.md"
        )
    url = connection_from_environment(conn_id)
    if url is None or not url.startswith("postgres"):
        url = str(airflow_connection(conn_id, "Postgres").get_uri())
    return url.replace("postgres://", "postgresql://", 1)
