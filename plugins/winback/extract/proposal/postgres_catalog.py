"""Looks at the tables and views of a PostgreSQL: columns, types, sizes, and words in a column."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from winback.errors import SourceError
from winback.extract.proposal.proposal import SourceTable

CONNECT_SECONDS, ANSWER_MS = 10, 20_000
MOST_WORDS = 20
_TABLES = """
select n.nspname::text, c.relname::text, case when c.reltuples >= 0 then c.reltuples::bigint end,
    array_agg(a.attname::text order by a.attnum),
    array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum),
    coalesce(array_agg(a.attname::text) filter (where a.attnum = any(k.conkey)), '{}')
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
inner join pg_attribute as a on a.attrelid = c.oid
left join pg_constraint as k on k.conrelid = c.oid and k.contype = 'p'
where c.relkind in ('r', 'v', 'm', 'p', 'f') and not c.relispartition
    and n.nspname not like 'pg\\_%%' and n.nspname <> 'information_schema'
    and a.attnum > 0 and not a.attisdropped
    and has_table_privilege(c.oid, 'select')
    -- a mapping writes schema.table
    and position('.' in c.relname) = 0 and position('.' in n.nspname) = 0
group by 1, 2, 3
order by 1, 2
"""


def postgres_tables(url: str, connection: str) -> list[SourceTable]:
    """All tables and views that the login may read.

    Args:
        url: Address of the database.
        connection: Id of the Airflow connection that will lead there.

    Raises:
        SourceError: The server is down or refuses the login.
    """
    shown = without_password(url)
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_SECONDS) as server:
            found = server.execute(_TABLES).fetchall()
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        raise SourceError(
            f"{shown} can not be read ({reason}); check host, port, user, password and database"
        ) from error
    return [
        SourceTable(
            name=f"{schema}.{table}",
            place={"connection": connection, "table": f"{schema}.{table}"},
            columns=dict(zip(names, types, strict=True)),
            key=tuple(key),
            n_rows=n_rows,
            words=partial(_words, url, schema, table),
        )
        for schema, table, n_rows, names, types, key in found
    ]


def without_password(url: str) -> str:
    """A database's address, with the word PASSWORD where its password belongs.

    Raises:
        SourceError: It is no such address.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error as error:
        # its message would repeat a part of the address, which may be the password
        raise SourceError(
            "that is no address of a database: write postgres://user:password@host:5432/database, "
            "with special characters of the password as %XX"
        ) from error
    host, port = parts.get("host", "127.0.0.1"), parts.get("port", 5432)
    user = quote(str(parts.get("user", "USER")))
    encryption = f"?sslmode={parts['sslmode']}" if "sslmode" in parts else ""
    return f"postgresql://{user}:PASSWORD@{host}:{port}/{parts.get('dbname', '')}{encryption}"


def _words(url: str, schema: str, table: str, column: str) -> list[str] | None:
    query = sql.SQL(
        "select distinct {0}::text from (select {0} from {1} where {0} is not null limit 100000)"
        " as sample limit {2}"
    ).format(sql.Identifier(column), sql.Identifier(schema, table), MOST_WORDS + 1)
    try:
        with psycopg.connect(url, options=f"-c statement_timeout={ANSWER_MS}") as server:
            found = [word for (word,) in server.execute(query)]
    except psycopg.Error:
        # a view may fail or take too long; what is in it is then asked of a person
        return None
    return found if len(found) <= MOST_WORDS else None
