"""Airflow's metadata for tests that run a DAG: migrated once, cloned for each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from winback.server.postgres_server import PostgresServer

TEMPLATE = "airflow_template"
RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def airflow_template(postgres_server: PostgresServer) -> str:
    """Name of a database with Airflow's schema and nothing in it."""
    _database(postgres_server, "create database {}", TEMPLATE)
    _python(postgres_server, TEMPLATE, "-m", "airflow", "db", "migrate", check=True)
    return TEMPLATE


@pytest.fixture
def airflow_python(postgres_server: PostgresServer, airflow_template: str) -> RunPython:
    """Runs Python with an Airflow whose metadata is new: `airflow_python("-c", code)`."""
    name = f"airflow_{uuid4().hex[:12]}"
    _database(postgres_server, "create database {} template {}", name, airflow_template)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return _python(postgres_server, name, *arguments, check=False)

    return run


def _python(
    server: PostgresServer, database: str, *arguments: str, check: bool
) -> subprocess.CompletedProcess[str]:
    url = server.url(database).replace("postgresql://", "postgresql+psycopg2://")
    environment = os.environ | {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    }
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=check)


def _database(server: PostgresServer, statement: str, *names: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]
