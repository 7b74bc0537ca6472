"""Which candidate for the return model is used, by how each fared on past dates.

Pure: the rows of `backtest.py` in, a name and the reason out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from winback.model.backtest import Figures
from winback.model.return_model import ALL, PURCHASES, SIMPLE
from winback.model.window_models import IN_STEPS

STEPS_OF = {candidate: name for name, candidate in IN_STEPS.items()}


@dataclass(frozen=True)
class Lead:
    """By how much one candidate ranked better than another: AUC and rank correlation together.

    Attributes:
        mean: Over dates and populations, each weighed by its buyers: few of them are mostly noise.
        noise: Its standard error.
    """

    mean: float
    noise: float


def choose(rows: list[Figures]) -> tuple[str, str]:
    """The candidate to use, and why in words.

    Reasons and products are used where they ranked customers better on past dates by more than the
    noise, and so is a simple score instead of the features. A long window is taken in steps where
    that ranked better, or no worse and its totals were nearer to what happened.
    """
    if not rows:
        return ALL, "no window of the past is closed yet, so nothing could be compared"
    quality = {(row["candidate"], row["day"], row["population"]): row for row in rows}
    judged = {row["candidate"] for row in rows}
    # the first windows of a long kind can be judged in steps before one of them was closed earlier
    base, purchases = (
        (STEPS_OF[ALL], STEPS_OF[PURCHASES])
        if ALL not in judged and STEPS_OF[ALL] in judged
        else (ALL, PURCHASES)
    )
    said = []
    if lead := _lead(quality, base, purchases):
        is_better = lead.mean > lead.noise
        said.append(
            f"reasons and products {'ranked' if is_better else 'did not rank'} better than "
            f"purchases alone by more than the noise ({lead.mean:+.3f}, standard error "
            f"{lead.noise:.3f})"
        )
        base = base if is_better else purchases
    if base in IN_STEPS:
        said.append("the window is taken in steps, as too few were closed earlier to fit one")
    elif lead := _lead(quality, STEPS_OF[base], base):
        is_nearer = _miss(quality, STEPS_OF[base], base) < _miss(quality, base, STEPS_OF[base])
        if lead.mean > lead.noise or (lead.mean >= -lead.noise and is_nearer):
            base = STEPS_OF[base]
            totals = "nearer to" if is_nearer else "no nearer to"
            said.append(
                f"the window taken in steps ranked {lead.mean:+.3f} (standard error "
                f"{lead.noise:.3f}), and its totals were {totals} what happened"
            )
    simple, best = None, Lead(0.0, 0.0)
    for candidate in SIMPLE:
        lead = _lead(quality, candidate, base)
        if lead and lead.mean > max(best.mean, lead.noise):
            simple, best = candidate, lead
    if simple:
        return simple, (
            f"{simple} alone ranked better on past dates: AUC and rank correlation together by "
            f"{best.mean:.3f}, standard error {best.noise:.3f}"
        )
    return base, "; ".join(
        ["no simpler score ranked better on past dates by more than the noise", *said]
    )


def _lead(rows: Mapping[tuple[str, int, str], Figures], candidate: str, other: str) -> Lead | None:
    """None where fewer than two dates or populations judged both."""
    pairs = [
        (row, rows[other, day, population])
        for (name, day, population), row in rows.items()
        if name == candidate and (other, day, population) in rows
    ]
    if len(pairs) < 2:
        return None
    gaps = np.array([_quality(row) - _quality(others) for row, others in pairs])
    weights = np.array(
        [min(row["n_buyers"], row["n_customers"] - row["n_buyers"]) for row, _ in pairs]
    )
    mean = float(np.average(gaps, weights=weights))
    squares = float(((weights / weights.sum() * (gaps - mean)) ** 2).sum())
    return Lead(mean, float(np.sqrt(squares * len(gaps) / (len(gaps) - 1))))


def _quality(row: Figures) -> float:
    return float(row["auc"] + row["rank_correlation"])


def _miss(rows: Mapping[tuple[str, int, str], Figures], candidate: str, other: str) -> float:
    """How far the expected buyers were from the actual ones: logs, over the populations.

    On the dates that judged both: a sum over more dates is another sum.
    """
    own = [
        row
        for (name, day, population), row in rows.items()
        if name == candidate and (other, day, population) in rows
    ]
    misses = []
    for population in sorted({row["population"] for row in own}):
        of = [row for row in own if row["population"] == population]
        expected, bought = (sum(row[name] for row in of) for name in ("n_expected", "n_buyers"))
        misses.append(abs(float(np.log(max(expected, 1e-9) / bought))))
    return float(np.mean(misses))
