"""Return models of one window each: fitted to those closed on a date, at the level due, applied.

A long window can also be taken in steps: the chance to buy within 180 days is that of not staying
away three times 60, with what would be known at the beginning of each. Windows of 60 days are
closed sooner, so their models know customers who have been silent for longer
(docs/decisions/0020).

Pure: the sales history in, parameters and probabilities out. The regressions are `return_model.py`,
how good they are is `backtest.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from winback.model import bg_nbd, purchase_history, return_model, rhythm
from winback.model.bg_nbd import BgNbd
from winback.model.return_features import (
    YEAR_DAYS,
    Features,
    SalesHistory,
    features,
    known_before,
    outcome,
)
from winback.model.return_model import ALL, CANDIDATES, PURCHASES, ReturnModel
from winback.model.rhythm import Floats, Rhythm

Parameters: TypeAlias = dict[str, Any]

STEP_DAYS = 30
# a year and the month before it: a window's level comes from the same months a year ago
MOST_ORIGINS = 14
# before that, nobody has a history
FIRST_ORIGIN_DAYS = 60
SAME_MONTHS_DAYS = STEP_DAYS // 2
STEP_WINDOW_DAYS = 60
# the candidates that take a long window in steps, and those of the short window that they apply
IN_STEPS = {"all_features_in_steps": ALL, "purchases_in_steps": PURCHASES}


@dataclass(frozen=True)
class Basis:
    """What features of one date are computed with, fitted on what was known then."""

    rhythm: Rhythm
    bg_nbd: BgNbd


@dataclass(frozen=True)
class Fitted:
    """A return model with the level that it is used at.

    Attributes:
        model: The regressions; of a window of `STEP_WINDOW_DAYS` where there are steps.
        levels: The probabilities are moved to sum to so many times their sum; one level for each
            step, or for the whole window.
    """

    model: ReturnModel
    levels: tuple[float, ...]


@dataclass(frozen=True)
class Predicted:
    """One element per customer known on a date.

    Attributes:
        probability: Of a purchase within the window.
        spend_if_bought: Minor units; of the first step where the window is taken in steps.
        spend_place: The place by later spend that is to be expected, 0 to 1.
    """

    probability: Floats
    spend_if_bought: Floats
    spend_place: Floats


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
    candidates: Sequence[str] = (*CANDIDATES, *IN_STEPS),
) -> dict[str, Fitted]:
    """Fits candidates with the windows that were closed on a date.

    Args:
        history: May reach beyond the date.
        day: The date, as a day number.
        horizon: Days of the window.
        basis: Fitted on what was known on the date.
        candidates: Which; steps are taken where the window is longer than one of them.

    Returns:
        Those for which enough bought.
    """
    fitted = _fit_windows(
        history, day, horizon, basis, [name for name in candidates if name not in IN_STEPS], (0,)
    )
    ahead = range(0, horizon, STEP_WINDOW_DAYS)
    of_steps = {IN_STEPS[name]: name for name in candidates if name in IN_STEPS}
    if of_steps and len(ahead) > 1:
        stepwise = _fit_windows(history, day, STEP_WINDOW_DAYS, basis, list(of_steps), ahead)
        fitted |= {of_steps[name]: each for name, each in stepwise.items()}
    return fitted


def predict(
    history: SalesHistory, day: int, horizon: int, basis: Basis, fitted: Fitted
) -> Predicted:
    """What is to be expected of each customer known on a date.

    Args:
        history: May reach beyond the date.
        day: The date, as a day number.
        horizon: Days of the window.
        basis: Fitted on what was known when the model was.
        fitted: For that window.
    """
    model, (level, *later) = fitted.model, fitted.levels
    width = STEP_WINDOW_DAYS if later else horizon
    known = features(history, day, width, basis.rhythm, basis.bg_nbd)
    chance = return_model.probability(model, known, level)
    spend = return_model.spend_if_bought(model, known)
    if later:
        history, stays_away = known_before(history, day), 1 - chance
        for n, level in enumerate(later, start=1):
            # whoever buys meanwhile is done with, so for the others nothing happens
            known = features(history, day + n * width, width, basis.rhythm, basis.bg_nbd)
            stays_away *= 1 - return_model.probability(model, known, level)
        chance = 1 - stays_away
    return Predicted(chance, spend, return_model.spend_place(model, chance, spend))


def as_parameters(fitted: Fitted) -> Parameters:
    """The model as it is stored."""
    return asdict(fitted.model) | {"levels": [round(level, 6) for level in fitted.levels]}


def from_parameters(stored: Parameters) -> Fitted:
    """The model that was stored."""
    values: Parameters = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored.items()
        if name not in ("level", "levels")
    }
    # before steps were taken there was one level
    levels = stored["levels"] if "levels" in stored else [stored["level"]]
    return Fitted(ReturnModel(**values), tuple(float(level) for level in levels))


def origins(history: SalesHistory, day: int, horizon: int) -> list[int]:
    """Past dates whose window was closed on a date, newest first, a month apart."""
    if not len(history.purchases.day):
        return []
    first = int(history.purchases.day.min()) + FIRST_ORIGIN_DAYS
    return list(range(day - horizon, max(first, 1) - 1, -STEP_DAYS))[:MOST_ORIGINS]


def _fit_windows(
    history: SalesHistory,
    day: int,
    horizon: int,
    basis: Basis,
    candidates: Sequence[str],
    ahead: Sequence[int],
) -> dict[str, Fitted]:
    """Fits one window, at the levels of windows that begin so many days after the date."""
    dates = origins(history, day, horizon)
    known = [features(history, each, horizon, basis.rhythm, basis.bg_nbd) for each in dates]
    happened = [
        outcome(history, each, horizon, of.customer, known_on=day)
        for each, of in zip(dates, known, strict=True)
    ]
    buyers = [int(then.has_bought.sum()) for then in happened]
    fitted = {}
    for candidate in candidates:
        model = return_model.fit(candidate, known, happened) if dates else None
        if model is not None:
            ratios = {
                day - date: of_date / max(_expected(model, of), 1e-9)
                for date, of_date, of in zip(dates, buyers, known, strict=True)
            }
            levels = tuple(_level(ratios, buyers, days) for days in ahead)
            fitted[candidate] = Fitted(model, levels)
    return fitted


def _expected(model: ReturnModel, known: Features) -> float:
    return float(return_model.probability(model, known).sum())


def _level(ratios: Mapping[int, float], buyers: Sequence[int], ahead: int) -> float:
    """The level of the same months a year ago, as far as it is more than noise; else 1.

    Args:
        ratios: By past date (days before), the buyers there were over those expected.
        buyers: The buyers there were.
        ahead: The window begins so many days after the date.
    """
    logs = np.log(np.maximum(list(ratios.values()), 1e-6))
    noise = np.array([1 / max(n, 1) for n in buyers])
    spread = max(float(np.var(logs)) - float(noise.mean()), 0.0)
    same = [
        place
        for place, days in enumerate(ratios)
        if abs(days + ahead - YEAR_DAYS) <= SAME_MONTHS_DAYS
    ]
    if not same or not spread:
        return 1.0
    weight = spread / (spread + float(noise[same].mean()))
    return float(np.exp(weight * logs[same].mean()))
