"""Runs a command of ./winback inside the instance: with its warehouse, its key and its settings.

For commands that change the warehouse through the product's own code. Queries alone go through
`warehouse_query.py`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from winback.errors import ServerError
from winback.server import airflow_environment, instance, supervisor
from winback.settings import connection_from_environment
from winback.warehouse.connection import WAREHOUSE


def is_inside() -> bool:
    """Whether this process knows its warehouse already: a child of ours, or a server's shell."""
    return connection_from_environment(WAREHOUSE) is not None


def run_inside(arguments: Sequence[str]) -> int:
    """Runs the command in the instance that runs, or in the one that was set up last.

    When none runs, its PostgreSQL is started for this command alone.

    Args:
        arguments: What follows `./winback`.

    Returns:
        The exit code.

    Raises:
        ServerError: There is no warehouse yet.
    """
    with _environment() as environment:
        command = [sys.executable, "-m", "winback", *arguments]
        return subprocess.run(command, env=environment, check=False).returncode


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    found = instance.running()
    if found:
        ours, state = found
        yield airflow_environment.child_environment(ours, state.ports)
        return
    ours = instance.current()
    if not ours.was_set_up:
        raise ServerError("there is no warehouse yet: ./winback demo or ./winback up makes one")
    with instance.only_one(), instance.reserved_ports() as ports:
        supervisor.clear_leftovers_of(ours)
        server = supervisor.start_postgres(ours, ports["postgres"])
        try:
            yield airflow_environment.child_environment(ours, ports)
        finally:
            server.stop()
