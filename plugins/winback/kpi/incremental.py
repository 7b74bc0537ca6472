"""The incremental effect: treated minus holdout, with an interval that holds for few recoveries.

Pure functions of counts. Which people are counted is `snapshot.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Stratum:
    """Counts of one stratum: how many were assigned to each arm, and how many of them came back."""

    n_treated: int
    n_recovered_treated: int
    n_holdout: int
    n_recovered_holdout: int


@dataclass(frozen=True)
class Effect:
    """A difference of shares and its confidence interval, all between -1 and 1."""

    difference: float
    low: float
    high: float


def stratified_newcombe(strata: Sequence[Stratum]) -> Effect | None:
    """Difference of two proportions over strata, with the stratified Newcombe interval.

    Weights are those of Cochran, Mantel and Haenszel. With one stratum this is Newcombe's hybrid
    score interval.

    Args:
        strata: Counts; a stratum that lacks one arm says nothing about the difference.

    Returns:
        The effect, or None when no stratum has both arms.

    Source:
        Yan and Su, Stratified Wilson and Newcombe confidence intervals for multiple binomial
        proportions, Statistics in Biopharmaceutical Research 2 (2010) 329-335, equations for the
        stratified Newcombe interval.
    """
    both = [s for s in strata if s.n_treated and s.n_holdout]
    if not both:
        return None
    raw = [s.n_treated * s.n_holdout / (s.n_treated + s.n_holdout) for s in both]
    weights = [w / sum(raw) for w in raw]
    z = float(norm.ppf(0.5 + CONFIDENCE / 2))
    p_treated, low_treated, high_treated = _stratified_wilson(
        [(s.n_recovered_treated, s.n_treated) for s in both], weights, z
    )
    p_holdout, low_holdout, high_holdout = _stratified_wilson(
        [(s.n_recovered_holdout, s.n_holdout) for s in both], weights, z
    )
    lambda_treated = sum(w * w / s.n_treated for w, s in zip(weights, both, strict=True))
    lambda_holdout = sum(w * w / s.n_holdout for w, s in zip(weights, both, strict=True))
    down = lambda_treated * low_treated * (1 - low_treated)
    down += lambda_holdout * high_holdout * (1 - high_holdout)
    up = lambda_treated * high_treated * (1 - high_treated)
    up += lambda_holdout * low_holdout * (1 - low_holdout)
    difference = p_treated - p_holdout
    return Effect(difference, difference - z * math.sqrt(down), difference + z * math.sqrt(up))


def _stratified_wilson(
    counts: Sequence[tuple[int, int]], weights: Sequence[float], z: float
) -> tuple[float, float, float]:
    """Weighted share and its stratified Wilson interval, from pairs (recovered, assigned)."""
    deviations = [math.sqrt(k / n * (1 - k / n) / n) for k, n in counts]
    spread = sum(w * d for w, d in zip(weights, deviations, strict=True))
    # without any spread every stratum is all or nothing; the weights alone then widen the interval
    factor = (
        math.sqrt(sum((w * d) ** 2 for w, d in zip(weights, deviations, strict=True))) / spread
        if spread
        else math.sqrt(sum(w * w for w in weights))
    )
    alpha = 2 * float(norm.sf(z * factor))
    low = high = share = 0.0
    for (k, n), weight in zip(counts, weights, strict=True):
        below, above = proportion_confint(k, n, alpha=alpha, method="wilson")
        low, high = low + weight * float(below), high + weight * float(above)
        share += weight * k / n
    return share, low, high
