"""Holds figures against the bounds that were written down for their world, and prints both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.worlds.judge import Figure

# a label is given only where one is needed; of fewer than this a share says nothing
LEAST_LABELLED = 20
PATH = Path(__file__).with_name("bounds.yaml")


@dataclass(frozen=True)
class Bound:
    """What a figure has to reach.

    Attributes:
        oracle: The oracle's figure, to see how far the bound is from what is possible.
        at_least, at_most: Where it ends.
    """

    oracle: float
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, figure: Figure) -> bool:
        """Whether a figure is within; one that is not a number is not, but for too few labels."""
        if figure.name.startswith("label") and figure.n < LEAST_LABELLED:
            return True
        low = self.at_least if self.at_least is not None else float("-inf")
        high = self.at_most if self.at_most is not None else float("inf")
        return low <= figure.value <= high

    def __str__(self) -> str:
        parts = []
        if self.at_least is not None:
            parts.append(f"≥ {self.at_least:g}")
        if self.at_most is not None:
            parts.append(f"≤ {self.at_most:g}")
        return ", ".join(parts)


def bounds_of(world: str) -> dict[str, Bound]:
    """The bounds of a world by figure."""
    written = yaml.safe_load(PATH.read_text(encoding="utf-8"))[world]
    return {name: Bound(**bound) for name, bound in written.items()}


def broken(world: str, figures: list[Figure], *prefixes: str) -> list[str]:
    """The figures that are out of bounds, and the bounds for which there is no figure.

    Args:
        world: The world's name.
        figures: What was measured.
        prefixes: Only bounds that begin with one of these; all when left out.
    """
    measured = {figure.name: figure for figure in figures}
    found = []
    for name, bound in bounds_of(world).items():
        if not name.startswith(prefixes or ""):
            continue
        if name not in measured:
            found.append(f"{name} was not measured")
        elif not bound.holds(measured[name]):
            found.append(f"{name} is {measured[name].value:.3f} and has to be {bound}")
    return found


def table(world: str, seed: int, figures: list[Figure]) -> str:
    """The figures with bounds and the oracle's figures, as lines of text."""
    bounds = bounds_of(world)
    lines = [
        f"{world}, seed {seed}",
        f"  {'figure':<34} {'value':>8} {'of':>6}   {'bound':<16} {'oracle':>7}",
    ]
    for figure in figures:
        line = f"  {figure.name:<34} {figure.value:>8.3f} {figure.n:>6}"
        if bound := bounds.get(figure.name):
            mark = "" if bound.holds(figure) else "   OUT OF BOUNDS"
            line += f"   {bound!s:<16} {bound.oracle:>7.3f}{mark}"
        lines.append(line)
    return "\n".join(lines)
