"""Runs a command of ./winback inside the instance: with its warehouse, its key and its settings.

For commands that change the warehouse through the product's own code. Queries alone go through
`warehouse_query.py`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from winback.errors import ServerError
from winback.server import airflow_environment, instance, supervisor
from winback.settings import connection_from_environment
from winback.warehouse.connection import WAREHOUSE


def work_inside() -> None:
    """Returns where this process knows its warehouse; else a child does the command that was given.

    A process that knows it is such a child, or a shell on a server whose environment says it. When
    no instance runs, PostgreSQL is started for this command alone.

    Raises:
        SystemExit: A child has done the command.
        ServerError: There is no warehouse yet.
    """
    if connection_from_environment(WAREHOUSE) is not None:
        return
    with _environment() as environment:
        command = [sys.executable, "-m", "winback", *sys.argv[1:]]
        raise SystemExit(subprocess.run(command, env=environment, check=False).returncode)


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    found = instance.running()
    if found:
        ours, state = found
        yield airflow_environment.child_environment(ours, state.ports, ours.kept_environment())
        return
    ours = instance.current()
    if not ours.was_set_up:
        raise ServerError("there is no warehouse yet: ./winback demo or ./winback up makes one")
    with instance.only_one(), instance.reserved_ports() as ports:
        supervisor.clear_leftovers_of(ours)
        server = supervisor.start_postgres(ours, ports["postgres"])
        try:
            yield airflow_environment.child_environment(ours, ports, ours.kept_environment())
        finally:
            server.stop()
