"""The gates on a shop that is sound, and on one that is broken in every way a gate knows of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from importlib import import_module

import great_expectations.expectations as gxe
import pytest

from expectations.measures.feeds import measure_feeds
from tests.conftest import Warehouse, WarehouseFactory
from tests.flow import gates_have_passed, up_to_gate
from tests.small_shop import small_shop
from winback.errors import GateFailed
from winback.extract.snapshot import extract
from winback.gate import Batch, Earlier, Subject, judge, run_gate, warehouse_url
from winback.gate.records import read_batch
from winback.settings import settings
from winback.warehouse.connection import connect

AS_OF = date(2025, 3, 1)
META = {"why": "a test", "source": "here"}
# from here on Great Expectations compares; see `COMPARED_FROM`
N_LAPSED, N_ACTIVE = 120, 30

ORDER_LINES = (
    "insert into raw.order_lines (order_id, line_number, product_id, quantity, amount_cents,"
    " currency, ordered_at, snapshot_id) select order_id, n, 'p', 1, amount_cents / 2, currency,"
    " ordered_at, snapshot_id from raw.orders, generate_series(1, 2) as n;"
    "insert into ops.extract_run (snapshot_id, feed, source, n_received, n_passed, n_quarantined,"
    " started_at) select max(snapshot_id), 'order_lines', 'lines.csv', 300, 300, 0, now()"
    " from ops.snapshot"
)
# ten weeks of twelve orders a day, on which the last day can be judged
HISTORY = (
    "insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency,"
    " snapshot_id) select 'history-' || day || '-' || n, (select min(customer_key) from"
    f" raw.customers), date '{AS_OF}' - day, 100, 'EUR', 1"
    " from generate_series(1, 70) as day, generate_series(1, 12) as n"
)


@pytest.fixture(scope="module")
def gated(warehouse_factory: WarehouseFactory) -> Iterator[tuple[Warehouse, int]]:
    """Two days of a shop with every feed that the faults below need; the second is judged."""
    with warehouse_factory("gates") as warehouse:
        shop = small_shop(warehouse.data, AS_OF, N_LAPSED, 0)
        for n in range(N_ACTIVE):
            shop.add(f"active-{n:02}", 3)
        warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
        up_to_gate(AS_OF - timedelta(days=1))
        snapshot_id = up_to_gate(AS_OF)
        run_script(warehouse, f"{ORDER_LINES};{HISTORY}")
        run_gate("raw", snapshot_id, AS_OF)
        yield warehouse, snapshot_id


def run_script(warehouse: Warehouse, statements: str) -> None:
    for statement in statements.split(";"):
        warehouse.execute(statement)


@contextmanager
def while_broken(warehouse: Warehouse, broken: str, mended: str) -> Iterator[None]:
    run_script(warehouse, broken)
    try:
        yield
    finally:
        run_script(warehouse, mended)


def copied(table: str, broken: str) -> tuple[str, str]:
    """Breaks a table, and puts it back as it was."""
    return (
        f"create table kept as table {table}; {broken}",
        f"truncate {table}; insert into {table} table kept; drop table kept",
    )


def instead_of(view: str, broken: str) -> tuple[str, str]:
    """Puts a broken table in a view's place, and the view back."""
    schema, name = view.split(".")
    return (
        f"alter view {view} rename to kept; create table {view} as table {schema}.kept;"
        f" grant select on {view} to public; {broken}",
        f"drop table {view}; alter view {schema}.kept rename to {name}",
    )


RUN = "ops.extract_run"
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


def test_one_unknown_customer_among_many_does_not_stop_a_shop(
    gated: tuple[Warehouse, int],
) -> None:
    warehouse, snapshot_id = gated
    one = "update raw.orders set customer_key = 'x' where order_id = 'order-3'"
    with while_broken(warehouse, *copied("raw.orders", one)):
        run_gate("raw", snapshot_id, AS_OF)


