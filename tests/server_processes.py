"""What the tests of the server ask of processes and databases."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from winback.server import (
    keeper,
)

PORTS = {"airflow": 18080, "postgres": 15433, "sandbox": 18025}


@dataclass
class Ordinary:
    """A user who is not root: the arguments that start a process as them, and their folder."""

    popen: dict[str, Any]
    folder: Path


def ask(server, statement="select 1"):
    with psycopg.connect(server.url(), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone() if cursor.description else None


def marked_with(mark):
    """The living processes of one supervisor, seen without the code under test."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(keeper.MARKER, "").startswith(mark):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def eventually(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
