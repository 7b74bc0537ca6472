"""How the return model would have fared on dates of the past, against simpler scores.

For each date whose window is closed a model is fitted on what was known then and judged by what
happened afterwards: ranking (AUC; rank correlation with later spend) among all customers and among
those inactive for long, and level (the sum of the probabilities against the buyers there were).

Pure: the sales history in, figures out. Storing them is `training/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from winback.model import bg_nbd, purchase_history, return_model, rhythm
from winback.model.bg_nbd import BgNbd
from winback.model.return_features import (
    YEAR_DAYS,
    Features,
    Outcome,
    SalesHistory,
    features,
    known_before,
    outcome,
)
from winback.model.return_model import ALL, CANDIDATES, ReturnModel
from winback.model.rhythm import Floats, Rhythm

STEP_DAYS = 30
# a year and the month before it: a window's level comes from the same months a year ago
MOST_ORIGINS = 14
# before that, nobody has a history
FIRST_ORIGIN_DAYS = 60
SAME_MONTHS_DAYS = STEP_DAYS // 2
LONG_DAYS = 180
FEWEST_OF_EACH = 5
DECILES = 10


Figures: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Basis:
    """What features of one date are computed with, fitted on what was known then."""

    rhythm: Rhythm
    bg_nbd: BgNbd


@dataclass(frozen=True)
class Fitted:
    """A return model with the level that it is used at.

    Attributes:
        model: The regressions.
        level: Their probabilities are moved to sum to so many times their sum.
        levels: By past date (days before), the buyers there were over those expected.
    """

    model: ReturnModel
    level: float
    levels: dict[int, float]


def basis_on(history: SalesHistory, day: int) -> Basis:
    """Fits rhythm and BG/NBD on what was known on a date."""
    known = known_before(history, day)
    starts = known.starts
    first, last = known.purchases.day[starts[:-1]], known.purchases.day[starts[1:] - 1]
    histories = purchase_history.compress(np.diff(starts) - 1, last - first, day - first)
    return Basis(rhythm.fit(known.purchases, multiplier=1.0), bg_nbd.fit(histories))


def fit_on(
    history: SalesHistory,
    day: int,
    horizon: int,
    basis: Basis,
    candidates: Sequence[str] = CANDIDATES,
) -> dict[str, Fitted]:
    """Fits candidates with the windows that were closed on a date; none when too few bought."""
    origins = _origins(history, day, horizon)
    known = [features(history, each, horizon, basis.rhythm, basis.bg_nbd) for each in origins]
    happened = [
        outcome(history, each, horizon, of.customer)
        for each, of in zip(origins, known, strict=True)
    ]
    buyers = [int(then.has_bought.sum()) for then in happened]
    fitted = {}
    for candidate in candidates:
        model = return_model.fit(candidate, known, happened) if origins else None
        if model is not None:
            expected = [float(return_model.probability(model, of).sum()) for of in known]
            levels = {
                day - origin: of_date / max(of_model, 1e-9)
                for origin, of_date, of_model in zip(origins, buyers, expected, strict=True)
            }
            fitted[candidate] = Fitted(model, _level(levels, buyers), levels)
    return fitted


def judge(fitted: Mapping[str, Fitted], known: Features, then: Outcome) -> list[Figures]:
    """Figures of one date: one row per candidate and population (`all` or `long_inactive`)."""
    rows = []
    for is_long in (False, True):
        chosen = (
            known.columns["silence_days"] > LONG_DAYS
            if is_long
            else np.ones(len(known.customer), bool)
        )
        n_buyers = int(then.has_bought[chosen].sum())
        if min(n_buyers, int(chosen.sum()) - n_buyers) < FEWEST_OF_EACH:
            continue
        for candidate, each in fitted.items():
            probability = return_model.probability(each.model, known, each.level)
            rows.append(
                {
                    "candidate": candidate,
                    "population": "long_inactive" if is_long else "all",
                    "n_customers": int(chosen.sum()),
                    "n_buyers": n_buyers,
                    "n_expected": float(probability[chosen].sum()),
                    "auc": area_under_curve(probability[chosen], then.has_bought[chosen]),
                    "rank_correlation": rank_correlation(probability[chosen], then.spend[chosen]),
                }
            )
    return rows


def run(history: SalesHistory, day: int, horizon: int, n_dates: int) -> list[Figures]:
    """Judges all candidates on past dates whose windows were closed.

    Args:
        history: What is known.
        day: The date, as a day number.
        horizon: Days of the window.
        n_dates: So many dates, a month apart; fewer where history does not reach.

    Returns:
        Rows as those of `judge`, with the date as `day`.
    """
    rows = []
    for origin in _origins(history, day, horizon)[:n_dates]:
        basis = basis_on(history, origin)
        fitted = fit_on(history, origin, horizon, basis)
        known = features(history, origin, horizon, basis.rhythm, basis.bg_nbd)
        then = outcome(history, origin, horizon, known.customer)
        rows += [row | {"day": origin} for row in judge(fitted, known, then)]
    return rows


def choose(rows: list[Figures]) -> tuple[str, str]:
    """The candidate to use, and why in words.

    The model of all features, unless a simpler score ranked better by more than the noise: the mean
    over dates, populations and both measures, against the standard error of the difference.
    """
    if not rows:
        return ALL, "no window of the past is closed yet, so nothing could be compared"
    quality = {
        (row["candidate"], row["day"], row["population"]): row["auc"] + row["rank_correlation"]
        for row in rows
    }
    places = sorted({place[1:] for place in quality})
    best, lead, noise = ALL, 0.0, 0.0
    for candidate in CANDIDATES[1:]:
        gaps = [
            quality[candidate, *place] - quality[ALL, *place]
            for place in places
            if (candidate, *place) in quality and (ALL, *place) in quality
        ]
        if len(gaps) < 2:
            continue
        mean = float(np.mean(gaps))
        if mean > max(lead, error := float(np.std(gaps, ddof=1) / np.sqrt(len(gaps)))):
            best, lead, noise = candidate, mean, error
    if best == ALL:
        return ALL, "no simpler score ranked better on past dates by more than the noise"
    return best, (
        f"{best} alone ranked better on past dates: AUC and rank correlation together by "
        f"{lead:.3f}, standard error {noise:.3f}"
    )


def area_under_curve(score: Floats, is_positive: NDArray[np.bool_]) -> float:
    """The probability that a positive has the higher score than another one (AUC)."""
    ranks = stats.rankdata(score)
    n_positive = int(is_positive.sum())
    n_other = len(score) - n_positive
    above = ranks[is_positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_other))


def rank_correlation(score: Floats, spend: Floats) -> float:
    """Spearman's; 0 where either is the same for all, which ranks nobody."""
    if np.ptp(score) == 0 or np.ptp(spend) == 0:
        return 0.0
    return float(stats.spearmanr(score, spend).statistic)


