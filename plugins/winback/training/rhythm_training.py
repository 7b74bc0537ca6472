"""Fits the rhythm to the purchases of the warehouse, chooses the lapse multiplier, and stores both.

The sums themselves are `model/rhythm.py`; `int_purchases__rhythm` applies what is stored here.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from datetime import date

import numpy as np
import psycopg

from winback.model import rhythm
from winback.model.rhythm import Purchases, Rhythm
from winback.settings import settings
from winback.training import model_runs
from winback.training.sales_history import day_number, read_history, sampling
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

MODEL = "rhythm"
MOST_GAPS = 3650
# more customers say the same, and cost memory
MOST_CUSTOMERS = 300_000
ORIGINS, ORIGIN_DAYS = 6, 30


def in_use(as_of: date, suffix: str) -> dict[str, float]:
    """The dbt variables of the rhythm for an as-of date; fits one where there is none yet.

    Args:
        as_of: The date to build.
        suffix: Of the schemas in which its purchases stand.
    """
    with warehouse.connect("loader") as connection:
        run = model_runs.newest_in_use(connection, MODEL, as_of)
    if run is None:
        train(as_of, suffix)
        return in_use(as_of, suffix)
    return {
        "rhythm_run_id": run.model_run_id,
        "rhythm_rate_days": run.parameters["rate_days"],
        "quantity_elasticity": run.parameters["quantity_elasticity"],
        "lapse_multiplier": run.parameters["lapse_multiplier"],
        "most_gaps": MOST_GAPS,
    }


def train(as_of: date, suffix: str = "") -> int:
    """Fits and calibrates the rhythm on what is known on a date; returns the run that is in use.

    Args:
        as_of: The date; its purchases must be staged.
        suffix: Of the schemas in which they stand.
    """
    config = settings()
    purchases = rhythm.without_calendar_buyers(
        read_history(suffix, sampling(suffix, MOST_CUSTOMERS))[1].purchases,
        config.season_days,
        config.season_share_pct,
    )
    fitted = rhythm.fit(purchases, config.lapse_multiplier)
    because = f"too few purchases to fit ({fitted.n_gaps:,} gaps): the default"
    if fitted.is_fitted:
        fitted, because = _calibrated(fitted, purchases, as_of)
    values = asdict(fitted)
    metrics = {name: values.pop(name) for name in ("returned_pct", "n_gaps")}
    with warehouse.connect("loader") as connection:
        run_id = model_runs.record(
            connection, MODEL, as_of, values, metrics, is_in_use=True, because=because
        )
        _store_quantiles(connection, run_id, fitted)
    log.info("rhythm %s: %s", run_id, because)
    return run_id


def _calibrated(fitted: Rhythm, purchases: Purchases, as_of: date) -> tuple[Rhythm, str]:
    config = settings()
    lateness, has_returned = _past_silences(fitted, purchases, as_of)
    chosen = rhythm.calibrate(lateness, has_returned, config.most_returned_pct)
    if chosen is None:
        return fitted, (
            f"too few late buyers on past dates to choose a multiplier: {fitted.lapse_multiplier}"
        )
    multiplier, returned_pct = chosen
    because = (
        f"lapsed after {multiplier} late gaps: on past dates {returned_pct} % of those who had not "
        f"lapsed twice over came back within {config.recovery_window_days} days"
    )
    if returned_pct > config.most_returned_pct:
        because += f"; no multiplier brings that to {config.most_returned_pct} %"
    return replace(fitted, lapse_multiplier=multiplier, returned_pct=returned_pct), because


def _past_silences(
    fitted: Rhythm, purchases: Purchases, as_of: date
) -> tuple[np.ndarray, np.ndarray]:
    """How late repeat buyers were on past dates whose window is closed, and who came back."""
    window = settings().recovery_window_days
    newest = day_number(as_of) - window
    late_days = _late_days(fitted, purchases)
    is_repeat = np.diff(purchases.customer, prepend=-1) == 0
    next_day = np.append(purchases.day[1:], 0)
    next_day[np.flatnonzero(np.diff(purchases.customer, append=-1) != 0)] = np.iinfo(np.int64).max
    lateness, has_returned = [], []
    for origin in range(newest, newest - ORIGINS * ORIGIN_DAYS, -ORIGIN_DAYS):
        is_newest = is_repeat & (purchases.day < origin) & (next_day >= origin)
        lateness.append((origin - purchases.day[is_newest]) / late_days[is_newest])
        has_returned.append(next_day[is_newest] <= origin + window)
    return np.concatenate(lateness), np.concatenate(has_returned)


def _late_days(fitted: Rhythm, purchases: Purchases) -> np.ndarray:
    n_gaps, sums = rhythm.gap_sums(purchases, fitted.quantity_elasticity)
    late = rhythm.quantiles(fitted, np.arange(int(n_gaps.max()) + 1))["late"]
    factors = rhythm.stock_factors(rhythm.quantity_ratios(purchases), fitted.quantity_elasticity)
    days: np.ndarray = (
        (fitted.rate_days + sums) * late[n_gaps.astype(np.int64)] * np.maximum(factors, 1.0)
    )
    return days


def _store_quantiles(connection: psycopg.Connection, run_id: int, fitted: Rhythm) -> None:
    n_gaps = np.arange(MOST_GAPS + 1)
    least, most = rhythm.STOCK_LEVELS if fitted.quantity_elasticity else (0, 0)
    usual_late = rhythm.quantiles(fitted, n_gaps)["late"]
    with connection.cursor().copy(
        "copy ops.rhythm_quantile"
        " (model_run_id, stock_level, n_gaps, early, expected, late, usual_late) from stdin"
    ) as rows:
        for level in range(least, most + 1):
            found = [*rhythm.quantiles(fitted, n_gaps, level).values(), usual_late]
            for n, *values in zip(n_gaps.tolist(), *(each.tolist() for each in found), strict=True):
                rows.write_row((run_id, level, n, *values))
