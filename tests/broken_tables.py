"""What the tests of the gates share: breaking a table, and putting it back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from tests.conftest import Warehouse

AS_OF = date(2025, 3, 1)
RUN = "ops.extract_run"


def run_script(warehouse: Warehouse, statements: str) -> None:
    for statement in statements.split(";"):
        warehouse.execute(statement)


@contextmanager
def while_broken(warehouse: Warehouse, broken: str, mended: str) -> Iterator[None]:
    run_script(warehouse, broken)
    try:
        yield
    finally:
        run_script(warehouse, mended)


def copied(table: str, broken: str) -> tuple[str, str]:
    """Breaks a table, and puts it back as it was."""
    return (
        f"create table kept as table {table}; {broken}",
        f"truncate {table}; insert into {table} table kept; drop table kept",
    )


def instead_of(view: str, broken: str) -> tuple[str, str]:
    """Puts a broken table in a view's place, and the view back."""
    schema, name = view.split(".")
    return (
        f"alter view {view} rename to kept; create table {view} as table {schema}.kept;"
        f" grant select on {view} to public; {broken}",
        f"drop table {view}; alter view {schema}.kept rename to {name}",
    )
