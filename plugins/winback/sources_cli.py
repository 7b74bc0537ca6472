"""`./winback sources`: what a data engineer asks while connecting a shop.

Only wiring; the work is done in `extract/sources/source_check.py`,
`extract/proposal/source_proposal.py` and `extract/snapshot.py`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from winback.errors import DeclarationError, SourceError
from winback.terminal import line, out, print_table

app = typer.Typer(no_args_is_help=True, help="Connect your data, and see whether it fits.")


@app.command(short_help="Look at every source: columns, mapping, first rows, what would not pass.")
def check() -> None:
    """Read the beginning of every source that config/sources.yaml maps, load nothing, and say what
    is there, how it is mapped, what is missing and what to write, and which rows would be
    quarantined. Personal values are masked.

    Connections are taken from AIRFLOW_CONN_… variables, or from Airflow while winback runs.
    """
    from winback.extract.mapping.dataset import read_dataset
    from winback.extract.snapshot import chosen_dataset
    from winback.extract.sources.source_check import check_sources
    from winback.extract.sources.source_report import report
    from winback.settings import settings

    config = settings()
    dataset = read_dataset(config.sources, chosen_dataset(config), config.data, is_draft=True)
    checks = check_sources(dataset, config.business_timezone)
    for each in checks:
        out.print(report(each))
    unreadable = [each.mapping.feed.name for each in checks if each.problem]
    if unreadable:
        raise SourceError(f"mend the source of {', '.join(unreadable)}, then check again")
    incomplete = [each.mapping.feed.name for each in checks if each.missing]
    if incomplete:
        raise DeclarationError(
            f"map the required columns of {', '.join(incomplete)} in {config.sources}, then check"
            " again"
        )


@app.command(short_help="Propose a mapping by looking at your tables or files.")
def init(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="ADDRESS",
            help="postgres://user:password@host:5432/database, the id of an Airflow connection, or"
            " a folder of .csv, .parquet or .jsonl files",
        ),
    ],
    dataset: Annotated[str, typer.Option(help="Name of the dataset.")] = "shop",
) -> None:
    """Look at tables or files, and print a sources file that maps each feed to the table that looks
    most like it, by names and types. Nothing is loaded or changed. Comments say what is doubtful.

    Save it, choose it, and look at it:

        ./winback sources init --from … > shop.yaml

        WINBACK_SOURCES=shop.yaml WINBACK_DATASET=shop ./winback sources check
    """
    from winback.extract.proposal.source_proposal import propose_sources

    out.print(Text(propose_sources(source, dataset)), soft_wrap=True, end="")


@app.command(short_help="Load one feed now, for instance after mending its source.")
def load(
    feed: Annotated[str, typer.Argument(help="Such as orders.")],
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="DATE", help="Read what was changed from this day on."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Read everything, whatever the cursor says.")
    ] = False,
    accept_types: Annotated[
        bool, typer.Option(help="A required column may have another type than before.")
    ] = False,
) -> None:
    """Load one feed from its source and say what became of its rows. Rows are replaced by their
    keys, so doing it twice changes nothing. Models and lists follow with the next run.

    Example:

        ./winback sources load orders --since 2026-01-01
    """
    from winback.extract.snapshot import load_one
    from winback.server.instance_command import work_inside

    work_inside()
    day = since.date() if since else None
    counts = load_one(feed, day, is_whole=everything, accept_types=accept_types)
    line(
        f"{feed}: {counts.n_received:,} received = {counts.n_passed:,} passed"
        f" + {counts.n_quarantined:,} quarantined"
        + (f", {counts.n_deleted:,} deleted at the source" if counts.n_deleted else "")
    )
    if counts.n_quarantined:
        line(f"  what and why: ./winback sources quarantined {feed}")


@app.command(short_help="Show the rows that were set aside, and why.")
def quarantined(
    feed: Annotated[str | None, typer.Argument(help="Such as orders; left out: all.")] = None,
    limit: Annotated[int, typer.Option(help="Rows at most.", min=1)] = 20,
) -> None:
    """Show the rows of each feed's newest load that broke their declaration, with every reason.
    Personal values are keyed hashes. Mend them at the source, then load the feed again.
    """
    from winback.extract.loading.quarantine import newest_rejected
    from winback.server.instance_command import work_inside

    work_inside()
    rows = newest_rejected(feed, limit)
    if not rows:
        line(f"nothing is in quarantine{f' of {feed}' if feed else ''}")
        return
    for row in rows:
        out.print(Text(f"{row.feed}, {row.source}, row {row.row_number}", style="bold"))
        for reason in row.reasons:
            out.print(Text(f"  {reason}", style="yellow"), soft_wrap=True)
        received = {name: value for name, value in row.content.items() if value is not None}
        out.print(Text(f"  {json.dumps(received, ensure_ascii=False)}", style="dim"))
    line(f"\nMend them at the source, then: ./winback sources load {feed or 'FEED'}")


@app.command("list", short_help="Say of every feed how fresh it is and what was left out.")
def show_feeds() -> None:
    """Show what the warehouse holds of each feed: rows, newest fact, the share in quarantine, and
    columns that came to its source since the first load. Then what is off without the others.

    The same stands in marts.rpt_feeds for BI tools.
    """
    from winback.extract.feeds import FEEDS
    from winback.server import warehouse_query

    feeds = warehouse_query.ask(_FEEDS)
    present = [row[1:] for row in feeds.rows if row[0]]
    table = warehouse_query.as_table(replace(feeds, columns=feeds.columns[1:], rows=present))
    table.box = None
    print_table(table)
    line("")
    absent = Table("not mapped", "and so without", box=None, header_style="bold")
    for is_present, name, *_ in feeds.rows:
        if not is_present and name in FEEDS:
            absent.add_row(name, FEEDS[name].switches_on)
    print_table(absent)


_FEEDS = """
select is_present, feed, coalesce(source, '') || case when is_made_up then ' (made up)' else '' end
    as source, n_rows as rows, newest_event_at::date as newest,
    to_char(loaded_at, 'MM-DD HH24:MI') as loaded,
    round(quarantined_pct, 2) as "bad %", n_new_columns as "new cols"
from marts.rpt_feeds order by is_present desc, feed
"""
