"""`./winback sources`: what a data engineer asks while connecting a shop.

Only what is printed; the looking is done in `extract/source_check.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from winback.errors import SourceError
from winback.terminal import line, out

if TYPE_CHECKING:
    from winback.extract.column_mapping import ColumnMapping
    from winback.extract.source_check import FeedCheck

app = typer.Typer(no_args_is_help=True, help="Connect your data, and see whether it fits.")


@app.command(short_help="Look at every source: columns, mapping, first rows, what would not pass.")
def check() -> None:
    """Read the beginning of every source that config/sources.yaml maps, load nothing, and say what
    is there, how it is mapped, and which rows would be quarantined. Personal values are masked.

    Connections are taken from AIRFLOW_CONN_… variables, or from Airflow while winback runs.
    """
    from winback.extract.mapping import read_dataset
    from winback.extract.snapshot import chosen_dataset
    from winback.extract.source_check import check_sources
    from winback.settings import settings

    config = settings()
    dataset = read_dataset(config.sources, chosen_dataset(config), config.data)
    checks = check_sources(dataset, config.business_timezone)
    for each in checks:
        _show(each)
    faulty = [each.mapping.feed.name for each in checks if each.problem]
    if faulty:
        raise SourceError(f"mend the source of {', '.join(faulty)}, then check again")


@app.command("list", short_help="Say of every feed how fresh it is and what was left out.")
def show_feeds() -> None:
    """Show what the warehouse holds of each feed: rows, newest fact, and the share in quarantine.

    The same stands in marts.rpt_feeds for BI tools.
    """
    from winback.server import warehouse_query

    out.print(warehouse_query.as_table(warehouse_query.ask(_FEEDS)))


_FEEDS = """
select feed, case when is_present then coalesce(source, '') else 'not mapped' end
    || case when is_made_up then ' (made up)' else '' end as source,
    n_rows as rows, newest_event_at::date as newest, loaded_at::timestamp(0) as loaded,
    round(quarantined_pct, 2) as "quarantined %"
from marts.rpt_feeds order by is_present desc, feed
"""


def _show(found: FeedCheck) -> None:
    feed = found.mapping.feed
    out.print(Text(f"\n{feed.name}", style="bold"), Text(f"from {found.mapping.source}"))
    if found.problem:
        out.print(Text(f"  {found.problem}", style="red"), soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("  feed", "source", "type", *(f"row {n + 1}" for n in range(len(found.sample)))):
        table.add_column(title)
    for name, how in found.mapping.columns.items():
        origin = next(iter(how.source_columns), None) if how.column else None
        kind = found.source_columns.get(origin, "") if origin else ""
        values = [row.get(origin, "") if origin else "" for row in found.sample]
        table.add_row(f"  {name}", _origin(how), kind, *values)
    out.print(table)
    if found.unmapped_columns:
        line(f"  not mapped, optional: {', '.join(found.unmapped_columns)}")
    if found.unused_columns:
        line(f"  not read from the source: {', '.join(found.unused_columns)}")
    n_bad = sum(found.reasons.values())
    if n_bad:
        line(f"  of the first {found.n_looked_at:,} rows would be quarantined:")
        for reason, n in found.reasons.most_common(8):
            out.print(Text(f"    {n:>7,}  {reason}", style="yellow"), soft_wrap=True)
    else:
        out.print(Text(f"  the first {found.n_looked_at:,} rows pass", style="green"))


def _origin(how: ColumnMapping) -> str:
    if how.column:
        return how.column
    if how.constant is not None:
        return f"always {how.constant!r}"
    return how.template or f"generated: {how.generate}"
