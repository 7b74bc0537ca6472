"""Asks the warehouse, for `./winback sql`: as BI tools do (read only), or as its owner."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import psycopg
from rich.table import Table
from rich.text import Text

from winback.errors import ServerError, WinbackError
from winback.server import airflow_environment, instance, supervisor
from winback.settings import connection_from_environment
from winback.warehouse.connection import WAREHOUSE


class QueryError(WinbackError):
    """The database refused a statement."""


@dataclass(frozen=True)
class Result:
    """What a statement gave.

    Args:
        columns: Names; empty for a statement that gives no rows.
        rows: Values as psycopg reads them.
        status: The server's own word, such as `SET`.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    status: str


def ask(statement: str, *, as_owner: bool = False) -> Result:
    """Runs one statement against the running instance.

    When none runs, its PostgreSQL is started for this statement alone.

    Args:
        statement: SQL.
        as_owner: Asks as the warehouse's owner, who may change things, instead of as a BI tool.

    Raises:
        QueryError: The database refuses the statement; the message is its own.
        ServerError: There is no warehouse yet, or it does not answer.
    """
    read_only = "off" if as_owner else "on"
    with _url(airflow_environment.OWNER if as_owner else airflow_environment.BI) as url:
        try:
            with psycopg.connect(
                url,
                options=f"-c default_transaction_read_only={read_only}",
                application_name="winback sql",
            ) as connection:
                cursor = connection.execute(statement.encode())
                columns = [column.name for column in cursor.description or ()]
                rows = cursor.fetchall() if columns else []
                return Result(columns, rows, cursor.statusmessage or "")
        except psycopg.OperationalError as error:
            if error.sqlstate is not None:
                raise QueryError(_one_line(error)) from error
            if f'authentication failed for user "{airflow_environment.BI}"' in str(error):
                raise ServerError(
                    "the warehouse was never finished: ./winback up or ./winback demo does it"
                ) from error
            raise ServerError(f"the warehouse does not answer: {_one_line(error)}") from error
        except psycopg.Error as error:
            raise QueryError(_one_line(error)) from error


def as_table(result: Result) -> Table:
    """A table for the terminal; numbers to the right."""
    table = Table(header_style="bold")
    for position, name in enumerate(result.columns):
        numeric = any(isinstance(row[position], int | float | Decimal) for row in result.rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in result.rows:
        table.add_row(*(Text("null", "dim") if v is None else Text(as_text(v)) for v in row))
    return table


def as_csv(result: Result) -> str:
    """Comma-separated values with a header line; null is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows([["" if v is None else as_text(v) for v in row] for row in result.rows])
    return out.getvalue()


def as_text(value: Any) -> str:
    """One value as people and spreadsheets read it."""
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat(sep=" ")
        case date() | time():
            return value.isoformat()
        case bytes():
            return value.hex()
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


@contextmanager
def _url(role: str) -> Iterator[str]:
    is_owner = role == airflow_environment.OWNER
    elsewhere = connection_from_environment(WAREHOUSE if is_owner else role)
    found = instance.running()
    if found:
        ours, state = found
        if elsewhere and ours.mode == "production":
            yield elsewhere
        else:
            yield airflow_environment.warehouse_url(ours, state.ports, role)
        return
    ours = instance.current()
    if elsewhere and ours.mode == "production":
        yield elsewhere
        return
    if not ours.was_set_up:
        raise ServerError("there is no warehouse yet: ./winback demo or ./winback up makes one")
    with instance.only_one(), instance.reserved_ports() as ports:
        supervisor.clear_leftovers_of(ours)
        server = supervisor.start_postgres(ours, ports["postgres"])
        try:
            yield airflow_environment.warehouse_url(ours, ports, role)
        finally:
            server.stop()


def _one_line(error: psycopg.Error) -> str:
    message = error.diag.message_primary or str(error).strip().splitlines()[0]
    hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
    return message + hint
