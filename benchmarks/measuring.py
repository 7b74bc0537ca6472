"""How a benchmark measures and tells: pairs of ours and the floor in one run, medians, one table.

What is measured stands in a module for each benchmark.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from winback.terminal import line, out

PAIRS = 3


@dataclass
class Result:
    """What a benchmark found.

    Attributes:
        bench: Its name.
        ratios: Ours over the floor, or how many times faster; medians of pairs.
        figures: Other numbers, with their unit in the name.
        limits: The most that a ratio or figure may be.
        at_least: The least that it has to be.
    """

    bench: str
    ratios: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    at_least: dict[str, float] = field(default_factory=dict)

    def exceeded(self) -> list[str]:
        """Names of what lies above the most or below the least it may be."""
        found = self.ratios | self.figures
        too_much = [name for name, limit in self.limits.items() if found.get(name, 0) > limit]
        return too_much + [
            name for name, least in self.at_least.items() if found.get(name, 0) < least
        ]


def pairs(
    what: str, ours: Callable[[], float], floor: Callable[[], float], n: int = PAIRS
) -> tuple[float, float, float]:
    """Runs ours and the floor in turn, so that both meet the same machine.

    Args:
        what: Told while it runs.
        ours: Gives seconds.
        floor: Gives seconds.
        n: Pairs.

    Returns:
        Median ratio, median seconds of ours, median seconds of the floor.
    """
    measured = []
    for nth in range(1, n + 1):
        # the second of a pair finds warmer caches: take turns
        if nth % 2:
            seconds, floor_seconds = ours(), floor()
        else:
            floor_seconds, seconds = floor(), ours()
        measured.append((seconds, floor_seconds))
        line(f"  {what} {nth}/{n}: {seconds:.1f} s, floor {floor_seconds:.1f} s")
    return (
        statistics.median(mine / theirs for mine, theirs in measured),
        statistics.median(mine for mine, _ in measured),
        statistics.median(theirs for _, theirs in measured),
    )


def peak_mib() -> float:
    """The most memory that this process has held so far."""
    # ru_maxrss would count the process that started this one as well
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def tell(result: Result, *, as_json: bool) -> None:
    """Prints a result as a table, or as one JSON object."""
    rounded: dict[str, Mapping[str, Any]] = {
        "ratios": {name: round(value, 3) for name, value in result.ratios.items()},
        "figures": {name: round(value, 3) for name, value in result.figures.items()},
    }
    if as_json:
        bounds = {"limits": result.limits, "at_least": result.at_least}
        out.print_json(json.dumps({"bench": result.bench, **rounded, **bounds}), indent=None)
        return
    table = Table("", "measured", "allowed", header_style="bold")
    exceeded = result.exceeded()
    for part in rounded.values():
        for name, value in part.items():
            allowed = [f"at most {result.limits[name]:g}"] if name in result.limits else []
            allowed += [f"at least {result.at_least[name]:g}"] if name in result.at_least else []
            style = "red" if name in exceeded else "green" if allowed else ""
            table.add_row(name, f"{value:,.2f}", ", ".join(allowed), style=style)
        table.add_section()
    out.print(table)
