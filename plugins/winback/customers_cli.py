"""`./winback customers`: who turned out to be the same person, and how to take that back.

Only what is printed; the work is done in `extract/loading/customer_merge.py`.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from winback.terminal import line, print_table, user_name

N_LISTED = 100

app = typer.Typer(no_args_is_help=True, help="Customers who are one person.")


@app.command(short_help="List who was merged into whom, and why.")
def merged() -> None:
    """List the newest hundred merges. Keys are hashes: names and addresses stay where they are."""
    from winback.extract.loading.customer_merge import newest_merges
    from winback.server.instance_command import work_inside

    work_inside()
    merges = newest_merges(N_LISTED)
    if not merges:
        line("no customer turned out to be another one")
        return
    table = Table(
        "customer", "is", "because of the same", "since", "taken back", header_style="bold"
    )
    for each in merges:
        table.add_row(
            each.customer_key, each.winner_key, each.evidence.replace("_", " "),
            str(each.merged_as_of), each.taken_back,
        )  # fmt: skip
    print_table(table)


@app.command(short_help="Take a merge back, for good.")
def unmerge(
    customer_key: Annotated[str, typer.Argument(metavar="KEY", help="As in the first column.")],
    reason: Annotated[str, typer.Option(help="Why they are two people; kept.")],
) -> None:
    """Say that a customer is a person alone. Holds from today's models on; no load merges them
    again.

    Example:

        ./winback customers unmerge 3f0c… --reason "father and son"
    """
    from winback.extract.loading.customer_merge import unmerge as take_back
    from winback.server.instance_command import work_inside

    work_inside()
    winner = take_back(customer_key, reason, user_name())
    line(f"{customer_key} is no longer {winner}; the next run of winback_ingest rebuilds the marts")
