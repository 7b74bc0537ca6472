"""Brings a warehouse to the state this version of winback needs; safe to run any number of times.

Order: schemas and roles, the migrations of `ops` and `pii`, the raw tables that follow from the
feed declarations, the SQL functions of `functions/`, the grants. dbt owns staging, intermediate
and marts; nothing here builds a model.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from psycopg import sql

from winback.extract.feeds import FEEDS
from winback.extract.loading.raw_tables import create_statements
from winback.settings import settings
from winback.warehouse.connection import ROLES

HERE = Path(__file__).parent
SCHEMAS = ("raw", "quarantine", "staging", "intermediate", "marts", "ops", "pii")
DBT_SCHEMAS = ("staging", "intermediate", "marts")


def prepare(owner_url: str) -> None:
    """Creates or upgrades everything but the dbt models.

    Args:
        owner_url: A login that owns the database and may create roles.
    """
    with psycopg.connect(owner_url, autocommit=True) as connection:
        _create_schemas_and_roles(connection)
    _migrate(owner_url)
    with psycopg.connect(owner_url) as connection:
        for feed in FEEDS.values():
            for statement in create_statements(feed):
                connection.execute(statement)
        for path in sorted((HERE / "functions").glob("*.sql")):
            connection.execute(path.read_bytes())
        connection.execute((HERE / "grants.sql").read_bytes())


def _create_schemas_and_roles(connection: psycopg.Connection) -> None:
    if connection.info.server_version >= 160000:
        # since 16 the creator of a role may not act as it unless told so beforehand
        connection.execute("set createrole_self_grant = 'set, inherit'")
    existing = {name for (name,) in connection.execute("select rolname from pg_roles")}
    for role in ROLES:
        name = sql.Identifier(f"winback_{role}")
        if f"winback_{role}" not in existing:
            connection.execute(sql.SQL("create role {}").format(name))
            if connection.info.server_version < 160000:
                connection.execute(sql.SQL("grant {} to current_user").format(name))
    if settings().bi_password:
        connection.execute(
            sql.SQL("alter role winback_bi login password {}").format(
                sql.Literal(settings().bi_password)
            )
        )
    for schema in SCHEMAS:
        connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))


def _migrate(owner_url: str) -> None:
    engine = sqlalchemy.create_engine(
        sqlalchemy.make_url(owner_url).set(drivername="postgresql+psycopg")
    )
    config = Config()
    config.set_main_option("script_location", str(HERE / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()
