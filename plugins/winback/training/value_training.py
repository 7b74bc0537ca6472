"""Fits the value models, judges them on the past, and decides which are used from now on.

One run holds all that belongs together: rhythm, BG/NBD, Gamma-Gamma and the return models of three
windows. The sums are `model/`; `scoring.py` applies what is stored here, `model_card.py` shows it.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from datetime import date
from typing import Any

import numpy as np

from winback.model import backtest, choice, gamma_gamma, window_models
from winback.model.backtest import Figures
from winback.model.bg_nbd import BgNbd
from winback.model.gamma_gamma import GammaGamma
from winback.model.refunds import kept_amounts
from winback.model.return_features import SalesHistory, features, known_before, outcome
from winback.model.rhythm import Rhythm
from winback.model.window_models import Basis, Fitted
from winback.settings import settings
from winback.training import known_facts, model_card, model_runs, returned_goods
from winback.training.model_runs import ModelRun
from winback.training.sales_history import day_number, read_history, sampling
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

MODEL = "value"
HORIZONS = (30, 60, 180)
# the window that decides: about that of a campaign
DECIDING = 60
MOST_CUSTOMERS = 300_000
# so far apart, the population that is scored is another one than that the model was fitted to
MOST_DRIFT = 0.25
LEAST_NOISE = 0.005


def train(as_of: date, suffix: str = "") -> ModelRun | None:
    """Fits, judges and records the value models on what is known on a date.

    Args:
        as_of: The date; its purchases must be staged.
        suffix: Of the schemas in which they stand.

    Returns:
        The run; None when too few bought to fit anything.
    """
    day = day_number(as_of)
    sampled = sampling(suffix, MOST_CUSTOMERS)
    keys, history = read_history(suffix, sampled)
    if not len(history.amount):
        log.info("value models: nobody bought anything before %s", as_of)
        return None
    history = known_facts.with_facts(history, keys, suffix, sampled)
    history = returned_goods.with_refunds(history, keys, suffix)
    basis = window_models.basis_on(history, day)
    parameters: dict[str, Any] = {
        "rhythm": asdict(basis.rhythm),
        "bg_nbd": asdict(basis.bg_nbd),
        "gamma_gamma": _stored(_fit_amounts(history)),
        "returns": {},
    }
    metrics: dict[str, Any] = {"windows": {}}
    for horizon in HORIZONS:
        fitted, judged = _fit_window(history, day, horizon, basis)
        if fitted is not None:
            parameters["returns"][str(horizon)] = window_models.as_parameters(fitted)
            metrics["windows"][str(horizon)] = judged
    if str(DECIDING) not in parameters["returns"]:
        log.info("value models: too few bought within %s days to fit a return model", DECIDING)
        return None
    metrics["drift"] = _drift(history, day, basis, parameters)
    with warehouse.connect("loader") as connection:
        current = model_runs.newest_in_use(connection, MODEL, as_of)
        is_in_use, because = decide(metrics, current)
        run_id = model_runs.record(
            connection, MODEL, as_of, parameters, metrics, is_in_use=is_in_use, because=because
        )
    log.info("value models %s: %s", run_id, because)
    run = ModelRun(run_id, as_of, parameters, metrics)
    model_card.write(run, because, is_in_use=is_in_use)
    return run


def basis_of(parameters: dict[str, Any]) -> Basis:
    """Rhythm and BG/NBD as they were stored."""
    return Basis(Rhythm(**parameters["rhythm"]), BgNbd(**parameters["bg_nbd"]))


def amounts_of(parameters: dict[str, Any]) -> GammaGamma:
    """Gamma-Gamma as it was stored."""
    stored: dict[str, Any] = {
        name: np.nan if each is None else each for name, each in parameters["gamma_gamma"].items()
    }
    return GammaGamma(**stored)


def _stored(amounts: GammaGamma) -> dict[str, Any]:
    # JSON knows no NaN, which is what is fitted where nobody ever paid twice
    return {
        name: None if isinstance(each, float) and np.isnan(each) else each
        for name, each in asdict(amounts).items()
    }


def decide(metrics: dict[str, Any], current: ModelRun | None) -> tuple[bool, str]:
    """Whether new models replace those in use, and why in words.

    Args:
        metrics: Of the new ones.
        current: Those in use, if any.
    """
    window = metrics["windows"][str(DECIDING)]
    why_this = window["chosen_because"]
    if current is None:
        return True, f"the first value models; {why_this}"
    if metrics["drift"] > MOST_DRIFT:
        return False, (
            "the customers of today differ from those it was fitted to (population stability "
            f"index {metrics['drift']:.2f}, at most {MOST_DRIFT}): run {current.model_run_id} stays"
        )
    before = current.metrics["windows"][str(DECIDING)]
    quality, quality_before = window["quality"], before["quality"]
    if quality is None or quality_before is None:
        return True, f"no closed window to compare with; {why_this}"
    noise = max(LEAST_NOISE, 2 * max(window["noise"], before["noise"]))
    if quality < quality_before - noise:
        return False, (
            f"on past dates its AUC was {quality:.3f}, that of run {current.model_run_id} "
            f"{quality_before:.3f}, noise {noise:.3f}: that one stays"
        )
    return True, (
        f"AUC on past dates {quality:.3f}, before {quality_before:.3f}, noise {noise:.3f}; "
        f"{why_this}"
    )


def _fit_amounts(history: SalesHistory) -> GammaGamma:
    """Gamma-Gamma on what was kept of the purchases after each customer's first, as its authors do.

    Who kept nothing of them tells nothing about amounts, and is left out.
    """
    starts = history.starts
    n_repeats = np.diff(starts) - 1
    paid = np.append(0.0, np.cumsum(kept_amounts(history.amount, history.refunds)))
    total = paid[starts[1:]] - paid[np.minimum(starts[:-1] + 1, starts[1:])]
    is_repeat = n_repeats > 0
    return gamma_gamma.fit(n_repeats[is_repeat], total[is_repeat] / n_repeats[is_repeat])


def _fit_window(
    history: SalesHistory, day: int, horizon: int, basis: Basis
) -> tuple[Fitted | None, Figures]:
    rows = backtest.run(history, day, horizon, settings().backtest_dates)
    chosen, because = choice.choose(rows)
    fitted = window_models.fit_on(history, day, horizon, basis, [chosen]).get(chosen)
    own = [row for row in rows if row["candidate"] == chosen]
    of_all = [row["auc"] for row in own if row["population"] == "all"]
    judged: Figures = {
        "chosen": chosen,
        "chosen_because": because,
        "quality": float(np.mean(of_all)) if of_all else None,
        "noise": float(np.std(of_all, ddof=1) / np.sqrt(len(of_all))) if len(of_all) > 1 else 0.0,
        "rows": rows,
        "calibration": _calibration(history, day, horizon, chosen),
    }
    return fitted, judged


def _calibration(history: SalesHistory, day: int, horizon: int, chosen: str) -> list[Figures]:
    """Expected and actual shares in the newest window that is closed."""
    origin = day - horizon
    known = known_before(history, origin)
    if not len(known.amount):
        return []
    basis = window_models.basis_on(history, origin)
    fitted = window_models.fit_on(history, origin, horizon, basis, [chosen])
    if chosen not in fitted:
        return []
    predicted = window_models.predict(history, origin, horizon, basis, fitted[chosen])
    then = features(history, origin, horizon, basis.rhythm, basis.bg_nbd)
    return backtest.calibration(
        predicted.probability, outcome(history, origin, horizon, then.customer)
    )


def _drift(history: SalesHistory, day: int, basis: Basis, parameters: dict[str, Any]) -> float:
    """How far the probabilities of today are from those on the newest closed window."""
    fitted = window_models.from_parameters(parameters["returns"][str(DECIDING)])
    now, then = (
        window_models.predict(
            history, each, DECIDING, basis, replace(fitted, levels=(1.0,))
        ).probability
        for each in (day, day - DECIDING)
    )
    return backtest.stability_index(now, then)
