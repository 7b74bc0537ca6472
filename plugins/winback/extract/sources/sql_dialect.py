"""How MySQL, SQL Server and Oracle write the few statements that a source is read with.

Every value is asked for as text: connectorx ends the whole process's reading at a MySQL date of
zeros, and gives decimals, unsigned numbers and times a type of its own. Times that know their zone
come in UTC with a Z, others as they stand. Sending the statements is `sql_source.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from winback.extract.mapping.cursor import Cursor, CursorValue

# what a column's type holds; `instant` is a time that knows its zone
Holds: TypeAlias = Literal[
    "instant", "time", "number", "fraction", "money", "bytes", "bits", "text"
]
WITH_ZONE = re.compile(r"timestamp\(\d\) with (local )?time zone", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """What differs between the databases.

    Attributes:
        title: The database's name in messages.
        scheme: How connectorx calls it in an address.
        port: Where it listens by default.
        options: Those of a connection's extra that belong into the address.
        quotes: What stands around a name; the second is doubled within it.
        holds: What a type holds, by its first word; text when it is not listed.
        as_text: The expression that makes text of a column, by what it holds.
        literals: How a time is written, by what the column holds.
        select: The statement that reads.
        first: The statement that reads the first rows.
        columns: The statement that gives a table's columns with their types.
        default_schema: The schema of a table that is named without one.
        prepare: Sent before each of them.
    """

    title: str
    scheme: str
    port: int
    quotes: tuple[str, str]
    holds: Mapping[str, Holds]
    as_text: Mapping[Holds, str]
    literals: Mapping[Holds, str]
    first: str
    columns: str
    default_schema: str
    select: str = "select {columns} from {table}{where}"
    options: Sequence[str] = ()
    prepare: Sequence[str] = field(default=())

    def column_holds(self, column_type: str) -> Holds:
        """What a column of a type holds."""
        if WITH_ZONE.fullmatch(column_type):
            return "instant"
        stem = re.split(r"[^a-z_0-9]", column_type.lower(), maxsplit=1)[0]
        return self.holds.get(stem, "text")


def _of(holds: Holds, *stems: str) -> dict[str, Holds]:
    return dict.fromkeys(stems, holds)


MYSQL = Dialect(
    title="MySQL",
    scheme="mysql",
    port=3306,
    options=("tcp_connect_timeout_ms", "tcp_keepalive_time_ms"),
    quotes=("`", "`"),
    holds=_of("instant", "timestamp")
    | _of("time", "datetime", "date")
    | _of("number", "tinyint", "smallint", "mediumint", "int", "bigint", "year", "decimal")
    | _of("fraction", "float", "double")
    | _of("bytes", "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
    | _of("bits", "bit"),
    as_text={
        # a date of zeros is how older shops write that there is none
        "instant": "if(cast({0} as char) like '0000-00-00%', null, concat(cast({0} as char), 'Z'))",
        "time": "if(cast({0} as char) like '0000-00-00%', null, cast({0} as char))",
        "bytes": "lower(hex({0}))",
        "bits": "cast({0} + 0 as char)",
        "text": "cast({0} as char)",
    },
    literals={"instant": "timestamp'{}'", "time": "timestamp'{}'"},
    first="select {columns} from {table}{where} limit {n}",
    columns="select cast(column_name as char) as name, cast(column_type as char) as type"
    " from information_schema.columns where table_schema = {schema} and table_name = {table}"
    " order by ordinal_position",
    default_schema="database()",
    # the mode decides how names and texts are quoted, the zone how a timestamp is shown
    prepare=("set sql_mode = ''", "set time_zone = '+00:00'"),
)
SQL_SERVER = Dialect(
    title="SQL Server",
    scheme="mssql",
    port=1433,
    options=("encrypt", "trust_server_certificate", "trust_server_certificate_ca"),
    quotes=("[", "]"),
    holds=_of("instant", "datetimeoffset")
    | _of("time", "datetime2", "datetime", "smalldatetime", "date")
    | _of("number", "tinyint", "smallint", "int", "bigint", "decimal", "numeric", "bit")
    | _of("fraction", "float", "real")
    | _of("money", "money", "smallmoney")
    | _of("bytes", "binary", "varbinary", "image", "timestamp", "rowversion"),
    as_text={
        "instant": "convert(varchar(40), cast({0} as datetimeoffset(6)), 127)",
        "time": "convert(varchar(40), cast({0} as datetime2(6)), 126)",
        # written out in full, a float would show how it is stored: 12.339999999999999
        "fraction": "convert(varchar(60), cast({0} as decimal(38, 4)))",
        "money": "convert(varchar(40), {0}, 2)",
        "bytes": "lower(convert(varchar(max), cast({0} as varbinary(max)), 2))",
        "text": "convert(nvarchar(max), {0})",
    },
    literals={
        "instant": "cast('{}+00:00' as datetimeoffset(6))",
        "time": "cast('{}' as datetime2(6))",
    },
    first="select top ({n}) {columns} from {table}{where}",
    columns="select column_name as name, data_type as type from information_schema.columns"
    " where table_schema = {schema} and table_name = {table} order by ordinal_position",
    default_schema="schema_name()",
)
ORACLE = Dialect(
    title="Oracle",
    scheme="oracle",
    port=1521,
    quotes=('"', '"'),
    holds=_of("time", "date", "timestamp")
    | _of("number", "number", "float", "binary_float", "binary_double")
    | _of("bytes", "raw"),
    as_text={
        "instant": "to_char(sys_extract_utc(cast({0} as timestamp with time zone)),"
        ' \'YYYY-MM-DD"T"HH24:MI:SS.FF6"Z"\')',
        "time": "to_char(cast({0} as timestamp), 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6')",
        # Oracle writes a half as .5
        "number": "regexp_replace(to_char({0}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,'''),"
        " '^(-?)[.]', '\\10.')",
        "bytes": "lower(rawtohex({0}))",
        "text": "{0}",
    },
    literals={"instant": "timestamp '{} +00:00'", "time": "timestamp '{}'"},
    first="select {columns} from {table}{where} fetch first {n} rows only",
    columns='select column_name as "name", data_type as "type" from all_tab_columns'
    " where owner = {schema} and table_name = {table} order by column_id",
    default_schema="sys_context('USERENV', 'CURRENT_SCHEMA')",
)


def quoted(dialect: Dialect, name: str) -> str:
    """A name of a table or column as the database reads it; each part of `schema.table`."""
    begin, end = dialect.quotes
    return f"{begin}{name.replace(end, end * 2)}{end}"


def columns_statement(dialect: Dialect, table: str) -> str:
    """The statement for the names and types of a table's columns, in its order.

    Args:
        dialect: Of the database.
        table: As written in the mapping: `schema.table` or `table`.
    """
    schema, _, name = table.rpartition(".")
    return dialect.columns.format(
        schema=_text(dialect, schema) if schema else dialect.default_schema,
        table=_text(dialect, name),
    )


def select_statement(
    dialect: Dialect,
    table: str,
    columns: Mapping[str, str],
    condition: str | None,
    first: int | None,
) -> str:
    """The statement that reads a table, every value as text.

    Args:
        dialect: Of the database.
        table: As written in the mapping.
        columns: Those to read, with their types.
        condition: Which rows; None for all.
        first: How many rows at most; None for all.
    """
    selected = []
    for column, column_type in columns.items():
        name = quoted(dialect, column)
        holds = dialect.column_holds(column_type)
        expression = dialect.as_text.get(holds, dialect.as_text["text"])
        selected.append(f"{expression.format(name)} as {name}")
    return (dialect.select if first is None else dialect.first).format(
        columns=", ".join(selected),
        table=".".join(quoted(dialect, part) for part in table.split(".")),
        where="" if condition is None else f" where {condition}",
        n=first,
    )


def since_condition(
    dialect: Dialect, cursor: Cursor, column_type: str, since: CursorValue, timezone: str
) -> str | None:
    """The condition for the rows from a point on, and those whose cursor can not be read.

    Args:
        dialect: Of the database.
        cursor: Which column it is.
        column_type: Its type.
        since: Where to begin; the overlap is already taken off.
        timezone: Zone of times that do not know theirs.

    Returns:
        None where a column of that type can not be compared so.
    """
    name, holds = quoted(dialect, cursor.column), dialect.column_holds(column_type)
    if isinstance(since, datetime):
        literal = dialect.literals.get(holds)
        if literal is None:
            return None
        zone = UTC if holds == "instant" else ZoneInfo(timezone)
        point = literal.format(f"{since.astimezone(zone):%Y-%m-%d %H:%M:%S.%f}")
        # what lies before is no time to us, such as a date of zeros
        earliest = literal.format("1970-01-01 00:00:00.000000")
        return f"({name} >= {point} or {name} is null or {name} < {earliest})"
    return f"({name} >= {since:d} or {name} is null)" if holds == "number" else None


def _text(dialect: Dialect, value: str) -> str:
    doubled = value.replace("'", "''")
    if dialect is MYSQL:
        return "'" + doubled.replace("\\", "\\\\") + "'"
    return f"N'{doubled}'" if dialect is SQL_SERVER else f"'{doubled}'"
