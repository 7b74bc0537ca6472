"""Finds the Airflow connection that a mapping names.

Looked up in the environment first, so that `./winback sources check` works while nothing runs.
"""

from __future__ import annotations

from typing import Any

from winback.errors import SourceError
from winback.settings import connection_from_environment


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


def postgres_url(conn_id: str) -> str:
    """The address of the PostgreSQL that a connection leads to.

    Raises:
        SourceError: Airflow knows no such connection, or it leads elsewhere.
    """
    url = connection_from_environment(conn_id)
    if url is None or not url.startswith("postgres"):
        connection = airflow_connection(conn_id, "Postgres")
        if connection.conn_type not in ("postgres", "postgresql"):
            raise SourceError(
                f"the Airflow connection {conn_id!r} is of type "
                f"{connection.conn_type!r}, and a table is read from Postgres only"
            )
        url = str(connection.get_uri())
    return url.replace("postgres://", "postgresql://", 1)