def test_a_young_shop_may_have_nobody_inactive(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    table = "marts.fct_inactive_six_months"
    with while_broken(warehouse, *instead_of(table, f"truncate {table}")):
        run_gate("marts", snapshot_id, AS_OF)


def test_rows_gone_at_the_source_and_facts_not_known_yet_do_not_count(
    gated: tuple[Warehouse, int],
) -> None:
    warehouse, snapshot_id = gated
    gone = (
        "update raw.orders set customer_key = 'x', currency = 'USD', deleted_at = now()"
        " where order_id in ('order-1', 'order-2');"
        "insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency,"
        f" snapshot_id) select 'late-' || n, 'x', date '{AS_OF}' + 5, -1, 'USD', 1"
        " from generate_series(1, 100) as n"
    )
    with while_broken(warehouse, *copied("raw.orders", gone)):
        run_gate("raw", snapshot_id, AS_OF)
        warehouse.execute("update raw.orders set deleted_at = null")
        with pytest.raises(GateFailed, match=r"n_currencies\) on all feeds: 2 \(2 of"):
            run_gate("raw", snapshot_id, AS_OF)
    run_gate("raw", snapshot_id, AS_OF)


def test_a_date_gone_at_the_source_is_no_future(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    typo = "update raw.consents set granted_at = '2199-01-01' where consent_id like '%active-01'"
    with while_broken(warehouse, *copied("raw.consents", typo)):
        with pytest.raises(GateFailed, match="future_pct"):
            run_gate("raw", snapshot_id, AS_OF)
        warehouse.execute("update raw.consents set deleted_at = now() where granted_at > now()")
        run_gate("raw", snapshot_id, AS_OF)


def test_a_clock_that_is_slightly_off_is_no_future(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    soon = "update raw.consents set granted_at = now() + interval '12 hours'"
    today, feeds = settings().today(), {"consents": None}
    shares = []
    with while_broken(warehouse, *copied("raw.consents", soon)), connect("loader") as connection:
        for is_live in (True, False):
            batch = Batch(snapshot_id, today, is_live, max_age_days=feeds)
            measures = {(m.about, m.name): m.value for m in measure_feeds(connection, batch)}
            shares.append(measures["raw.consents", "future_pct"])
    assert shares == [0, 100]


def test_customers_gone_at_the_source_are_missed(gated: tuple[Warehouse, int]) -> None:
    """Such as by an export that was cut off."""
    warehouse, snapshot_id = gated
    gone = "update raw.customers set deleted_at = now() where locale is not null"
    said = r"customer_key_unmatched_pct\) on raw.orders: 100.0"
    with (
        while_broken(warehouse, *copied("raw.customers", gone)),
        pytest.raises(GateFailed, match=said),
    ):
        run_gate("raw", snapshot_id, AS_OF)
    run_gate("raw", snapshot_id, AS_OF)


def test_a_personal_column_that_empties_is_noticed_and_not_shown(
    gated: tuple[Warehouse, int],
) -> None:
    warehouse, snapshot_id = gated
    # nobody has a first name now; the day before everybody had one
    before = (
        "update ops.gate_measure set value = {} where measure = 'first_name_null_pct'"
        f" and snapshot_id < {snapshot_id}"
    )
    said = r"first_name_null_rise_points\) on raw.customers: \+100.0 points \(150 of 150 rows"
    with (
        while_broken(warehouse, before.format(0), before.format(100)),
        pytest.raises(GateFailed, match=said),
    ):
        run_gate("raw", snapshot_id, AS_OF)
    [(examples,)] = warehouse.execute(
        "select examples from ops.gate_result where not is_met order by gate_result_id desc limit 1"
    )
    assert len(examples) == 10
    assert {name for example in examples for name in example} == {"customer_key"}
    run_gate("raw", snapshot_id, AS_OF)


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


def test_what_a_snapshot_is_compared_with(warehouse: Warehouse) -> None:
    snapshots = {
        "compared": (1, "live", "shop", True),
        "of another dataset": (2, "live", "other", True),
        "a backfill": (2, "backfill", "shop", True),
        "refused": (2, "live", "shop", False),
        "not judged": (2, "live", "shop", None),
        "newer": (9, "live", "shop", True),
        "judged now": (3, "live", "shop", None),
        "a backfill now": (3, "backfill", "shop", None),
    }
    ids = {}
    for name, (day, purpose, dataset, is_passed) in snapshots.items():
        [(ids[name],)] = warehouse.execute(
            "insert into ops.snapshot (as_of, purpose, dataset, completed_at)"
            " values (%s, %s, %s, now()) returning snapshot_id",
            (date(2025, 3, day), purpose, dataset),
        )
        if is_passed is not None:
            warehouse.execute(
                "insert into ops.gate_run (snapshot_id, gate, is_passed, n_expectations, n_failed)"
                " values (%s, 'raw', %s, 1, 0)",
                (ids[name], is_passed),
            )
    warehouse.execute(
        "insert into ops.gate_measure (snapshot_id, about, measure, value)"
        " values (%s, 'raw.orders', 'n_known', 12)",
        (ids["compared"],),
    )
    with connect("loader") as connection:
        batch = read_batch(connection, "raw", ids["judged now"], "")
        assert batch.earlier == Earlier(
            ids["compared"], date(2025, 3, 1), {("raw.orders", "n_known"): 12.0}
        )
        assert batch.before("raw.orders", "n_known") == 12
        assert batch.before("raw.orders", "age_days") is None
        assert read_batch(connection, "marts", ids["judged now"], "").earlier is None
        assert read_batch(connection, "raw", ids["a backfill now"], "").earlier is None
        with pytest.raises(GateFailed, match="there is no snapshot 99"):
            read_batch(connection, "raw", 99, "")


def test_a_feed_that_is_not_delivered_is_not_judged(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    run_gate("raw", snapshot_id, AS_OF)
    judged = {
        name
        for (name,) in warehouse.execute(
            "select table_name from ops.gate_result where gate_run_id ="
            " (select max(gate_run_id) from ops.gate_run)"
        )
    }
    feeds = {"customers", "orders", "consents", "order_lines"}
    assert judged == {"all feeds", *(f"raw.{feed}" for feed in feeds)}


def test_freshness_is_what_the_mapping_says(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    status = "update ops.feed_status set max_age_days = {} where feed = 'consents'"
    with while_broken(warehouse, status.format(3), status.format("null")):
        run_gate("raw", snapshot_id, AS_OF)
        warehouse.execute(status.format(2))
        with pytest.raises(GateFailed, match=r"age_days\) on raw.consents: 3 days \(the newest"):
            run_gate("raw", snapshot_id, AS_OF)
    run_gate("raw", snapshot_id, AS_OF)


def test_an_increment_of_few_rows_is_not_stopped_by_one(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    increment = (
        f"update {RUN} set n_received = 10, n_quarantined = {{0}}, n_passed = 10 - {{0}},"
        f" is_whole = false where feed = 'consents' and snapshot_id = {snapshot_id}"
    )
    mended = (
        f"update {RUN} set n_received = 150, n_quarantined = 0, n_passed = 150, is_whole = true"
        " where feed = 'consents'"
    )
    with while_broken(warehouse, increment.format(2), mended):
        run_gate("raw", snapshot_id, AS_OF)
        warehouse.execute(increment.format(3))
        with pytest.raises(GateFailed, match=r"on raw.consents: 3.0 % \(3 of 100 rows\)"):
            run_gate("raw", snapshot_id, AS_OF)
    run_gate("raw", snapshot_id, AS_OF)


def test_without_history_it_passes_and_says_so(warehouse: Warehouse) -> None:
    shop = small_shop(warehouse.data, AS_OF)
    warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
    up_to_gate(AS_OF)
    later = dict(
        warehouse.execute(
            "select distinct column_name, not_judged from ops.gate_result"
            " where not_judged is not null and is_met and observed = 'not judged yet'"
        )
    )
    assert later["received_of_before_pct"] == "no history yet"
    assert later["locale_null_rise_points"] == "no history yet"
    assert later["country_null_rise_points"] == "nobody fills it"
    assert later["usual_orders_pct"] == "no history yet: fewer than 4 weeks of orders"
    assert later["candidates_change_pct"] == later["state_change_points"] == "no history yet"
    up_to_gate(AS_OF - timedelta(days=1), is_backfill=True)
    [(reason,)] = warehouse.execute(
        "select not_judged from ops.gate_result where column_name = 'state_change_points'"
        " order by gate_result_id desc limit 1"
    )
    assert reason == "a backfill is compared with nothing"


def test_an_empty_table_and_an_empty_suite_fail(gated: tuple[Warehouse, int]) -> None:
    not_null = gxe.ExpectColumnValuesToNotBeNull(column="n", meta=META)
    findings = judge(
        [
            Subject("empty", "select 1 as n where false", [not_null]),
            Subject("no suite", "select 1 as n", []),
            Subject("sound", "select 1 as n", [not_null]),
        ],
        warehouse_url(),
    ).findings
    met = {(f.subject, f.expectation): f.is_met for f in findings}
    assert met == {
        ("empty", "expect_table_row_count_to_be_between"): False,
        ("empty", "expect_column_values_to_not_be_null"): True,
        ("no suite", "suite_not_empty"): False,
        ("sound", "expect_table_row_count_to_be_between"): True,
        ("sound", "expect_column_values_to_not_be_null"): True,
    }
    assert not any(f.can_be_accepted for f in findings if not f.is_met)
    assert [f.is_met for f in judge([], warehouse_url()).findings] == [False]


def test_what_can_not_be_checked_fails(gated: tuple[Warehouse, int]) -> None:
    largest = gxe.ExpectColumnMaxToBeBetween(column="n", max_value=1, meta=META)
    gone = gxe.ExpectColumnValuesToNotBeNull(column="gone", meta=META)
    subject = Subject("s", "select cast(null as int) as n", [gone, largest])
    failed = {f.column: f for f in judge([subject], warehouse_url()).findings if not f.is_met}
    assert set(failed) == {"gone", "n"}
    assert "could not be checked" in failed["gone"].observed
    # what was not measured is nothing that could be let pass
    assert not failed["gone"].can_be_accepted
    assert not failed["n"].can_be_accepted


def test_the_verdict_is_stored_with_reasons_and_without_values(
    gated: tuple[Warehouse, int],
) -> None:
    warehouse, snapshot_id = gated
    rows = warehouse.execute(
        "select r.expectation, r.why, r.source, r.observed, r.expected from ops.gate_result as r"
        " inner join ops.gate_run using (gate_run_id) where snapshot_id = %s",
        (snapshot_id,),
    )
    assert len(rows) > 30
    assert all(why and source and expected for _, why, source, _, expected in rows)
    [(key,)] = warehouse.execute("select customer_key from raw.customers limit 1")
    assert not [row for row in rows if key in str(row)]


def test_a_refused_batch_is_no_yardstick(gated: tuple[Warehouse, int]) -> None:
    """The last test: it leaves a newer snapshot behind."""
    warehouse, snapshot_id = gated
    emptied = copied("raw.customers", "update raw.customers set locale = null")
    with while_broken(warehouse, *emptied), pytest.raises(GateFailed):
        run_gate("raw", snapshot_id, AS_OF)
    later = AS_OF + timedelta(days=1)
    newer = extract(later, "live")
    said = r"empty in 0.0 % before, 100.0 % now"
    with while_broken(warehouse, *emptied), pytest.raises(GateFailed, match=said):
        run_gate("raw", newer, later)
