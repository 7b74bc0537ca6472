"""The return model: probability and value of a purchase within a window, from what is known.

A logistic regression on logarithms of the features, and a Poisson regression for what is spent by
those who buy; simple scores (recency, RFM, BG/NBD, CLV) are the same regressions on one feature, so
that any of them can be chosen; so is the regression on features of purchases alone, where reasons
and products are known as well. On CDNOW it ranks better than boosted trees of the same features
(AUC .818 against .816, among those inactive for over 180 days .663 against .656), and its
parameters are a table that people can read.

Pure: features in, parameters out. Which candidate is used is `backtest.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from winback.model import basket_features, experience_features
from winback.model.return_features import Features, Outcome, Places
from winback.model.rhythm import Floats

SIMPLE = {
    "recency": ("silence_days",),
    "rfm": ("rfm",),
    "bg_nbd": ("bg_nbd_purchases",),
    "clv": ("clv",),
}
ALL = "all_features"
# without what is known of reasons and products; the same as all where nothing is
PURCHASES = "purchases"
CANDIDATES = (ALL, PURCHASES, *SIMPLE)
BESIDE_PURCHASES = frozenset((*experience_features.NAMES, *basket_features.NAMES))
# combinations that only the simple scores need
NOT_IN_ALL = ("rfm", "clv")
INVERSE_PENALTY = 0.1
# few features and many rows: a tenth of the time of the default
SOLVER = "newton-cholesky"
MOST_ROWS = 400_000
FEWEST_BUYERS = 20
# a column that hardly varies is a constant and rounding
SMALLEST_SCALE = 1e-6
# minor units that round to none
NOTHING = 1e-6


@dataclass(frozen=True)
class ReturnModel:
    """Fitted regressions.

    Attributes:
        candidate: Which features they use, one of `CANDIDATES`.
        names: The features, in order.
        means: Of the logarithms.
        scales: Standard deviations of the logarithms.
        weights: Of the standardised logarithms, for the log odds of a purchase.
        intercept: The log odds of an average customer.
        value_weights: Of the same, for the log of what a buyer spends.
        value_intercept: Log of what an average buyer spends, in minor units.
        value_reliability: Rank correlation of that with what buyers of the past spent; 0 says
            that nothing is known of it.
    """

    candidate: str
    names: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    value_weights: tuple[float, ...]
    value_intercept: float
    value_reliability: float = 0.0


def fit(
    candidate: str, known: Sequence[Features], happened: Sequence[Outcome], seed: int = 0
) -> ReturnModel | None:
    """Fits one candidate on past dates.

    Args:
        candidate: One of `CANDIDATES`.
        known: The features of each date.
        happened: The outcome of each date.
        seed: Of the sample that is drawn when there are more than `MOST_ROWS` rows.

    Returns:
        The model; None when fewer than `FEWEST_BUYERS` bought, or all did, and for `PURCHASES`
        where nothing else is known.
    """
    has_bought = np.concatenate([each.has_bought for each in happened])
    n_buyers = int(has_bought.sum())
    if n_buyers < FEWEST_BUYERS or n_buyers == len(has_bought):
        return None
    names = names_of(candidate, known[0])
    if candidate == PURCHASES and names == names_of(ALL, known[0]):
        return None
    spend = np.concatenate([each.spend for each in happened])
    rows = [np.arange(len(each.customer)) for each in known]
    if len(has_bought) > MOST_ROWS:
        chosen = np.zeros(len(has_bought), bool)
        drawn = np.random.default_rng(seed).choice(len(has_bought), MOST_ROWS, replace=False)
        chosen[drawn] = True
        has_bought, spend = has_bought[chosen], spend[chosen]
        ends = np.cumsum([len(each) for each in rows])[:-1]
        rows = [np.flatnonzero(each) for each in np.split(chosen, ends)]
    logs = np.concatenate(
        [_logarithms(each, names, of) for each, of in zip(known, rows, strict=True)]
    )
    means, scales = logs.mean(axis=0), logs.std(axis=0)
    scales = np.where(scales > SMALLEST_SCALE, scales, 1.0)
    standard = (logs - means) / scales
    odds = LogisticRegression(C=INVERSE_PENALTY, solver=SOLVER).fit(standard, has_bought)
    of_buyers, spent = standard[has_bought], spend[has_bought]
    value_weights, value_intercept = _fit_spend(of_buyers, spent)
    reliability = max(rank_correlation(of_buyers @ np.array(value_weights), spent), 0.0)
    return ReturnModel(
        candidate, names, _tuple(means), _tuple(scales), _tuple(odds.coef_[0]),
        float(odds.intercept_[0]), value_weights, value_intercept, round(reliability, 6),
    )  # fmt: skip


def names_of(candidate: str, known: Features) -> tuple[str, ...]:
    """The features that a candidate uses, of those that are known."""
    if candidate in SIMPLE:
        return SIMPLE[candidate]
    left_out = BESIDE_PURCHASES if candidate == PURCHASES else frozenset()
    return tuple(name for name in known.columns if name not in NOT_IN_ALL and name not in left_out)


def _fit_spend(standard: Floats, spend: Floats) -> tuple[tuple[float, ...], float]:
    """Weights and intercept of the log of what buyers spend; next to nothing where nobody paid."""
    usual = float(spend.mean())
    if usual <= 0:
        return (0.0,) * standard.shape[1], float(np.log(NOTHING))
    found = PoissonRegressor(alpha=0.1, solver=SOLVER).fit(standard, spend / usual)
    return _tuple(found.coef_), float(found.intercept_ + np.log(usual))


def probability(model: ReturnModel, known: Features, level: float = 1.0) -> Floats:
    """Probability of a purchase within the window, for each customer.

    Args:
        model: Fitted for that window.
        known: The features.
        level: The probabilities are moved until they sum to so many times their sum.
    """
    log_odds = _standard(model, known) @ np.array(model.weights) + model.intercept
    found: Floats = special.expit(log_odds + _shift(log_odds, level))
    return found


def spend_if_bought(model: ReturnModel, known: Features) -> Floats:
    """What a customer will have spent by the end of the window, given a purchase; minor units."""
    logs = _standard(model, known) @ np.array(model.value_weights) + model.value_intercept
    # beyond a thousand times the average buyer the regression is out of its depth
    found: Floats = np.exp(np.minimum(logs, model.value_intercept + np.log(1000.0)))
    return found


def spend_place(model: ReturnModel, chance: Floats, spend: Floats) -> Floats:
    """The place by later spend that is to be expected of each customer: 0 is last, 1 is first.

    Who does not buy shares the last places with all others who do not; who buys stands above them,
    the higher the more they spend. Where few buy, the chance decides; where nearly all do, the
    spend.

    Args:
        model: How far its spend is to be believed.
        chance: Probability of a purchase.
        spend: From `spend_if_bought`.
    """
    if not len(chance):
        return chance
    n_buying = float(chance.mean())
    by_spend = (stats.rankdata(spend) - 0.5) / len(spend)
    among_buyers = 0.5 + model.value_reliability * (by_spend - 0.5)
    place: Floats = (1 - n_buying) / 2 + chance * ((1 - n_buying) / 2 + n_buying * among_buyers)
    return place


def rank_correlation(score: Floats, spend: Floats) -> float:
    """Spearman's; 0 where either is the same for all, which ranks nobody."""
    if np.ptp(score) == 0 or np.ptp(spend) == 0:
        return 0.0
    return float(stats.spearmanr(score, spend).statistic)


def _shift(log_odds: Floats, level: float) -> float:
    if level == 1.0 or not len(log_odds):
        return 0.0
    wanted = min(level * special.expit(log_odds).sum(), 0.999 * len(log_odds))
    return float(
        optimize.brentq(lambda by: special.expit(log_odds + by).sum() - wanted, -20.0, 20.0)
    )


def _standard(model: ReturnModel, known: Features) -> Floats:
    standard: Floats = (_logarithms(known, model.names) - model.means) / model.scales
    return standard


def _logarithms(
    known: Features, names: Sequence[str], rows: Places | slice = slice(None)
) -> Floats:
    return np.column_stack([np.log1p(np.maximum(known.columns[name][rows], 0.0)) for name in names])


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, 9).tolist())
