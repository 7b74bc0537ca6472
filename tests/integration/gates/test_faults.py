"""A shop that is broken in every way a gate knows of: each fault is named, and stops the flow."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from tests.broken_tables import AS_OF, RUN, copied, instead_of, while_broken
from tests.conftest import Warehouse
from tests.flow import gates_have_passed
from winback.errors import GateFailed
from winback.gate import run_gate

# by measure: what breaks it, what mends it, what is said
RAW_FAULTS = {
    "n_missing_required_feeds": (
        f"update {RUN} set feed = 'products' where feed = 'customers'",
        f"update {RUN} set feed = 'customers' where feed = 'products'",
        r"on all feeds: 1 \(customers\), expected no required feed is missing",
    ),
    "n_currencies": (
        "update raw.orders set currency = 'USD' where order_id = 'order-3'",
        "update raw.orders set currency = 'EUR'",
        r"on all feeds: 2 \(1 of 1,290 rows; 1,289 in EUR, 1 in USD\), expected one currency",
    ),
    "quarantined_pct": (
        f"update {RUN} set n_quarantined = 4, n_passed = n_received - 4 where feed = 'orders'",
        f"update {RUN} set n_quarantined = 0, n_passed = n_received where feed = 'orders'",
        r"on raw.orders: 2.7 % \(4 of 150 rows\), expected at most 2 %",
    ),
    "repeated_keys_pct": (
        "insert into quarantine.rejected_row (extract_run_id, feed, source, row_number, reasons,"
        " content) select extract_run_id, feed, source, n, array['order_id repeats the key of row '"
        f" || n], '{{}}' from {RUN}, generate_series(2, 3) as n where feed = 'orders'",
        "truncate quarantine.rejected_row",
        r"on raw.orders: 1.3 % \(2 of 150 rows\), expected at most 1 % of the rows repeat a key",
    ),
    "received_of_before_pct": (
        f"update {RUN} set n_received = 70, n_passed = 70 where feed = 'consents'"
        f" and snapshot_id = (select max(snapshot_id) from {RUN})",
        f"update {RUN} set n_received = 150, n_passed = 150 where feed = 'consents'",
        r"on raw.consents: 46.7 % \(70 rows, 150 on 2025-02-28\), expected at least 50 %",
    ),
    "future_pct": (
        "update raw.consents set granted_at = granted_at + interval '100 years'"
        " where consent_id = 'consent-lapsed-01'",
        "update raw.consents set granted_at = granted_at - interval '100 years'"
        " where consent_id = 'consent-lapsed-01'",
        r"on raw.consents: 0.7 % \(1 of 150 rows\), expected at most 0.1 % .* in the future",
    ),
    "null_rise_points": (
        *copied("raw.customers", "update raw.customers set locale = null where locale is not null"),
        r"on raw.customers: \+100.0 points \(150 of 150 rows; empty in"
        r" 0.0 % before, 100.0 % now\)",
    ),
    "n_known": (
        *copied("raw.orders", "delete from raw.orders"),
        r"on raw.orders: 0, expected at least one fact before the as-of date",
    ),
    "age_days": (
        *copied("raw.orders", f"delete from raw.orders where ordered_at > '{AS_OF}'::date - 9"),
        r"on raw.orders: 9 days \(the newest is of 2025-02-20\), expected .* at most 7 days old",
    ),
    "unmatched_pct": (
        *copied("raw.orders", "update raw.orders set customer_key = 'x' where order_id"
        " like 'history-1%'"),
        r"on raw.orders: 13.3 % \(132 of 990 rows\)",
    ),
    "usual_orders_pct": (
        *copied("raw.orders", "delete from raw.orders where order_id like 'history-1-%'"),
        r"on raw.orders: 0.0 % \(0 on Friday 2025-02-28, usually 12\), expected the last day"
        r" brought 20 % to 500 %",
    ),
    "n_negative_amounts": (
        "update raw.orders set amount_cents = -amount_cents where order_id = 'order-3'",
        "update raw.orders set amount_cents = abs(amount_cents)",
        r"on raw.orders: 1, expected no order below zero",
    ),
    "differing_totals_pct": (
        "update raw.order_lines set amount_cents = amount_cents * 100 where line_number = 1"
        " and order_id like 'order-1%'",
        "update raw.order_lines set amount_cents = 500",
        r"on raw.order_lines: 40.7 % \(61 of 150 rows\), expected at most 5 % of the orders differ",
    ),
}  # fmt: skip
STATES = "marts.fct_customer_states"
MARTS_FAULTS = {
    "n_customers": (
        *instead_of(STATES, f"truncate {STATES}"),
        r"on marts.fct_customer_states: 0, expected at least one customer",
    ),
    "n_of_another_date": (
        *instead_of(STATES, f"update {STATES} set as_of = as_of - 1"),
        r"on marts.fct_customer_states: 150 \(150 of 150 rows\), expected every row is of the",
    ),
    "n_repeated_customers": (
        *instead_of(STATES, f"insert into {STATES} table {STATES} limit 1"),
        r"on marts.fct_customer_states: 2 \(2 of 151 rows\), expected one state for each customer",
    ),
    "n_purchases_not_known": (
        *instead_of(STATES, f"update {STATES} set"
        " days_since_last_purchase = days_since_last_purchase - 3"),
        r"on marts.fct_customer_states: 30 \(30 of 150 rows\), expected every last purchase lies",
    ),
    "state_change_points": (
        *instead_of(STATES, f"update {STATES} set state = 'at_risk' where state = 'active'"),
        r"on marts.fct_customer_states: \+20.0 points \((active: 20.0|at_risk: 0.0) % on"
        r" 2025-02-28, (0.0|20.0) % now\), expected no state's share",
    ),
    "n_bought_within_limit": (
        *instead_of("marts.fct_inactive_six_months", "update marts.fct_inactive_six_months set"
        " days_since_last_purchase = 180 where days_since_last_purchase = 250"),
        r"on marts.fct_inactive_six_months: 1 \(1 of 120 rows\), expected nobody on the list",
    ),
    "candidates_pct": (
        *copied("intermediate.int_customers__unscored", "delete from"
        " intermediate.int_customers__unscored where last_purchase_date > '2025-01-01'"),
        r"on candidates: 100.0 % \(120 of 120 rows\), expected at most 95 %",
    ),
    "candidates_change_pct": (
        *instead_of("intermediate.int_candidates", "delete from intermediate.int_candidates"
        " where days_since_last_purchase > 300"),
        r"on candidates: -57.5 % \(51 candidates, 120 on 2025-02-28\), expected at most 50 %",
    ),
}  # fmt: skip
FAULTS = [("raw", each) for each in RAW_FAULTS] + [("marts", each) for each in MARTS_FAULTS]


@pytest.mark.parametrize(("gate", "measure"), FAULTS)
def test_a_fault_is_named_and_stops_the_flow_until_it_is_mended(
    gated: tuple[Warehouse, int], gate: str, measure: str
) -> None:
    warehouse, snapshot_id = gated
    broken, mended, said = (RAW_FAULTS | MARTS_FAULTS)[measure]
    assert gates_have_passed(snapshot_id)
    with while_broken(warehouse, broken, mended):
        with pytest.raises(GateFailed, match=rf"{measure}\) {said}"):
            run_gate(gate, snapshot_id, AS_OF)
        assert not gates_have_passed(snapshot_id)
    run_gate(gate, snapshot_id, AS_OF)
    assert gates_have_passed(snapshot_id)


@pytest.mark.parametrize(("gate", "faults"), [("raw", RAW_FAULTS), ("marts", MARTS_FAULTS)])
def test_every_expectation_has_its_fault(gate: str, faults: dict[str, object]) -> None:
    columns = {
        re.sub(r"^.*_(?=null_rise_points$|unmatched_pct$)", "", expectation.column)
        for subject in import_module(f"expectations.{gate}").subjects(1, AS_OF, "")
        for expectation in subject.expectations
    }
    assert columns == set(faults)


def test_an_audience_is_not_compared_with_one_of_long_ago(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    broken, mended, _ = MARTS_FAULTS["state_change_points"]
    move = f"update ops.snapshot set as_of = as_of {{}} where snapshot_id < {snapshot_id}"
    with while_broken(
        warehouse, f"{broken}; {move.format('- 34')}", f"{mended}; {move.format('+ 35')}"
    ):
        with pytest.raises(GateFailed, match="state_change_points"):
            run_gate("marts", snapshot_id, AS_OF)
        warehouse.execute(move.format("- 1"))
        run_gate("marts", snapshot_id, AS_OF)
    run_gate("marts", snapshot_id, AS_OF)
