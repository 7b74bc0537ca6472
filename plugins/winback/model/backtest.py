"""How the return model would have fared on dates of the past, against simpler scores.

For each date whose window is closed a model is fitted on what was known then and judged by what
happened afterwards: ranking (AUC; rank correlation with later spend) among all customers and among
those inactive for long, and level (the sum of the probabilities against the buyers there were).

Pure: the sales history in, figures out. What is made of them is `choice.py`; they are stored by
`training/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from winback.model.return_features import Features, Outcome, SalesHistory, features, outcome
from winback.model.return_model import rank_correlation
from winback.model.rhythm import Floats
from winback.model.window_models import Predicted, basis_on, fit_on, origins, predict

LONG_DAYS = 180
FEWEST_OF_EACH = 5
DECILES = 10

Figures: TypeAlias = dict[str, Any]


def judge(predictions: Mapping[str, Predicted], known: Features, then: Outcome) -> list[Figures]:
    """Figures of one date: one row per candidate and population (`all` or `long_inactive`).

    Args:
        predictions: By candidate.
        known: The features of the date.
        then: What happened.
    """
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
        for candidate, predicted in predictions.items():
            rows.append(
                {
                    "candidate": candidate,
                    "population": "long_inactive" if is_long else "all",
                    "n_customers": int(chosen.sum()),
                    "n_buyers": n_buyers,
                    "n_expected": float(predicted.probability[chosen].sum()),
                    "auc": area_under_curve(predicted.probability[chosen], then.has_bought[chosen]),
                    "rank_correlation": rank_correlation(
                        predicted.spend_place[chosen], then.spend[chosen]
                    ),
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
    for origin in origins(history, day, horizon)[:n_dates]:
        basis = basis_on(history, origin)
        predictions = {
            candidate: predict(history, origin, horizon, basis, fitted)
            for candidate, fitted in fit_on(history, origin, horizon, basis).items()
        }
        known = features(history, origin, horizon, basis.rhythm, basis.bg_nbd)
        then = outcome(history, origin, horizon, known.customer)
        rows += [row | {"day": origin} for row in judge(predictions, known, then)]
    return rows


def area_under_curve(score: Floats, is_positive: NDArray[np.bool_]) -> float:
    """The probability that a positive has the higher score than another one (AUC)."""
    ranks = stats.rankdata(score)
    n_positive = int(is_positive.sum())
    n_other = len(score) - n_positive
    above = ranks[is_positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_other))


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


def stability_index(now: Floats, then: Floats) -> float:
    """Population stability index: how differently two populations spread over the deciles of one.

    The sum over deciles of (a - b) ln(a / b), of the shares a now and b then; 0 where they are
    equal, by convention a change to heed above 0.25. An empty decile counts as a ten-thousandth.

    Args:
        now: Scores of one population.
        then: Those of the population whose deciles are taken.
    """
    edges = np.quantile(then, np.linspace(0.1, 0.9, DECILES - 1))
    shares = [
        np.bincount(np.searchsorted(edges, each), minlength=DECILES) / len(each) + 1e-4
        for each in (now, then)
    ]
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())
