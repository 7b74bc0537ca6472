"""What the gates let pass, what they compare, and what they store."""

from __future__ import annotations

from datetime import date, timedelta

import great_expectations.expectations as gxe
import pytest

from expectations.measures.feeds import measure_feeds
from tests.broken_tables import AS_OF, RUN, copied, instead_of, while_broken
from tests.conftest import Warehouse
from tests.flow import up_to_gate
from tests.small_shop import small_shop
from winback.errors import GateFailed
from winback.extract.snapshot import extract
from winback.gate import Batch, Earlier, Subject, judge, run_gate, warehouse_url
from winback.gate.records import read_batch
from winback.settings import settings
from winback.warehouse.connection import connect

META = {"why": "a test", "source": "here"}


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
