"""What the demo shows on the screen: progress, times per phase, the result, and where to look."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from winback.demo.demo_data import DemoData
from winback.server.supervisor import Running
from winback.terminal import line, out

NO_VALUE = "–"
# more of the lapsed than this come back untouched: they were called lapsed too early
LAPSED_BACK_SHARE = 0.1


class Screen:
    """The progress display: a line per finished step, and on a terminal a bar below them."""

    def __init__(self, n_steps: int) -> None:
        self.seconds: dict[str, float] = {}
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=out,
            transient=True,
            disable=not out.is_terminal,
        )
        self._task = self._bar.add_task("winback demo", total=n_steps)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Shows the bar until `stop`, or until the block ends."""
        self._bar.start()
        try:
            yield
        finally:
            self._bar.stop()

    def stop(self) -> None:
        """Takes the bar away."""
        self._bar.stop()

    def note(self, text: str) -> None:
        """Says what happens right now."""
        self._bar.update(self._task, description=text)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times one step and prints it when it is done."""
        self.note(name)
        begin = time.monotonic()
        yield
        self.finished({name: round(time.monotonic() - begin, 1)})

    def finished(self, steps: Mapping[str, float]) -> None:
        """Prints steps that are done, with their seconds."""
        for name, seconds in steps.items():
            self.seconds[name] = seconds
            line(f"  {name:<40}{seconds:>7.1f} s")
            self._bar.advance(self._task)


_ROWS = (
    ("customers", "n_customers"),
    ("bought nothing for 180 days", "n_six_months"),
    ("lapsed by their own rhythm", "n_lapsed"),
    ("candidates first assigned", "n_candidates"),
    ("  excluded", "n_excluded"),
    ("  holdout, left alone", "n_holdout"),
    ("  treated", "n_treated"),
    ("messages accepted", "n_accepted"),
    ("back within 60 days: treated", "n_recovered_treated"),
    ("back within 60 days: holdout", "n_recovered_holdout"),
)


def show_summary(
    summary: Mapping[str, Any], excluded: Mapping[str, Mapping[str, int]], data: DemoData
) -> None:
    """Prints the result, one column per date, and what is to be thought of it.

    Args:
        summary: As in `summary.json`.
        excluded: People excluded per reason and date.
        data: What the demo ran on.
    """
    dates = summary["dates"]
    if data.caveat:
        line("")
    for text in data.caveat:
        out.print(Text(text, style="yellow"), soft_wrap=True)
    table = Table(title="\nThe people first assigned on each date, as known on the last one")
    table.add_column("", no_wrap=True)
    for each in dates:
        table.add_column(each["as_of"], justify="right")
    for label, name in _ROWS:
        table.add_row(label, *(_number(each[name]) for each in dates))
        if name == "n_excluded":
            for reason, counts in excluded.items():
                cells = (_number(counts.get(each["as_of"], 0)) for each in dates)
                table.add_row(f"    {reason}", *cells, style="dim")
    table.add_section()
    table.add_row(
        "naive win-back rate", *(_percent(each["naive_pct"]) for each in dates), style="yellow"
    )
    table.add_row(
        "incremental effect, points", *(_points(each) for each in dates), style="bold cyan"
    )
    table.add_row("95 % interval", *(_interval(each) for each in dates), style="cyan")
    table.add_row("which means", *(each["reading"] for each in dates))
    out.print(table)
    if "external_campaigns" in summary:
        _show_external_campaigns(summary["external_campaigns"], dates[-1]["as_of"])
    if "economics" in summary:
        _show_economics(summary["economics"])
    line("")
    for text in data.closing:
        line(text)
    naive = dates[0]["naive_pct"]
    if naive is not None:
        line(
            f"The naive rate claims {naive:.1f} % won back on {dates[0]['as_of']}; they came by"
            " themselves, as the holdout shows."
        )
    _show_chance(dates)
    _show_hasty_lapses(dates)
    line(f"\nDone in {summary['seconds']:.0f} s.")


def _show_external_campaigns(campaigns: Sequence[Mapping[str, Any]], as_of: str) -> None:
    table = Table(title=f"\nCampaigns that others sent, by type, as known on {as_of}")
    columns = ("", "campaigns", "written to", "may still answer", "answered", "response")
    for i, name in enumerate(columns):
        table.add_column(name, justify="right" if i else "left", no_wrap=not i)
    for each in campaigns:
        counts = (each[name] for name in ("n_campaigns", "n_assigned", "n_open", "n_responded"))
        response = f"{each['response_pct']:.1f} %"
        table.add_row(each["campaign_type"], *map(_number, counts), Text(response, style="bold"))
    out.print(table)
    line("Response is no effect: nobody was left alone, so who would have bought anyway is in it.")


def _show_economics(economics: Mapping[str, Any]) -> None:
    cost, worth = (economics[name] / 100 for name in ("cost_cents", "worth_cents"))
    lift = f"{economics['lift_pct']:g} % ({economics['lift_from']})"
    line("")
    line(
        f"Before {economics['as_of']} the models were trained, so costs were weighed against"
        f" returns: of {economics['n_judged']:,}"
    )
    line(
        f"people, at a lift of {lift}, {cost:,.2f} of costs would bring {worth:,.2f} of margin."
        f" {economics['n_costing_more']:,} of the"
    )
    line("audience cost more than they return, and are left out of what is drawn from now on.")


def _show_hasty_lapses(dates: Sequence[Mapping[str, Any]]) -> None:
    closed = [each for each in dates if each["n_recovered_holdout"] is not None]
    n_holdout = sum(each["n_holdout"] for each in closed)
    n_back = sum(each["n_recovered_holdout"] for each in closed)
    if n_holdout and n_back / n_holdout > LAPSED_BACK_SHARE:
        line(
            f"Of those left alone {100 * n_back / n_holdout:.0f} % came back within 60 days: many"
            " of the lapsed were only pausing."
        )
        line("The rule for who is lapsed was measured on CDNOW: docs/demo-data.md.")


def _show_chance(dates: Sequence[Mapping[str, Any]]) -> None:
    missing = [
        each["as_of"]
        for each in dates
        if each["incremental_low_pct"] is not None
        and not each["incremental_low_pct"] <= 0 <= each["incremental_high_pct"]
    ]
    if missing:
        line(
            f"The interval of {' and '.join(missing)} leaves zero out, and is wrong: one 95 %"
            " interval in twenty is, by the draw alone."
        )


def show_broken(feed: str, message: str, n_accepted: int) -> None:
    """Prints that the gate stopped a broken batch."""
    out.print(Text(f"\nThe gate stopped the broken batch of {feed}, as it should.", style="bold"))
    for part in message.split(" | "):
        line(f"  {part}")
    line(f"\nModels built from it: none. Messages sent: {n_accepted}.")


def show_files(home: Path, *, has_figures: bool) -> None:
    """Prints where the files are that stay."""
    line("")
    if has_figures:
        _show({"figures": home / "summary.json", "marketing lists": home / "lists"})
    _show({"logs": home / "logs", "ask more": './winback sql "select …"'})


def show_addresses(running: Running) -> None:
    """Prints where to look while everything runs."""
    airflow = running.urls["airflow"]
    _show(
        {
            "Airflow": f"{airflow}  (admin / {running.admin_password})",
            "Win-back tab": f"{airflow}/plugin/winback",
            "sandbox inbox": running.urls["sandbox"],
        }
    )
    line("\nAll of it keeps running. Ctrl-C stops it.")


def show_stopped_again() -> None:
    """Prints that nothing runs any more."""
    line("\nEverything is stopped again; ./winback demo without --exit stays up to look around.")


def _show(places: Mapping[str, object]) -> None:
    for name, value in places.items():
        line(f"  {name:<18}{value}")


def _number(value: int | None) -> str:
    return NO_VALUE if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return NO_VALUE if value is None else f"{value:.2f} %"


def _points(each: Mapping[str, Any]) -> str:
    value = each["incremental_pct"]
    return NO_VALUE if value is None else f"{value:+.2f}"


def _interval(each: Mapping[str, Any]) -> str:
    low, high = each["incremental_low_pct"], each["incremental_high_pct"]
    return NO_VALUE if low is None else f"{low:+.2f} to {high:+.2f}"