def calibration(probability: Floats, then: Outcome) -> list[Figures]:
    """By tenth of the customers, highest probability first: expected and actual share, and lift."""
    order = np.argsort(-probability, kind="stable")
    overall = float(then.has_bought.mean()) or 1.0
    rows = []
    for nth, place in enumerate(np.array_split(order, DECILES), start=1):
        if len(place):
            actual = float(then.has_bought[place].mean())
            rows.append(
                {
                    "decile": nth,
                    "expected": float(probability[place].mean()),
                    "actual": actual,
                    "lift": actual / overall,
                }
            )
    return rows


def as_parameters(fitted: Fitted) -> Figures:
    """The model as it is stored."""
    return asdict(fitted.model) | {"level": round(fitted.level, 6)}


def from_parameters(stored: Figures) -> Fitted:
    """The model that was stored."""
    values: Figures = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored.items()
        if name != "level"
    }
    return Fitted(ReturnModel(**values), float(stored["level"]), {})


def _origins(history: SalesHistory, day: int, horizon: int) -> list[int]:
    if not len(history.purchases.day):
        return []
    first = int(history.purchases.day.min()) + FIRST_ORIGIN_DAYS
    return list(range(day - horizon, max(first, 1) - 1, -STEP_DAYS))[:MOST_ORIGINS]


def _level(levels: Mapping[int, float], buyers: Sequence[int]) -> float:
    """The level of the same months a year ago, as far as it is more than noise; else 1."""
    logs = np.log(np.maximum(list(levels.values()), 1e-6))
    noise = np.array([1 / max(n, 1) for n in buyers])
    spread = max(float(np.var(logs)) - float(noise.mean()), 0.0)
    same = [place for place, days in enumerate(levels) if abs(days - YEAR_DAYS) <= SAME_MONTHS_DAYS]
    if not same or not spread:
        return 1.0
    weight = spread / (spread + float(noise[same].mean()))
    return float(np.exp(weight * logs[same].mean()))
