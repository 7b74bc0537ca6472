"""The value models count what customers kept: trained and scored with and without returns."""

from __future__ import annotations

from datetime import date
from typing import Any

from tests.conftest import Warehouse
from winback.dbt_build import build
from winback.training.training import train

AS_OF = date(2025, 3, 1)
# what customers pay differs far more between them than within, or a mean would say nothing of them
ORDERS = """
insert into raw.orders
    (order_id, customer_key, ordered_at, quantity, amount_cents, currency, snapshot_id)
select 'o' || n || '-' || k, 'c' || n,
    timestamptz '2025-02-20 10:00+00' - (n * 7 + k * n * 13) % 600 * interval '1 day',
    1, (500 * power(40, n % 20 / 20.0) * (0.7 + 0.15 * k))::int, 'EUR', 1
from generate_series(1, 400) as n cross join generate_series(0, 4) as k
"""
# all orders of one customer, some of each order's price, named or not, so many days before the date
RETURNS = """
insert into raw.returns
    (return_id, customer_key, order_id, amount_cents, currency, returned_at, snapshot_id)
select 'r' || order_id || %(days_ago)s, customer_key, case when %(is_named)s then order_id end,
    amount_cents * %(share_pct)s / 100, 'EUR',
    timestamptz '2025-03-01 00:00+00' - %(days_ago)s * interval '1 day' + interval '1 minute', 1
from raw.orders where customer_key = %(customer)s
"""
VALUES = (
    "value_cents", "value_low_cents", "value_high_cents", "value_if_returned_cents",
    "value_if_returned_low_cents", "value_if_returned_high_cents",
)  # fmt: skip


def fitted(warehouse: Warehouse) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Builds, trains and scores; returns what was fitted, and every customer's scores."""
    warehouse.execute("delete from ops.rhythm_quantile")
    warehouse.execute("delete from ops.model_run")
    for step in ("stage", "model"):
        build(step, AS_OF)
    train(AS_OF)
    build("model", AS_OF)
    [(parameters,)] = warehouse.execute(
        "select parameters from ops.model_run where model = 'value'"
    )
    rows = warehouse.execute(
        "select customer_key, to_json(each) from marts.fct_customer_values as each"
    )
    return parameters, {key: row | {"model_run_id": None} for key, row in rows}


def send_back(warehouse: Warehouse, customer: str, share_pct: int, **how: Any) -> None:
    values = {"customer": customer, "share_pct": share_pct, "days_ago": 3, "is_named": True} | how
    assert values["share_pct"]
    warehouse.execute(RETURNS, values)


def test_what_came_back_is_worth_nothing(warehouse: Warehouse) -> None:
    warehouse.configure(dataset="shop", business_timezone="UTC")
    warehouse.execute(
        "insert into ops.snapshot (as_of, purpose, dataset) values (%s, 'live', 'shop')", (AS_OF,)
    )
    warehouse.execute(ORDERS)
    parameters, scores = fitted(warehouse)
    assert len(scores) == 400
    assert all(row[name] >= 0 for row in scores.values() for name in VALUES)
    assert all(row["value_if_returned_cents"] > 0 for row in scores.values())

    # accepted on the date itself or later: not known yet
    send_back(warehouse, "c5", 100, days_ago=0)
    send_back(warehouse, "c6", 100, days_ago=-30)
    assert fitted(warehouse) == (parameters, scores)

    # everything, with and without its order, and more than everything; a half
    send_back(warehouse, "c7", 100)
    send_back(warehouse, "c8", 100, is_named=False)
    send_back(warehouse, "c9", 130)
    send_back(warehouse, "c10", 50)
    after_parameters, after = fitted(warehouse)
    for key in ("c7", "c8", "c9"):
        assert [after[key][name] for name in VALUES] == [0] * len(VALUES), key
        # a purchase stays one, whatever came of it
        for name in ("expected_purchases", "probability_alive"):
            assert after[key][name] == scores[key][name]
    kept = [row for key, row in after.items() if key not in ("c7", "c8", "c9")]
    assert min(row["value_if_returned_cents"] for row in kept) > 0
    assert 0 < after["c10"]["value_cents"] < 0.7 * scores["c10"]["value_cents"]
    # amounts are learnt from those who kept something
    assert after_parameters["bg_nbd"] == parameters["bg_nbd"]
    assert after_parameters["gamma_gamma"] != parameters["gamma_gamma"]
    n_before, n_after = (
        each["gamma_gamma"]["n_customers"] for each in (parameters, after_parameters)
    )
    assert n_after == n_before - 3
    assert after_parameters["gamma_gamma"]["n_excluded"] == 3
    net = dict(warehouse.execute("select customer_key, turnover_cents from marts.dim_customers"))
    assert [net[key] for key in ("c7", "c8", "c9")] == [0, 0, 0]
