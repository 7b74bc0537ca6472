"""The databases and the owner's role on the embedded server, and what must stand in them.

`python -m winback.server.databases` brings the warehouse up to date as a process of its own,
because it reads the settings of the instance, not those of the command that starts it.
"""

from __future__ import annotations

import sys

from winback.errors import WinbackError

AIRFLOW = "airflow"
WAREHOUSE = "winback"


def create(superuser_url: str, owner: str, password: str) -> set[str]:
    """Makes the owner's role and both databases where they are missing.

    Args:
        superuser_url: A login that may create roles and databases.
        owner: Role that will own both databases and may create roles.
        password: Its password; set anew each time, in case the secrets were.

    Returns:
        The names of the databases made just now.
    """
    import psycopg
    from psycopg import sql

    made = set()
    role = sql.Identifier(owner)
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        known = connection.execute("select 1 from pg_roles where rolname = %s", [owner]).fetchone()
        verb = sql.SQL("alter role" if known else "create role")
        connection.execute(
            sql.SQL("{} {} login createrole password {}").format(verb, role, sql.Literal(password))
        )
        existing = {name for (name,) in connection.execute("select datname from pg_database")}
        for name in (AIRFLOW, WAREHOUSE):
            if name not in existing:
                connection.execute(
                    sql.SQL("create database {} owner {}").format(sql.Identifier(name), role)
                )
                made.add(name)
    return made


def main() -> int:
    """Brings the warehouse of the environment to the state this version needs."""
    from winback.warehouse import connection
    from winback.warehouse.setup import prepare

    try:
        prepare(connection.url())
    except WinbackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
