"""Opens S3-compatible object storage with the login of an Airflow connection of type aws."""

from __future__ import annotations

from pyarrow import fs

from winback.errors import SourceError
from winback.extract.sources.source_connection import airflow_connection

CONNECT_SECONDS, ANSWER_SECONDS, ATTEMPTS = 10, 60, 3


def object_storage(conn_id: str) -> fs.S3FileSystem:
    """The storage that a connection leads to.

    Without login and password the credentials are those of the machine, as AWS finds them. The
    connection's extra may name `endpoint_url`, `region_name` and `aws_session_token`.

    Raises:
        SourceError: Airflow knows no such connection, or it leads elsewhere.
    """
    connection = airflow_connection(conn_id, "aws")
    if connection.conn_type != "aws":
        raise SourceError(
            f"the Airflow connection {conn_id!r} is of type {connection.conn_type!r}, and object "
            "storage is read through one of type aws"
        )
    extra = connection.extra_dejson
    return fs.S3FileSystem(
        access_key=connection.login or None,
        secret_key=connection.password or None,
        session_token=extra.get("aws_session_token"),
        endpoint_override=extra.get("endpoint_url"),
        region=extra.get("region_name"),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=ANSWER_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )
