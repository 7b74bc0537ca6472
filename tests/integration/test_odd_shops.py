"""Shops that models stumble over: nobody, one customer, all alike, all at once, huge and worthless.

Each is staged, modelled, trained, scored and modelled again, with every data test of the marts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from tests.conftest import Warehouse
from winback.dbt_build import build, invoke
from winback.training.training import train

AS_OF = date(2025, 3, 1)
ORDERS = """
insert into raw.orders
    (order_id, customer_key, ordered_at, quantity, amount_cents, currency, snapshot_id)
select 'o' || row_number() over (), md5(customer::text), at, quantity, amount_cents, 'EUR', 1
from ({rows}) as made (customer, at, quantity, amount_cents)
"""
NOBODY = "select 1, now(), 1, 1 where false"
ONE = "select 1, timestamptz '2024-12-01 10:00+00', 1, 500"
ONCE_EACH = (
    "select n, timestamptz '2025-02-01 10:00+00' - n * interval '3 days', 1, 500"
    " from generate_series(1, 100) as n"
)
EVERY_MONTH = (
    "select n, timestamptz '2025-02-20 10:00+00' - k * interval '30 days' - n * interval '1 hour',"
    " 1, 500 + n from generate_series(1, 300) as n cross join generate_series(0, 23) as k"
)
NOW_AND_THEN = (
    "select n, timestamptz '2025-02-20 10:00+00' - (n * 7 + k * n * 13) % 600 * interval '1 day',"
    " 1, 0 from generate_series(1, 400) as n cross join generate_series(0, 4) as k"
)
SAME_MINUTE = (
    "select n, timestamptz '2025-01-01 10:00+00' - n * interval '5 days', 1, 500"
    " from generate_series(1, 60) as n cross join generate_series(1, 5) as k"
)
HUGE = EVERY_MONTH.replace("1, 500 + n", "1000000, 900000000000000 + n")
WORTHLESS = EVERY_MONTH.replace("1, 500 + n", "0, 0")


@pytest.fixture
def shop(warehouse: Warehouse) -> Callable[[str], Warehouse]:
    def filled(rows: str) -> Warehouse:
        warehouse.configure(dataset="shop", business_timezone="UTC")
        warehouse.execute(
            "insert into ops.snapshot (as_of, purpose, dataset) values (%s, 'live', 'shop')",
            (AS_OF,),
        )
        warehouse.execute(ORDERS.format(rows=rows))
        build("stage", AS_OF)
        build("model", AS_OF)
        train(AS_OF)
        build("model", AS_OF)
        results = invoke(["--quiet", "test", "--exclude-resource-type", "unit_test"], AS_OF)
        assert {status for name, (status, _) in results.items()} <= {"pass", "success"}
        return warehouse

    return filled


def states(warehouse: Warehouse) -> dict[str, int]:
    return dict(
        warehouse.execute("select state, count(*) from marts.fct_customer_states group by state")
    )


def scores(warehouse: Warehouse) -> list[tuple[int, ...]]:
    return warehouse.execute(
        "select count(*), count(probability_60_days), count(value_cents),"
        " count(*) filter (where value_cents < 0) from marts.fct_customer_values"
    )


def test_nobody_ever_bought(shop: Callable[[str], Warehouse]) -> None:
    warehouse = shop(NOBODY)
    assert states(warehouse) == {}
    assert scores(warehouse) == [(0, 0, 0, 0)]
    assert warehouse.execute("select count(*) from ops.model_run where model = 'value'") == [(0,)]


def test_a_single_customer(shop: Callable[[str], Warehouse]) -> None:
    warehouse = shop(ONE)
    assert states(warehouse) == {"active": 1}
    assert warehouse.execute(
        "select lapse_after_days, is_lapsed from marts.fct_customer_states"
    ) == [(180, False)]
    assert scores(warehouse) == [(0, 0, 0, 0)]


def test_everybody_bought_once(shop: Callable[[str], Warehouse]) -> None:
    warehouse = shop(ONCE_EACH)
    # 28 days and 3 n ago: late after 103, as long as nothing is known but the default; lapsed
    # after 180
    assert states(warehouse) == {"active": 25, "at_risk": 25, "sleeping": 50}
    assert scores(warehouse) == [(0, 0, 0, 0)]


def test_regular_buyers_who_never_drop_out(shop: Callable[[str], Warehouse]) -> None:
    """The ridge: the drop-out of BG/NBD is left open, and everybody buys in each window."""
    warehouse = shop(EVERY_MONTH)
    assert states(warehouse) == {"active": 300}
    [(expected, late)] = warehouse.execute(
        "select min(expected_gap_days), max(lapse_after_days) from marts.fct_customer_states"
    )
    assert 25 < expected < 35
    assert 30 < late < 120


def test_orders_of_one_minute_are_one_purchase(shop: Callable[[str], Warehouse]) -> None:
    warehouse = shop(SAME_MINUTE)
    assert warehouse.execute("select distinct n_purchases, n_orders from marts.dim_customers") == [
        (1, 5)
    ]
    assert sum(states(warehouse).values()) == 60


@pytest.mark.parametrize("rows", [HUGE, WORTHLESS], ids=["huge", "worthless"])
def test_amounts_of_any_size(shop: Callable[[str], Warehouse], rows: str) -> None:
    warehouse = shop(rows)
    assert states(warehouse) == {"active": 300}
    [(n, _, _, n_negative)] = scores(warehouse)
    assert n in (0, 300)
    assert n_negative == 0


def test_what_is_worth_nothing_has_a_chance_and_no_value(
    shop: Callable[[str], Warehouse],
) -> None:
    [(n, n_chances, n_values, _)] = scores(shop(NOW_AND_THEN))
    assert n == n_chances > 300
    assert n_values == 0
