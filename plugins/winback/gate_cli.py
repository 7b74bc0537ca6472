"""`./winback gate`: what a gate found, and letting a failure pass on purpose.

Only what is printed; what a gate judges lies in `gate/` and `expectations/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from winback.terminal import line, out, print_table, user_name

if TYPE_CHECKING:
    from psycopg import Connection

    from winback.gate.records import GateRun

N_LISTED = 20

app = typer.Typer(no_args_is_help=True, help="See why a gate stopped the flow, or let it pass.")

_Run = Annotated[
    int | None, typer.Argument(metavar="RUN", help="Number of the run; left out: the newest.")
]


@app.command(short_help="Show what a gate found: what failed, where, how many, examples.")
def show(run: _Run = None) -> None:
    """Show one run of a gate: what failed, where, how many, why it matters, ten masked examples,
    and how to go on. The log of the task in Airflow says the same.

    Example:

        ./winback gate show
    """
    from winback.gate import records, screen
    from winback.gate.data_docs import page_of

    with _as_sender() as (connection, home):
        found = records.read_run(connection, run) if run else _newest(connection)
        findings = records.read_findings(connection, found.gate_run_id)
    for each in screen.lines(found, findings, page_of(home / "gates", found)):
        out.print(each, soft_wrap=True)


@app.command("list", short_help="List the newest runs of the gates.")
def show_runs() -> None:
    """List the newest runs of the gates, and who let a failed one pass."""
    from winback.gate.records import newest_runs

    with _as_sender() as (connection, _):
        runs = newest_runs(connection, N_LISTED)
    table = Table(header_style="bold", box=None, pad_edge=False)
    for title in ("run", "gate", "snapshot", "as of", "judged (UTC)", "verdict"):
        table.add_column(title, justify="right" if title in ("run", "snapshot") else "left")
    for each in runs:
        table.add_row(
            str(each.gate_run_id),
            each.gate,
            str(each.snapshot_id),
            str(each.as_of) if each.purpose == "live" else f"{each.as_of} ({each.purpose})",
            f"{each.decided_at.astimezone(UTC):%Y-%m-%d %H:%M}",
            _verdict(each),
        )
    print_table(table)


@app.command(short_help="Let a failed gate pass on purpose; that is recorded.")
def accept(
    run: Annotated[int, typer.Argument(metavar="RUN", help="Number of the failed run.")],
    reason: Annotated[str, typer.Option(help="Why it is right to act on this batch all the same.")],
) -> None:
    """Let a failed run of the newest live snapshot pass on purpose. Who, when and why are recorded.

    It holds for this snapshot alone and for what had failed: another failure stops it again.

    Example:

        ./winback gate accept 7 --reason "public holiday, the shop was closed"
    """
    from winback.gate import screen
    from winback.gate.acceptance import accept as record_acceptance

    with _as_sender() as (connection, _):
        accepted = record_acceptance(connection, run, reason, user_name())
    line(
        f"gate {accepted.gate} of snapshot {accepted.snapshot_id} ({accepted.as_of}) is accepted by"
        f" {accepted.accepted_by}: {accepted.n_failed} failed expectations, because"
        f" {accepted.reason}"
    )
    line(f"go on with {screen.GO_ON[accepted.gate]}, or clear the failed task in Airflow")


def _newest(connection: Connection) -> GateRun:
    from winback.gate.records import UnknownRun, newest_runs

    runs = newest_runs(connection, 1)
    if not runs:
        raise UnknownRun("no gate has run yet: ./winback run winback_ingest does it")
    return runs[0]


def _verdict(run: GateRun) -> Text:
    if run.is_passed:
        return Text("passed", "green")
    if run.accepted_by is None:
        return Text(f"{run.n_failed} failed", "red")
    return Text(f"{run.n_failed} failed, accepted by {run.accepted_by}", "yellow")


@contextmanager
def _as_sender() -> Iterator[tuple[Connection, Path]]:
    """A connection to the warehouse, and the folder that the gates' pages lie below."""
    from winback.server.instance_command import work_inside
    from winback.settings import settings
    from winback.warehouse import connection as warehouse

    work_inside()
    with warehouse.connect("sender") as connection:
        yield connection, settings().home
