"""The gates: a passing and a failing batch for each suite, and what is stored about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import great_expectations.expectations as gxe
import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.flow import up_to_gate
from tests.small_shop import small_shop
from winback.errors import GateFailed
from winback.gate import Subject, has_passed, judge, run_gate, warehouse_url

AS_OF = date(2025, 3, 1)
META = {"why": "a test", "source": "here"}


@pytest.fixture(scope="module")
def gated(warehouse_factory: WarehouseFactory) -> Iterator[tuple[Warehouse, int]]:
    with warehouse_factory("gates") as warehouse:
        shop = small_shop(warehouse.data, AS_OF)
        warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
        yield warehouse, up_to_gate(AS_OF)


RAW_FAULTS = {
    "too many quarantined": (
        "update ops.extract_run set n_quarantined = 1, n_passed = n_received - 1"
        " where feed = 'orders'",
        "update ops.extract_run set n_quarantined = 0, n_passed = n_received where feed = 'orders'",
        r"expect_column_max_to_be_between\(quarantined_pct\) on extracted feeds",
    ),
    "a required feed missing": (
        "update ops.extract_run set feed = 'gone' where feed = 'customers'",
        "update ops.extract_run set feed = 'customers' where feed = 'gone'",
        r"expect_column_min_to_be_between\(n_required_feeds\)",
    ),
    "stale orders": (
        "update raw.orders set ordered_at = ordered_at - interval '30 days'",
        "update raw.orders set ordered_at = ordered_at + interval '30 days'",
        r"expect_column_min_to_be_between\(age_days\) on raw.orders: observed 31, expected at most",
    ),
    "a negative order": (
        "update raw.orders set amount_cents = -amount_cents where order_id = 'order-3'",
        "update raw.orders set amount_cents = -amount_cents where order_id = 'order-3'",
        r"expect_column_values_to_be_between\(amount_cents\) on raw.orders: 1 of 25 rows",
    ),
    "two currencies": (
        "update raw.orders set currency = 'USD' where order_id = 'order-3'",
        "update raw.orders set currency = 'EUR'",
        r"expect_column_unique_value_count_to_be_between\(currency\)",
    ),
    "an order of nobody": (
        "update raw.orders set customer_key = 'x' || customer_key where order_id = 'order-3'",
        "update raw.orders set customer_key = substr(customer_key, 2) where order_id = 'order-3'",
        r"expect_column_max_to_be_between\(orphaned_pct\) on orders without a customer: observed 4",
    ),
    "no orders at all": (
        "create table kept as table raw.orders; truncate raw.orders",
        "insert into raw.orders table kept; drop table kept",
        r"expect_table_row_count_to_be_between on raw.orders: observed 0",
    ),
}
STATES = "marts.fct_customer_states"
MARTS_FAULTS = {
    "of another date": (
        f"update {STATES} set as_of = as_of - 1",
        f"update {STATES} set as_of = as_of + 1",
        r"expect_column_distinct_values_to_equal_set\(as_of\)",
    ),
    "two states of one customer": (
        f"insert into {STATES} table {STATES} limit 1",
        f"delete from {STATES} as a using {STATES} as b"
        " where a.customer_key = b.customer_key and a.ctid > b.ctid",
        r"expect_column_values_to_be_unique\(customer_key\)",
    ),
    "a purchase of the day itself": (
        f"update {STATES} set days_since_last_purchase = days_since_last_purchase - 1",
        f"update {STATES} set days_since_last_purchase = days_since_last_purchase + 1",
        r"expect_column_values_to_be_between\(days_since_last_purchase\) on marts.fct_customer",
    ),
    "a buyer on the list": (
        "update marts.fct_inactive_six_months set days_since_last_purchase ="
        " days_since_last_purchase - 100",
        "update marts.fct_inactive_six_months set days_since_last_purchase ="
        " days_since_last_purchase + 100",
        r"expect_column_values_to_be_between\(days_since_last_purchase\) on marts.fct_inactive",
    ),
    "nearly everybody a candidate": (
        "create table kept as table marts.dim_customers;"
        " delete from marts.dim_customers where n_orders > 0 and last_purchase_date > '2025-01-01'",
        "truncate marts.dim_customers; insert into marts.dim_customers table kept; drop table kept",
        r"expect_column_max_to_be_between\(candidates_pct\) on candidates",
    ),
}


def run_script(warehouse: Warehouse, statements: str) -> None:
    for statement in statements.split(";"):
        warehouse.execute(statement)


@pytest.mark.parametrize("fault", RAW_FAULTS)
def test_gate_raw_fails_for(gated: tuple[Warehouse, int], fault: str) -> None:
    warehouse, snapshot_id = gated
    broken, mended, said = RAW_FAULTS[fault]
    assert has_passed(snapshot_id)
    run_script(warehouse, broken)
    with pytest.raises(GateFailed, match=said):
        run_gate("raw", snapshot_id, AS_OF)
    assert not has_passed(snapshot_id)
    run_script(warehouse, mended)
    run_gate("raw", snapshot_id, AS_OF)


@pytest.mark.parametrize("fault", MARTS_FAULTS)
def test_gate_marts_fails_for(gated: tuple[Warehouse, int], fault: str) -> None:
    warehouse, snapshot_id = gated
    broken, mended, said = MARTS_FAULTS[fault]
    assert has_passed(snapshot_id)
    run_script(warehouse, broken)
    with pytest.raises(GateFailed, match=said):
        run_gate("marts", snapshot_id, AS_OF)
    assert not has_passed(snapshot_id)
    run_script(warehouse, mended)
    run_gate("marts", snapshot_id, AS_OF)


def test_one_unknown_customer_among_many_does_not_stop_a_shop(
    gated: tuple[Warehouse, int],
) -> None:
    warehouse, snapshot_id = gated
    broken, mended, _ = RAW_FAULTS["an order of nobody"]
    warehouse.configure(max_orphaned_orders_pct=5)
    warehouse.execute(broken)
    run_gate("raw", snapshot_id, AS_OF)
    warehouse.execute(mended)
    warehouse.configure(max_orphaned_orders_pct=2)


def test_a_young_shop_may_have_nobody_inactive(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    warehouse.execute("create table kept as table marts.fct_inactive_six_months")
    warehouse.execute("truncate marts.fct_inactive_six_months")
    run_gate("marts", snapshot_id, AS_OF)
    run_script(warehouse, "insert into marts.fct_inactive_six_months table kept; drop table kept")


def test_an_empty_table_and_an_empty_suite_fail(gated: tuple[Warehouse, int]) -> None:
    not_null = gxe.ExpectColumnValuesToNotBeNull(column="n", meta=META)
    findings = judge(
        [
            Subject("empty", "select 1 as n where false", [not_null]),
            Subject("no suite", "select 1 as n", []),
            Subject("sound", "select 1 as n", [not_null]),
        ],
        warehouse_url(),
    )
    met = {(f.subject, f.expectation): f.is_met for f in findings}
    assert met == {
        ("empty", "expect_table_row_count_to_be_between"): False,
        ("empty", "expect_column_values_to_not_be_null"): True,
        ("no suite", "suite_not_empty"): False,
        ("sound", "expect_table_row_count_to_be_between"): True,
        ("sound", "expect_column_values_to_not_be_null"): True,
    }
    assert [f.is_met for f in judge([], warehouse_url())] == [False]


def test_what_can_not_be_checked_fails(gated: tuple[Warehouse, int]) -> None:
    expectation = gxe.ExpectColumnValuesToNotBeNull(column="gone", meta=META)
    findings = judge([Subject("s", "select 1 as n", [expectation])], warehouse_url())
    [failed] = [f for f in findings if not f.is_met]
    assert failed.column == "gone"
    assert "could not be checked" in failed.observed


def test_the_verdict_is_stored_with_reasons_and_without_values(
    gated: tuple[Warehouse, int],
) -> None:
    warehouse, snapshot_id = gated
    rows = warehouse.execute(
        "select r.expectation, r.why, r.source, r.observed from ops.gate_result as r"
        " inner join ops.gate_run using (gate_run_id) where snapshot_id = %s",
        (snapshot_id,),
    )
    assert len(rows) > 15
    assert all(why and source for _, why, source, _ in rows)
    [(key,)] = warehouse.execute("select customer_key from raw.customers limit 1")
    assert not [row for row in rows if key in str(row)]
