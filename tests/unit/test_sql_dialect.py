"""What is asked of MySQL, SQL Server and Oracle: every statement parses in its own dialect."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlfluff

from winback.extract.mapping.cursor import Cursor
from winback.extract.sources.sql_dialect import (
    MYSQL,
    ORACLE,
    SQL_SERVER,
    Dialect,
    columns_statement,
    quoted,
    select_statement,
    since_condition,
)

GRAMMARS = [(MYSQL, "mysql"), (SQL_SERVER, "tsql"), (ORACLE, "oracle")]
TYPES = {
    "mysql": ["bigint(20) unsigned", "timestamp", "datetime(6)", "blob", "bit(3)", "double"],
    "mssql": ["int", "datetimeoffset", "date", "money", "float", "rowversion", "nvarchar"],
    "oracle": ["NUMBER", "TIMESTAMP(6) WITH LOCAL TIME ZONE", "DATE", "RAW", "CLOB"],
}
SINCE = datetime(2024, 1, 10, 11, tzinfo=UTC)


def refuse_unparsable(statement: str, grammar: str) -> None:
    sqlfluff.parse(f"{statement};\n", dialect=grammar)


@pytest.mark.parametrize(("dialect", "grammar"), GRAMMARS)
@pytest.mark.parametrize("first", [None, 10])
def test_what_reads_a_table_is_sql(dialect: Dialect, grammar: str, first: int | None) -> None:
    types = TYPES[dialect.scheme]
    columns = {f"Spalte {i}": column_type for i, column_type in enumerate(types)}
    timed = [t for t in types if dialect.column_holds(t) in ("time", "instant")]
    assert len(timed) == 2
    for column_type in timed:
        condition = since_condition(
            dialect, Cursor("Spalte 1"), column_type, SINCE, "Europe/Berlin"
        )
        assert condition
        zoned = dialect.column_holds(column_type) == "instant"
        assert f"2024-01-10 {'11' if zoned else '12'}:00:00.000000" in condition
        statement = select_statement(dialect, "shop.purchase", columns, condition, first)
        refuse_unparsable(statement, grammar)
        assert statement.count(" as ") >= len(types)
    with pytest.raises(sqlfluff.api.APIParsingError):
        refuse_unparsable("select from from where", grammar)


@pytest.mark.parametrize(("dialect", "grammar"), GRAMMARS)
def test_what_asks_for_the_columns_is_sql(dialect: Dialect, grammar: str) -> None:
    for table in ("shop.purchase", "it's"):
        refuse_unparsable(columns_statement(dialect, table), grammar)
    assert "'it''s'" in columns_statement(dialect, "it's")
    assert dialect.default_schema not in columns_statement(dialect, "shop.purchase")


def test_a_name_can_not_end_itself() -> None:
    assert quoted(MYSQL, "a`b") == "`a``b`"
    assert quoted(SQL_SERVER, "a]b") == "[a]]b]"
    assert quoted(ORACLE, 'a"b') == '"a""b"'
    # a backslash would take the closing quote with it
    assert r"'a\\'" in columns_statement(MYSQL, "a\\")


@pytest.mark.parametrize("dialect", [MYSQL, SQL_SERVER, ORACLE])
def test_a_column_of_another_kind_is_not_compared(dialect: Dialect) -> None:
    number = Cursor("n", kind="number")
    assert since_condition(dialect, Cursor("n"), "varchar", SINCE, "UTC") is None
    assert since_condition(dialect, number, "varchar", 7, "UTC") is None
    whole = "NUMBER" if dialect is ORACLE else "int"
    assert " >= 7 or " in str(since_condition(dialect, number, whole, 7, "UTC"))
