"""Scores every customer of a date with the value models in use, into `customer_score`.

The table stands beside dbt's own ones, since the scores are numbers that SQL can not compute; the
mart `fct_customer_values` is what people read.
"""

from __future__ import annotations

import logging
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.model import window_models
from winback.model.discounting import Discounting
from winback.model.expected_purchases import (
    conditional_expected_purchases,
    probability_alive,
)
from winback.model.lifetime_value import Customers, lifetime_values, margin_shares
from winback.model.refunds import kept_amounts
from winback.model.return_features import SalesHistory
from winback.settings import settings
from winback.training import known_facts, model_runs, returned_goods, value_training
from winback.training.sales_history import EVERYBODY, Costs, day_number, read_costs, read_history
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

_CREATE = sql.SQL("""
create schema if not exists {schema};
create table if not exists {table} (
    customer_key text not null,
    model_run_id bigint not null,
    probability_30_days double precision,
    probability_60_days double precision,
    probability_180_days double precision,
    spend_if_bought_cents bigint,
    expected_purchases double precision,
    probability_alive double precision,
    value_cents bigint,
    value_low_cents bigint,
    value_high_cents bigint,
    value_if_returned_cents bigint,
    value_if_returned_low_cents bigint,
    value_if_returned_high_cents bigint,
    spend_place double precision
);
-- a table of an earlier version lacks it
alter table {table} add column if not exists spend_place double precision;
truncate {table};
""")
TABLE = "customer_score"
LARGEST_CENTS = 9e15


def score(as_of: date, suffix: str = "") -> int:
    """Writes the scores of a date anew; returns of how many customers: not of whoever objected.

    Without models in use (the training has not run yet) the table is there and empty.

    Args:
        as_of: The date; its purchases must be staged.
        suffix: Of the schemas in which they stand.
    """
    schema = f"intermediate{suffix}"
    create = _CREATE.format(schema=sql.Identifier(schema), table=sql.Identifier(schema, TABLE))
    with warehouse.connect("transformer") as connection:
        connection.execute(create)
    with warehouse.connect("loader") as connection:
        run = model_runs.newest_in_use(connection, value_training.MODEL, as_of)
    if run is None:
        return 0
    keys, history = read_history(suffix)
    if not len(keys):
        return 0
    needed = {name for each in run.parameters["returns"].values() for name in each["names"]}
    history = known_facts.with_facts(history, keys, suffix, EVERYBODY, needed)
    history = returned_goods.with_refunds(history, keys, suffix)
    columns = {
        "customer_key": keys,
        "model_run_id": pa.array(np.full(len(keys), run.model_run_id)),
        **_returns(history, as_of, run.parameters),
        **_values(history, as_of, run.parameters, read_costs(suffix, keys)),
    }
    with dbapi.connect(warehouse.url()) as connection, connection.cursor() as cursor:
        cursor.execute("set role winback_transformer")
        cursor.adbc_ingest(TABLE, pa.table(columns), mode="append", db_schema_name=schema)
        connection.commit()
    warehouse.analyze(f"{schema}.{TABLE}")
    log.info("%s customers scored with value models %s", len(keys), run.model_run_id)
    return len(keys)


def _returns(
    history: SalesHistory, as_of: date, parameters: dict[str, Any]
) -> dict[str, np.ndarray | pa.Array]:
    basis, day = value_training.basis_of(parameters), day_number(as_of)
    found: dict[str, np.ndarray | pa.Array] = {}
    for horizon in value_training.HORIZONS:
        stored = parameters["returns"].get(str(horizon))
        if stored is None:
            n_customers = len(history.starts) - 1
            found[f"probability_{horizon}_days"] = pa.nulls(n_customers, pa.float64())
            continue
        fitted = window_models.from_parameters(stored)
        predicted = window_models.predict(history, day, horizon, basis, fitted)
        found[f"probability_{horizon}_days"] = predicted.probability.round(6)
        if horizon == value_training.DECIDING:
            found["spend_if_bought_cents"] = _cents(predicted.spend_if_bought)
            found["spend_place"] = predicted.spend_place.round(6)
    return found


def _values(
    history: SalesHistory, as_of: date, parameters: dict[str, Any], costs: Costs
) -> dict[str, np.ndarray | pa.Array]:
    config, day = settings(), day_number(as_of)
    starts = history.starts
    first, last = history.purchases.day[starts[:-1]], history.purchases.day[starts[1:] - 1]
    n = np.diff(starts).astype(float)
    kept = kept_amounts(history.amount, history.refunds)
    paid = np.append(0.0, np.cumsum(kept))
    has_paid, has_kept = (np.add.reduceat(each, starts[:-1]) > 0 for each in (history.amount, kept))
    bg_nbd = value_training.basis_of(parameters).bg_nbd
    frequency, recency, age = n - 1, (last - first).astype(float), (day - first).astype(float)
    customers = Customers(
        frequency, recency, age,
        n_purchases=n,
        mean_amount=(paid[starts[1:]] - paid[starts[:-1]]) / n,
        margin_share=margin_shares(costs.turnover, costs.cost, config.usual_margin_pct / 100),
        sent_all_back=has_paid & ~has_kept,
    )  # fmt: skip
    horizon = Discounting(config.value_months, config.discount_pct / 100)
    values = lifetime_values(bg_nbd, value_training.amounts_of(parameters), customers, horizon)
    found = {
        "expected_purchases": conditional_expected_purchases(
            bg_nbd, frequency, recency, age, config.value_months * horizon.month
        ).round(6),
        "probability_alive": probability_alive(bg_nbd, frequency, recency, age).round(6),
    }
    for name, estimate in (
        ("value", values.alive_weighted),
        ("value_if_returned", values.given_return),
    ):
        found |= {
            f"{name}_cents": _cents(estimate.expected),
            f"{name}_low_cents": _cents(estimate.low),
            f"{name}_high_cents": _cents(estimate.high),
        }
    return found


def _cents(amounts: np.ndarray) -> pa.Array:
    """Whole minor units; null where a model has nothing to say."""
    whole = np.clip(np.rint(np.nan_to_num(amounts)), -LARGEST_CENTS, LARGEST_CENTS)
    return pa.array(whole.astype(np.int64), mask=~np.isfinite(amounts))
