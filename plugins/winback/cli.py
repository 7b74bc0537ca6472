"""The commands of ./winback: what they are called, what they take and what they print.

What they do lies in `server` and `demo`, imported when a command runs, so that `--help` is
quick. Errors are handled in `__main__`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from winback import (
    consent_cli,
    customers_cli,
    developer_cli,
    explain_cli,
    gate_cli,
    outreach_cli,
    privacy_cli,
    sources_cli,
)
from winback.terminal import line, out, print_table, progress, show_addresses

_START = "Start here"
_DAILY = "Daily work"
_LOOK = "Look inside"
_NOT_RUNNING = 3  # what `systemctl status` says, too

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Brings lost customers back, and proves it.",
    epilog="Data lie in [bold].winback[/bold]; the variable [bold]WINBACK_HOME[/bold] moves them. "
    "Every command explains itself: [bold]./winback sql --help[/bold]",
)


@app.command(
    rich_help_panel=_START, short_help="Show the whole flow on real data; needs no set-up."
)
def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="Stop everything at the end instead of staying up.")
    ] = False,
    break_feed: Annotated[
        str | None,
        typer.Option(
            "--break", metavar="FEED", help="Damage a feed, to see how the gate stops the flow."
        ),
    ] = None,
    data: Annotated[
        str, typer.Option(metavar="NAME", help="What it runs on: cdnow or completejourney.")
    ] = "cdnow",
) -> None:
    """Run the whole flow on real purchases (CDNOW, 1997 to 1998) and show what came of it.

    With --data completejourney: on a grocer's baskets, products and campaigns of 2017, which their
    publisher calls simulated after real shopping.

    All of it is made for the demo on this machine, and no message leaves it.

    Stays up until Ctrl-C.

    Examples:

        ./winback demo

        ./winback demo --exit

        ./winback demo --break orders

        ./winback demo --data completejourney
    """
    from winback.demo.replay import run_demo

    raise typer.Exit(run_demo(leave, break_feed, data))


app.command(
    rich_help_panel=_START,
    short_help="Run all tests, or those you name.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(developer_cli.test)
app.command(rich_help_panel=_LOOK, short_help="Measure how fast it is, against the floor.")(
    developer_cli.bench
)


@app.command(rich_help_panel=_DAILY, short_help="Start winback in the background.")
def up(
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay here and stop with Ctrl-C, for systemd.")
    ] = False,
) -> None:
    """Start PostgreSQL, Airflow and, unless real mail is set up, the mail sandbox.

    Prints the addresses and the login once everything answers.
    """
    from winback.server import background, instance

    if foreground:
        background.run_in_foreground(line)
        return
    with progress() as tell:
        state = background.start(tell)
    show_addresses(instance.instance(state.mode), state)


@app.command(rich_help_panel=_DAILY, short_help="Stop it, and wait until all of it has ended.")
def down() -> None:
    """Stop what runs here, be it started by up or by demo."""
    from winback.server import background

    with progress() as tell:
        tell("stopping")
        state = background.stop()
        leftovers = background.clear_leftovers()
    if state:
        out.print(f"stopped {'the demo' if state.mode == 'demo' else 'winback'}")
    elif leftovers:
        out.print("ended what an earlier run had left behind")
    else:
        out.print("nothing runs here")


@app.command(rich_help_panel=_DAILY, short_help="Say what runs, and where.")
def status() -> None:
    """Say what runs here, at which addresses and how it does. Exit code 3 when nothing runs."""
    from winback.server import instance, triggered_run

    found = instance.running()
    if found is None:
        out.print("nothing runs here; start it with ./winback up")
        raise typer.Exit(_NOT_RUNNING)
    ours, state = found
    if not state.ready:
        out.print(f"{state.say()}")
        return
    show_addresses(ours, state)
    api = triggered_run.api_of(ours, state)
    dags = Table("DAG", "last run", "state", header_style="bold")
    for dag in api.dags():
        last = api.latest_run(dag["dag_id"]) or {"dag_run_id": "", "state": "not run yet"}
        dags.add_row(
            dag["dag_id"], last["dag_run_id"], "paused" if dag["is_paused"] else last["state"]
        )
    api.close()
    out.print(dags)


@app.command(rich_help_panel=_DAILY, short_help="Run one DAG now and wait for its end.")
def run(
    dag: Annotated[str, typer.Argument(metavar="DAG", help="Such as winback_ingest.")],
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="DATE", help="The date to work for: 1998-06-30."
        ),
    ] = None,
) -> None:
    """Run one DAG of the running Airflow now, wait, and say how each task ended.

    Example:

        ./winback run winback_ingest --as-of 1998-06-30
    """
    from winback.server import triggered_run

    with progress() as tell:
        finished = triggered_run.run(
            dag, as_of.date() if as_of else None, lambda states: tell(_states_line(dag, states))
        )
    table = Table("task", "state", header_style="bold")
    for task, state in finished.states.items():
        table.add_row(task, Text(state or "none", "green" if state == "success" else "red"))
    out.print(table)
    out.print(f"logs: {finished.logs}", soft_wrap=True)
    if finished.failure:
        raise triggered_run.RunFailed(finished.failure)


app.add_typer(sources_cli.app, name="sources", rich_help_panel=_DAILY)
app.add_typer(customers_cli.app, name="customers", rich_help_panel=_LOOK)
app.add_typer(gate_cli.app, name="gate", rich_help_panel=_DAILY)
app.add_typer(consent_cli.app, name="consent", rich_help_panel=_DAILY)
app.add_typer(outreach_cli.app, name="outreach", rich_help_panel=_DAILY)
app.command(rich_help_panel=_DAILY, short_help="Erase a person for good, on request.")(
    privacy_cli.erase
)
app.command(rich_help_panel=_LOOK, short_help="Tell one customer's story.")(explain_cli.explain)


@app.command(rich_help_panel=_LOOK, short_help="Ask the warehouse, as BI tools do.")
def sql(
    statement: Annotated[str, typer.Argument(metavar='"SELECT …"', help="One statement.")],
    csv: Annotated[bool, typer.Option("--csv", help="Comma-separated, for a file.")] = False,
    owner: Annotated[
        bool, typer.Option("--owner", help="As the warehouse's owner: sees and may change all.")
    ] = False,
) -> None:
    """Run one query as the role winback_bi: it reads the marts, sees no personal data, and
    changes nothing. Works while winback is down, too.

    Example:

        ./winback sql "select state, count(*) from marts.fct_customer_states group by 1"
    """
    from winback.server import warehouse_query

    result = warehouse_query.ask(statement, as_owner=owner)
    if csv:
        sys.stdout.write(warehouse_query.as_csv(result))
    elif result.columns:
        print_table(warehouse_query.as_table(result))
        out.print(f"{len(result.rows)} rows" if len(result.rows) != 1 else "1 row")
    else:
        out.print(result.status)


@app.command(rich_help_panel=_LOOK, short_help="Show the log of a service.")
def logs(
    name: Annotated[
        str | None, typer.Argument(help="Which; left out: say which there are.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing what is added, until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.")] = 100,
) -> None:
    """Show the last lines of a service's log. With -f and no name: what all of them write.

    Examples:

        ./winback logs

        ./winback logs -f scheduler
    """
    from winback.server import instance, log_files

    files = log_files.log_files(instance.current())
    chosen = {name: log_files.choose(files, name)} if name else files
    if name:
        for text in log_files.last_lines(chosen[name], lines):
            line(text)
    elif not follow:
        table = Table("log", "bytes", "file", header_style="bold")
        for each, path in files.items():
            table.add_row(each, f"{path.stat().st_size:,}", Text(str(path), overflow="fold"))
        out.print(table)
    if follow:
        for origin, text in log_files.follow(chosen):
            line(text if name else f"{origin}: {text}")


def _states_line(dag: str, states: Mapping[str, str | None]) -> str:
    return f"{dag}: " + (
        ", ".join(f"{task} {state or 'waits'}" for task, state in states.items()) or "starting"
    )
