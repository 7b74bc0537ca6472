"""KPI snapshots on a real warehouse: windows, catching up, late data, and counting by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import psycopg
import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.flow import up_to_gate, up_to_select
from tests.small_shop import SmallShop, small_shop
from winback.errors import GateFailed
from winback.extract.snapshot import extract
from winback.gate import run_gate
from winback.gate.acceptance import accept
from winback.kpi.snapshot import write_snapshots

AS_OF = date(2025, 3, 1)
CLOSED = AS_OF + timedelta(days=61)
ALL = "select {} from marts.rpt_kpi_daily where segment = 'all' and as_of = '{}'"


@pytest.fixture(scope="module")
def measured(warehouse_factory: WarehouseFactory) -> Iterator[tuple[Warehouse, SmallShop]]:
    """Twenty assigned on AS_OF, accepted by hand; everything up to CLOSED is known."""
    with warehouse_factory("kpi") as warehouse:
        shop = small_shop(warehouse.data, AS_OF, n_lapsed=100)
        warehouse.configure(
            sources=shop.write(), dataset="shop", replay=True, max_candidates_pct=100
        )
        up_to_select(AS_OF)
        warehouse.execute("update ops.outreach set state = 'claimed'")
        warehouse.execute("update ops.outreach set state = 'dispatching'")
        warehouse.execute("update ops.outreach set state = 'accepted', accepted_at = now()")
        write_snapshots(AS_OF)
        yield warehouse, shop


def take_in(as_of: date) -> None:
    """Extracts and judges, without building models."""
    run_gate("raw", extract(as_of, "live"), as_of)


def buy(warehouse: Warehouse, shop: SmallShop, name: str, day: date) -> None:
    shop.buy(name, (AS_OF - day).days)
    shop.write()


def test_an_open_window_gives_no_rate(measured: tuple[Warehouse, SmallShop]) -> None:
    warehouse, _ = measured
    figures = "n_treated + n_holdout, n_recovered_treated, naive_pct, incremental_pct, reading"
    [(n_assigned, recovered, naive, incremental, reading)] = warehouse.execute(
        ALL.format(figures, AS_OF)
    )
    assert n_assigned == 100
    assert (recovered, naive, incremental) == (None, None, None)
    assert reading == "open: people may still come back until 2025-04-30"


def test_the_window_begins_after_the_date_and_ends_with_its_last_day(
    measured: tuple[Warehouse, SmallShop],
) -> None:
    warehouse, shop = measured
    treated = [
        name
        for n in range(100)
        for name in [f"lapsed-{n:02}"]
        if warehouse.execute(
            "select 1 from ops.outreach as o inner join pii.customers using (customer_key)"
            " where email = %s",
            (f"{name}@example.com",),
        )
    ]
    assert len(treated) == 80
    for name, day in zip(
        treated,
        (AS_OF, AS_OF + timedelta(days=1), AS_OF + timedelta(days=60), CLOSED),
        strict=False,
    ):
        buy(warehouse, shop, name, day)
    buy(warehouse, shop, "active-00", CLOSED - timedelta(days=1))
    take_in(CLOSED + timedelta(days=1))
    write_snapshots(CLOSED)
    # the day itself is too early, the 61st day too late
    [(is_closed, recovered, naive)] = warehouse.execute(
        ALL.format("is_window_closed, n_recovered_treated, naive_pct", CLOSED)
    )
    assert (is_closed, recovered, float(naive)) == (True, 2, 2.5)
    # every day in between was caught up, and the last open one is the 60th
    days = warehouse.execute(
        "select as_of, is_window_closed from marts.rpt_kpi_daily where segment = 'all' order by 1"
    )
    assert [day for day, _ in days] == [AS_OF + timedelta(days=n) for n in range(62)]
    assert [closed for _, closed in days] == [False] * 61 + [True]


def test_late_data_makes_a_new_revision_and_keeps_the_old_one(
    measured: tuple[Warehouse, SmallShop],
) -> None:
    warehouse, shop = measured
    assert write_snapshots(CLOSED) == 0
    [(customer,)] = warehouse.execute(
        "select email from pii.customers inner join ops.outreach using (customer_key)"
        " where not exists (select 1 from raw.orders as o where"
        " o.customer_key = pii.customers.customer_key and o.ordered_at > %s) limit 1",
        (AS_OF,),
    )
    buy(warehouse, shop, customer.split("@")[0], AS_OF + timedelta(days=58))
    take_in(CLOSED + timedelta(days=1))
    assert write_snapshots(CLOSED) > 0
    assert warehouse.execute(ALL.format("revision, n_recovered_treated", CLOSED)) == [(2, 3)]
    assert warehouse.execute(
        "select revision, n_recovered_treated from ops.kpi_snapshot"
        " where segment = 'all' and as_of = %s order by 1",
        (CLOSED,),
    ) == [(1, 2), (2, 3)]
    # a day on which the late order was not known to count yet stays as it was
    assert warehouse.execute(ALL.format("revision", AS_OF)) == [(1,)]


def test_candidates_always_add_up(measured: tuple[Warehouse, SmallShop]) -> None:
    warehouse, _ = measured
    rows = warehouse.execute(
        "select as_of, sum(n_candidates) filter (where segment not in ('all', 'all_cohorts')),"
        " sum(n_candidates) filter (where segment = 'all'),"
        " sum(n_excluded + n_holdout + n_treated) filter (where segment = 'all')"
        " from marts.rpt_kpi_daily group by 1"
    )
    assert len(rows) == 62
    assert all(by_tier == whole == parts == 100 for _, by_tier, whole, parts in rows)


def test_nothing_is_measured_from_a_batch_that_its_gate_refused(
    measured: tuple[Warehouse, SmallShop],
) -> None:
    warehouse, _ = measured
    before = warehouse.execute("select count(*) from ops.kpi_snapshot")
    snapshot_id = extract(CLOSED + timedelta(days=2), "live")
    with pytest.raises(
        GateFailed, match="has not been judged yet by gate raw: nothing is measured"
    ):
        write_snapshots(CLOSED + timedelta(days=2))
    with (
        warehouse.configured(max_quarantined_pct=-1),
        pytest.raises(GateFailed, match="quarantined_pct"),
    ):
        run_gate("raw", snapshot_id, CLOSED + timedelta(days=2))
    with pytest.raises(GateFailed, match="was refused by gate raw"):
        write_snapshots(CLOSED + timedelta(days=2))
    assert warehouse.execute("select count(*) from ops.kpi_snapshot") == before
    with psycopg.connect(warehouse.url) as connection:
        [(refused,)] = connection.execute("select max(gate_run_id) from ops.gate_run").fetchall()
        accept(connection, refused, "only a test", "somebody")
    assert write_snapshots(CLOSED + timedelta(days=2)) > 0, "accepted on purpose"


def test_small_cohorts_add_up_once_their_windows_are_closed(warehouse: Warehouse) -> None:
    """A hundred days of five people each: no cohort says anything, all of them together do."""
    shop = small_shop(warehouse.data, AS_OF)
    warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
    take_in(AS_OF + timedelta(days=1))
    warehouse.execute("insert into ops.campaign (campaign_id, definition) values ('c', '{}')")
    warehouse.execute(
        "insert into ops.assignment (campaign_id, lapse_id, customer_key, snapshot_id, as_of,"
        " occasion, occasion_date, arm, stratum, customer_state, window_starts_at,"
        " window_ends_at, window_days)"
        " select 'c', day || ' ' || n, md5(day || ' ' || n), 1, first + day, 'last_purchase',"
        " first,"
        " case when n <= 4 then 'treated' else 'holdout' end, 'low', 'sleeping',"
        " first + day, first + day + 60, 60"
        " from generate_series(0, 99) as day, generate_series(1, 5) as n,"
        " (select date '2024-01-01' as first) as first"
    )
    # one of the treated of every day comes back, nobody of the holdout
    warehouse.execute(
        "insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency,"
        " snapshot_id) select lapse_id, customer_key, window_ends_at, 100, 'EUR', 1"
        " from ops.assignment where lapse_id like '% 1'"
    )
    write_snapshots(AS_OF)
    rows = warehouse.execute(
        "select segment, n_treated, n_holdout, n_recovered_treated, incremental_pct, reading"
        f" from ops.kpi_snapshot where as_of = '{AS_OF}' and segment like 'all%'"
    )
    each = [row for row in rows if row[0] == "all"]
    [whole] = [row for row in rows if row[0] == "all_cohorts"]
    assert len(each) == 100
    assert {reading for *_, reading in each} == {"too few: fewer than 10 buyers expected in an arm"}
    assert whole[1:4] == (400, 100, 100)
    assert float(whole[4]) == 25.0
    assert whole[5] == "more came back than would have by themselves"


def test_the_sixtieth_day_counts_when_the_clock_changes(warehouse: Warehouse) -> None:
    as_of = date(2024, 10, 1)
    shop = small_shop(warehouse.data, as_of, n_lapsed=10)
    for n in range(10):
        shop.buy(f"lapsed-{n:02}", -60)
    warehouse.configure(
        sources=shop.write(), dataset="shop", replay=True, max_candidates_pct=100,
        business_timezone="Europe/Berlin",
    )  # fmt: skip
    up_to_select(as_of)
    shop.buy("active-00", -61)
    shop.write()
    take_in(as_of + timedelta(days=62))
    write_snapshots(as_of + timedelta(days=61))
    assert warehouse.execute(
        "select n_treated + n_holdout, n_recovered_treated + n_recovered_holdout"
        " from ops.kpi_snapshot where segment = 'all' and is_window_closed"
    ) == [(10, 10)]


def test_customers_are_counted_as_by_hand(warehouse: Warehouse) -> None:
    shop = SmallShop(warehouse.data, AS_OF)
    for name, days_ago in {
        "long_gone": 400,
        "newly_gone": 190,
        "gone_since_today": 181,
        "gone_tomorrow": 180,
        "here": 1,
        "back": 300,
        "back_today": 300,
    }.items():
        shop.add(name, days_ago)
    shop.buy("back", 20)
    # not known on AS_OF: the customer is still on the list
    shop.buy("back_today", 0)
    warehouse.configure(sources=shop.write(), dataset="shop", max_candidates_pct=100)
    up_to_gate(AS_OF)
    write_snapshots(AS_OF)
    counted = "n_customers, n_six_months, n_newly_inactive, n_returned"
    assert warehouse.execute(f"select {counted} from marts.rpt_customers_daily") == [(7, 4, 2, 1)]
    listed = warehouse.execute("select count(*) from marts.fct_inactive_six_months")
    assert listed == [(4,)]


def test_snapshots_are_never_updated_by_the_sender(warehouse: Warehouse) -> None:
    with (
        psycopg.connect(warehouse.url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("set role winback_sender")
        connection.execute("update ops.kpi_snapshot set naive_pct = 99")
