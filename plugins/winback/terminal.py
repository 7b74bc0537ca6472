"""How ./winback writes to the terminal: lines, progress, addresses."""

from __future__ import annotations

import os
import pwd
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from winback.server.instance import Instance, RunningState

out = Console(highlight=False)


def line(text: str) -> None:
    """Prints text as it is: unfolded, and without reading markup in it."""
    out.print(Text(text), soft_wrap=True)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Shows the latest step: one changing line on a terminal, else a line per minute."""
    if out.is_terminal:
        with out.status("…") as status:
            yield lambda text: status.update(Text(text))
        return
    begin = shown = time.monotonic()

    def once_a_minute(text: str) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= 60.0:
            shown = now
            sys.stderr.write(f"{now - begin:.0f} s: {text}\n")

    yield once_a_minute


def show_addresses(ours: Instance, state: RunningState) -> None:
    """Prints where a running instance is found, and how to log in."""
    from winback.server.airflow_environment import ADMIN

    rows = {"Airflow": state.urls["airflow"]}
    rows["login"] = f"{ADMIN} / {ours.secrets()['admin_password']}"
    if "sandbox" in state.pids:
        rows["mail sandbox"] = state.urls["sandbox"]
    rows["PostgreSQL"] = f"127.0.0.1:{state.ports['postgres']}, database winback"
    rows["data"] = str(ours.home)
    rows["stop with"] = "./winback down"
    for name, value in rows.items():
        line(f"{name:<14}{value}")


def user_name() -> str:
    """Who is logged in to this machine; not from the environment, where anybody may write."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # a container may run as a user that it does not know
        return f"user {os.getuid()}"


def print_table(table: Table) -> None:
    """Prints a table; a pipe has no width, so nothing is folded for it."""
    wide = out if out.is_terminal else Console(width=10_000, highlight=False)
    wide.print(table)
