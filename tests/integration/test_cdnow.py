"""The numbers on real data: what the models and the estimator say about CDNOW, against oracles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.flow import up_to_gate, up_to_select
from winback.kpi.incremental import Stratum, stratified_newcombe
from winback.kpi.snapshot import write_snapshots
from winback.model.rhythm import (
    Purchases,
    Rhythm,
    gap_sums,
    quantiles,
    quantity_ratios,
    stock_factors,
)
from winback.privacy.keyed_hash import customer_key
from winback.select.assignment import draw

FIRST, LAST = date(1998, 1, 1), date(1998, 6, 30)
AS_OF_TABLES = (
    "marts.dim_customers",
    "marts.fct_orders",
    "marts.fct_customer_states",
    "marts.fct_customer_state_changes",
    "marts.fct_inactive_six_months",
    "intermediate.int_candidates",
)


@pytest.fixture(scope="module")
def raw_file(cdnow_data: Path) -> pd.DataFrame:
    columns = ["customer", "date", "cds", "dollars"]
    frame = pd.read_csv(cdnow_data / "CDNOW_master.txt", sep=r"\s+", skiprows=1, names=columns)
    frame["date"] = pd.to_datetime(frame["date"], format="%Y%m%d")
    return frame


@pytest.fixture(scope="module")
def known_then(
    warehouse_factory: WarehouseFactory, cdnow_data: Path
) -> Iterator[tuple[Warehouse, dict[str, list[tuple[object, ...]]]]]:
    """CDNOW as known on the first date, selected; its tables; then everything up to the last."""
    with warehouse_factory("cdnow") as warehouse:
        warehouse.configure(data=cdnow_data.parent, dataset="cdnow", replay=True)
        up_to_select(FIRST)
        then = {table: read(warehouse, table) for table in AS_OF_TABLES}
        up_to_gate(LAST)
        yield warehouse, then


def read(warehouse: Warehouse, table: str) -> list[tuple[object, ...]]:
    return sorted(warehouse.execute(f"select {table.split('.')[1]}::text from {table}"))


@pytest.fixture(scope="module")
def built(known_then: tuple[Warehouse, object]) -> Warehouse:
    return known_then[0]


def test_the_six_month_list_is_what_three_lines_of_pandas_say(
    built: Warehouse, raw_file: pd.DataFrame
) -> None:
    last = raw_file[raw_file["date"] < "1998-06-30"].groupby("customer")["date"].max()
    gone = last.index[(pd.Timestamp("1998-06-30") - last).dt.days > 180]
    expected = {customer_key("cdnow", f"{customer:05}") for customer in gone}
    assert len(expected) == 18_207
    listed = built.execute("select customer_key from marts.fct_inactive_six_months")
    assert {key for (key,) in listed} == expected
    assert built.execute("select count(*) from marts.dim_customers") == [(23_570,)]


def test_facts_after_the_date_change_nothing(
    known_then: tuple[Warehouse, dict[str, list[tuple[object, ...]]]],
) -> None:
    warehouse, then = known_then
    # most of what is known by now was not known then
    assert warehouse.execute("select count(*) from marts.fct_orders")[0][0] > 69_000
    assert len(then["marts.fct_orders"]) < 57_000
    up_to_gate(FIRST, is_backfill=True)
    for table in AS_OF_TABLES:
        schema, name = table.split(".")
        assert read(warehouse, f"{schema}_asof_19980101.{name}") == then[table], table
    assert warehouse.execute("select distinct as_of from marts.fct_customer_states") == [(LAST,)]


def test_recoveries_are_what_pandas_counts(built: Warehouse, raw_file: pd.DataFrame) -> None:
    write_snapshots(LAST)
    arms = dict(built.execute("select customer_key, arm from ops.assignment"))
    t0 = pd.Timestamp(FIRST)
    in_window = (raw_file["date"] > t0) & (raw_file["date"] <= t0 + pd.Timedelta(days=60))
    buyers = {customer_key("cdnow", f"{c:05}") for c in raw_file.loc[in_window, "customer"]}
    expected = tuple(
        sum(key in buyers for key, arm in arms.items() if arm == wanted)
        for wanted in ("treated", "holdout")
    )
    assert min(expected) > 50
    assert built.execute(
        "select n_recovered_treated, n_recovered_holdout from ops.kpi_snapshot"
        " where as_of = %s and cohort = %s and segment = 'all'",
        (LAST, FIRST),
    ) == [expected]
    days = built.execute(
        "select n_customers, n_six_months, n_lapsed from ops.customer_count"
        " where as_of in (%s, %s) order by as_of",
        (FIRST, LAST),
    )
    assert [row[:2] for row in days] == [(23_570, 17_227), (23_570, 18_207)]
    (lapsed,) = built.execute("select count(*) from marts.fct_customer_states where is_lapsed")[0]
    assert days[1][2] == lapsed


def test_the_sums_in_sql_are_those_of_the_fit(built: Warehouse, raw_file: pd.DataFrame) -> None:
    known = raw_file[raw_file["date"] < "1998-06-30"]
    daily = known.groupby(["customer", "date"], as_index=False)["cds"].sum()
    purchases = Purchases(
        daily["customer"].to_numpy(), daily["date"].to_numpy().astype("datetime64[D]").astype(int),
        daily["cds"].to_numpy(float),
    )  # fmt: skip
    [(parameters,)] = built.execute(
        "select parameters from ops.model_run where model = 'rhythm' and as_of = %s",
        (FIRST,),
    )
    n_gaps, sums = gap_sums(purchases, parameters["quantity_elasticity"])
    fitted = Rhythm(**parameters, returned_pct=None, n_gaps=0)
    late = quantiles(fitted, n_gaps.astype(int))["late"] * (fitted.rate_days + sums)
    expected = pd.DataFrame({
        "key": [customer_key("cdnow", f"{c:05}") for c in daily["customer"]],
        "n_gaps": n_gaps, "sum": sums,
        "late": late * stock_factors(quantity_ratios(purchases), fitted.quantity_elasticity),
    }).sort_values(["key", "n_gaps"])  # fmt: skip
    found = pd.DataFrame(
        built.execute(
            "select customer_key, n_gaps, gap_sum_days::float, late_days::float"
            ' from intermediate.int_purchases__rhythm order by customer_key collate "C", 2'
        ),
        columns=["key", "n_gaps", "sum", "late"],
    )
    assert len(found) == len(expected) > 60_000
    for column in ("n_gaps", "sum", "late"):
        differences = (found[column].to_numpy() - expected[column].to_numpy()).astype(float)
        assert abs(differences).max() < 0.02, column


def test_of_the_lapsed_at_most_a_tenth_come_back_untouched(built: Warehouse) -> None:
    [(share,)] = built.execute(
        "select avg(case when exists (select 1 from raw.orders as o"
        " where o.customer_key = a.customer_key and o.ordered_at > a.window_starts_at"
        " and o.ordered_at <= a.window_starts_at + interval '60 days') then 1.0 else 0 end)"
        " from ops.assignment as a"
    )
    assert 0.03 < share < 0.10


def test_over_a_thousand_salts_the_interval_holds_zero_in_93_to_97_per_cent(
    built: Warehouse,
) -> None:
    """Whoever is drawn, the purchases of 1998 are the same: the true effect is zero."""
    people = built.execute(
        "select a.customer_key, a.stratum, exists (select 1 from raw.orders as o"
        " where o.customer_key = a.customer_key and o.ordered_at > a.window_starts_at"
        " and o.ordered_at <= a.window_starts_at + interval '60 days')"
        " from ops.assignment as a where a.arm <> 'excluded'"
    )
    assert len(people) > 10_000
    candidates = [(key, stratum) for key, stratum, _ in people]
    strata = sorted({stratum for _, stratum in candidates})
    n_holding = 0
    for salt in range(1000):
        arms = draw(candidates, 20, f"salt {salt}", "welcome_back")
        counts = {(s, a, r): 0 for s in strata for a in ("treated", "holdout") for r in (0, 1)}
        for key, stratum, has_recovered in people:
            counts[stratum, arms[key], int(has_recovered)] += 1
        effect = stratified_newcombe(
            [
                Stratum(
                    counts[s, "treated", 0] + counts[s, "treated", 1],
                    counts[s, "treated", 1],
                    counts[s, "holdout", 0] + counts[s, "holdout", 1],
                    counts[s, "holdout", 1],
                )
                for s in strata
            ]
        )
        assert effect is not None
        n_holding += effect.low <= 0 <= effect.high
    assert 930 <= n_holding <= 970, n_holding
