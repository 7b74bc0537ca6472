"""The feeds and campaigns of The Complete Journey, against pandas."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.flow import up_to_gate, up_to_select
from tests.integration.complete_journey import RESPONSE
from winback.demo import complete_journey
from winback.kpi.incremental import Stratum, stratified_newcombe
from winback.privacy.keyed_hash import customer_key
from winback.select.assignment import draw

pytestmark = pytest.mark.timeout(600)
FIRST, LAST = date(2017, 9, 1), date(2018, 1, 1)


@pytest.fixture(scope="module")
def tills(journey: Path) -> pd.DataFrame:
    """The lines as published, with the day on which the shop was open."""
    frame = pd.read_parquet(journey / "transactions.parquet")
    local = frame["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    frame["day"] = local.dt.tz_localize(None).dt.normalize()
    frame["cents"] = (frame["sales_value"] * 100).round().astype("int64")
    return frame


@pytest.fixture(scope="module")
def campaigns(journey: Path) -> pd.DataFrame:
    """Every campaign that a household received, with all of its redemptions."""
    received, described, redeemed = (
        pd.read_parquet(journey / f"{name}.parquet")
        for name in ("campaigns", "campaign_descriptions", "coupon_redemptions")
    )
    first = redeemed.groupby(["campaign_id", "household_id"])["redemption_date"].min()
    keyed = received.merge(described, on="campaign_id").set_index(["campaign_id", "household_id"])
    return keyed.assign(first=first).reset_index()


@pytest.fixture(scope="module")
def first_and_last(
    warehouse_factory: WarehouseFactory, journey: Path
) -> Iterator[tuple[Warehouse, list[tuple[object, ...]]]]:
    """The year in the warehouse, built up to its end, and the campaigns as known in September."""
    with warehouse_factory("journey") as warehouse:
        warehouse.configure(
            data=journey.parent,
            dataset="completejourney",
            replay=True,
            business_timezone=complete_journey.TIMEZONE,
        )
        up_to_select(FIRST)
        then = external_campaigns(warehouse)
        up_to_gate(LAST)
        yield warehouse, then


@pytest.fixture(scope="module")
def year(first_and_last: tuple[Warehouse, object]) -> Warehouse:
    return first_and_last[0]


def external_campaigns(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return warehouse.execute(
        "select campaign_type, n_campaigns, n_assigned, n_open, n_responded,"
        " cast(response_pct as float8) from marts.rpt_external_campaigns order by 1"
    )


def expected_campaigns(campaigns: pd.DataFrame, as_of: date) -> list[tuple[object, ...]]:
    then = pd.Timestamp(as_of)
    known = campaigns[campaigns["start_date"] < then]
    rows: list[tuple[object, ...]] = []
    for kind, of_kind in known.groupby("campaign_type"):
        n = len(of_kind)
        n_open = int((of_kind["end_date"] >= then).sum())
        n_answered = int((of_kind["first"] < then).sum())
        share = pytest.approx(100 * n_answered / n, abs=1e-4)
        rows.append((kind, of_kind["campaign_id"].nunique(), n, n_open, n_answered, share))
    return rows


def test_times_are_utc_and_the_shops_in_new_york(journey: Path, tills: pd.DataFrame) -> None:
    """Only so is every coupon redeemed on a day on which its household bought something."""
    redeemed = pd.read_parquet(journey / "coupon_redemptions.parquet")
    days = set(zip(redeemed["household_id"], redeemed["redemption_date"], strict=True))
    bought = set(zip(tills["household_id"], tills["day"], strict=True))
    assert days <= bought
    in_utc = tills["transaction_timestamp"].dt.normalize()
    assert len(days - set(zip(tills["household_id"], in_utc, strict=True))) > 50
    assert (str(tills["day"].min())[:10], str(tills["day"].max())[:10]) == (
        "2017-01-01",
        "2017-12-31",
    )


def test_an_order_is_the_sum_of_its_lines(year: Warehouse, tills: pd.DataFrame) -> None:
    by_basket = tills.groupby("basket_id")
    expected = pd.DataFrame(
        {
            "cents": by_basket["cents"].sum(),
            "bought_at": by_basket["transaction_timestamp"].first(),
            "household": by_basket["household_id"].first(),
        }
    )
    assert len(expected) == 155_848
    found = year.execute(
        "select order_id, amount_cents, ordered_at at time zone 'UTC', customer_key from raw.orders"
    )
    keys = {
        household: customer_key("completejourney", str(household))
        for household in expected["household"].unique()
    }
    assert len(keys) == 2_469
    assert {order: tuple(rest) for order, *rest in found} == {
        str(row.Index): (row.cents, row.bought_at.to_pydatetime(), keys[row.household])
        for row in expected.itertuples()
    }


def test_every_line_is_loaded_once(year: Warehouse, tills: pd.DataFrame) -> None:
    [found] = year.execute(
        "select count(*), sum(amount_cents), sum(quantity), count(distinct product_id),"
        " count(distinct (order_id, product_id)) from raw.order_lines"
    )
    expected = (
        1_469_307, tills["cents"].sum(), tills["quantity"].sum(), tills["product_id"].nunique(),
        1_469_307,
    )  # fmt: skip
    assert tuple(map(int, found)) == tuple(map(int, expected))
    numbers = year.execute(
        "select count(*) from (select order_id from raw.order_lines group by order_id"
        " having min(line_number) <> 1 or max(line_number) <> count(*)) as holes"
    )
    assert numbers == [(0,)]
    assert year.execute("select count(*), count(name) from raw.products") == [(92_331, 91_803)]


def test_nothing_is_quarantined_and_what_is_made_up_says_so(year: Warehouse) -> None:
    assert year.execute("select count(*) from quarantine.rejected_row") == [(0,)]
    feeds = year.execute("select feed, is_made_up from marts.rpt_feeds where is_present")
    assert dict(feeds) == {
        "customers": True,
        "consents": True,
        "orders": False,
        "order_lines": False,
        "products": False,
        "external_assignments": False,
    }
    addresses = year.execute("select count(*) from pii.customers where email like '%@example.com'")
    assert addresses == [(2_469,)]


def test_the_six_month_list_is_what_pandas_says(year: Warehouse, tills: pd.DataFrame) -> None:
    silent = (pd.Timestamp(LAST) - tills.groupby("household_id")["day"].max()).dt.days
    expected = {
        customer_key("completejourney", str(household)) for household in silent.index[silent > 180]
    }
    assert len(expected) == 58
    listed = year.execute("select customer_key from marts.fct_inactive_six_months")
    assert {key for (key,) in listed} == expected


def test_the_lost_are_told_by_what_they_had_bought_most(
    year: Warehouse, tills: pd.DataFrame
) -> None:
    losses = pd.DataFrame(
        year.execute(
            "select customer_key, last_purchase_date from intermediate.int_losses__dated"
            " where is_lapsed"
        ),
        columns=["key", "last"],
    ).reset_index(names="loss")
    keys = {each: customer_key("completejourney", str(each)) for each in set(tills["household_id"])}
    daily = tills.assign(
        key=tills["household_id"].map(keys), product=tills["product_id"].astype(str)
    )
    daily = daily.groupby(["key", "product", "day"], as_index=False)["quantity"].sum()
    before = losses.merge(daily, on="key")
    before = before[before["day"] <= pd.to_datetime(before["last"])]
    bought = before.groupby(["loss", "product"], as_index=False).agg(
        days=("day", "size"), quantity=("quantity", "sum")
    )
    bought = bought.sort_values(["days", "quantity", "product"], ascending=[False, False, True])
    most = bought.drop_duplicates("loss")["product"]
    assert len(most) == len(losses) > 500
    assert len(set(most)) > 50
    assert dict(
        year.execute("select product_id, sum(n_lost) from marts.rpt_win_loss group by product_id")
    ) == dict(Counter(most))


def test_response_by_type_is_what_pandas_says_then_and_now(
    first_and_last: tuple[Warehouse, list[tuple[object, ...]]], campaigns: pd.DataFrame
) -> None:
    warehouse, then = first_and_last
    now = external_campaigns(warehouse)
    assert now == expected_campaigns(campaigns, LAST)
    assert {str(kind): round(float(str(share)), 1) for kind, *_, share in now} == RESPONSE
    # what was answered later was not known in September
    assert then == expected_campaigns(campaigns, FIRST)
    assert then != now


def test_response_is_counted_per_household_and_campaign(
    year: Warehouse, campaigns: pd.DataFrame
) -> None:
    assert not campaigns.duplicated(["campaign_id", "household_id"]).any()
    late = campaigns["first"] > campaigns["end_date"]
    early = campaigns["first"] < campaigns["start_date"]
    assert not (late | early).any()
    counted = year.execute(
        "select sum(n_assigned), sum(n_responded) from marts.rpt_external_campaigns"
    )
    assert counted == [(6_589, 792)]


def test_most_of_the_lapsed_come_back_by_themselves(year: Warehouse) -> None:
    """The demo and docs/demo-data.md say so; with CDNOW it is less than a tenth."""
    [(share,)] = year.execute(
        "select avg(case when exists (select 1 from raw.orders as o"
        " where o.customer_key = a.customer_key and o.ordered_at > a.window_starts_at"
        " and o.ordered_at <= a.window_ends_at) then 1.0 else 0 end)"
        " from ops.assignment as a where a.as_of = %s",
        (FIRST,),
    )
    assert 0.4 < share < 0.65


def test_over_a_thousand_salts_the_interval_holds_zero_as_often_as_it_says(
    year: Warehouse,
) -> None:
    """An interval that leaves zero out, as the demo may show, is chance, not the draw's fault."""
    people = year.execute(
        "select a.customer_key, a.stratum, exists (select 1 from raw.orders as o"
        " where o.customer_key = a.customer_key and o.ordered_at > a.window_starts_at"
        " and o.ordered_at <= a.window_ends_at)"
        " from ops.assignment as a where a.arm <> 'excluded' and a.as_of = %s",
        (FIRST,),
    )
    assert len(people) > 60
    drawn_from = [(key, stratum) for key, stratum, _ in people]
    n_holding = 0
    for salt in range(1000):
        arms = draw(drawn_from, 20, f"salt {salt}", "welcome_back")
        counts = Counter((stratum, arms[key], back) for key, stratum, back in people)
        effect = stratified_newcombe(
            [
                Stratum(
                    counts[s, "treated", True] + counts[s, "treated", False],
                    counts[s, "treated", True],
                    counts[s, "holdout", True] + counts[s, "holdout", False],
                    counts[s, "holdout", True],
                )
                for s in sorted({stratum for _, stratum in drawn_from})
            ]
        )
        assert effect is not None
        n_holding += effect.low <= 0 <= effect.high
    assert 930 <= n_holding <= 980, n_holding


_EXTRACT = """
from datetime import date
import pyarrow
from winback.extract.snapshot import extract
extract(date(2018, 1, 1), "live")
print(pyarrow.default_memory_pool().max_memory())
"""


def test_the_lines_are_never_in_memory_all_at_once(warehouse: Warehouse, journey: Path) -> None:
    warehouse.configure(
        data=journey.parent,
        dataset="completejourney",
        business_timezone=complete_journey.TIMEZONE,
    )
    done = subprocess.run(
        [sys.executable, "-c", _EXTRACT],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert warehouse.execute("select count(*) from raw.order_lines") == [(1_469_307,)]
    whole = pq.read_table(journey / complete_journey.LINES).nbytes
    assert int(done.stdout.split()[-1]) < whole
