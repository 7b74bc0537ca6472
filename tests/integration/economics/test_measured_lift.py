"""What the holdout showed takes the place of the lift that a campaign assumes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.scored_shop import AS_OF, LOSING, NAME, WORTH, Scored, losing_campaign
from winback.kpi.snapshot import write_snapshots
from winback.select.lift import Lift

# by hand: (120 * 200 / 1000 + 20 * 50 / 100) / (15 * 800 / 1000 + 5 * 50 / 100) = 34 / 14.5
STRATA = ((800, 120, 200, 15), (50, 20, 50, 5))


def measured(
    shop: Scored, *strata: tuple[int, int, int, int], low: float, high: float, **key: object
) -> None:
    """KPI rows of closed windows: treated, recovered, holdout, recovered of each stratum."""
    whole = tuple(sum(column) for column in zip(*strata, strict=True))
    rows = {"all_cohorts": whole} | dict(zip(("low", "medium"), strata, strict=False))
    for segment, (n_treated, treated, n_holdout, holdout) in rows.items():
        values = {
            "as_of": AS_OF - timedelta(days=1), "cohort": AS_OF - timedelta(days=90),
            "segment": segment, "n_t": n_treated, "r_t": treated, "n_h": n_holdout, "r_h": holdout,
            "low": low, "high": high, "revision": 1,
        } | key  # fmt: skip
        shop.warehouse.execute(
            "insert into ops.kpi_snapshot (as_of, campaign_id, cohort, segment, revision,"
            " is_window_closed, n_candidates, n_excluded, n_holdout, n_treated, n_accepted,"
            " n_delivered, n_bounced, n_unsubscribed, n_unknown, n_recovered_treated,"
            " n_recovered_holdout, incremental_low_pct, incremental_high_pct, reading)"
            f" values (%(as_of)s, '{NAME}', %(cohort)s, %(segment)s, %(revision)s, true, 0, 0,"
            " %(n_h)s, %(n_t)s, 0, 0, 0, 0, 0, %(r_t)s, %(r_h)s, %(low)s, %(high)s,"
            " 'as the figures read')",
            values,
        )


def test_what_the_holdout_showed_takes_the_place_of_the_assumption(shop: Scored) -> None:
    measured(shop, *STRATA, low=2, high=12)
    # an older revision, an older date and one to come say otherwise
    measured(shop, (100, 100, 100, 1), low=90, high=99, revision=0)
    measured(shop, (100, 100, 100, 1), low=90, high=99, as_of=AS_OF - timedelta(days=2), revision=9)
    measured(shop, (100, 100, 100, 1), low=90, high=99, as_of=AS_OF + timedelta(days=1))
    assert shop.lift() == Lift(Decimal("134.4828"), "measured", "as the figures read")
    shop.score(0.05, LOSING, "lapsed-01")
    shop.select()
    assert shop.run("lift_pct, lift_from, lift_because") == (
        Decimal("134.4828"), "measured", "as the figures read",
    )  # fmt: skip
    assert shop.warehouse.execute(
        "select p_treated, finding from ops.economics where finding <> 'no_score'"
    ) == [(Decimal("0.1172414"), "returns_more")]


@pytest.mark.parametrize(
    ("strata", "low", "high", "because"),
    [
        (STRATA, -1, 12, "as the figures read"),
        # 9.6 buyers expected in the smaller arm
        (((800, 46, 200, 2),), 2, 12, "as the figures read"),
        (
            ((800, 120, 200, 0),),
            2,
            12,
            "as the figures read; nobody of the holdout came back",
        ),
    ],
)
def test_what_was_not_shown_leaves_the_assumption(
    shop: Scored, strata: Any, low: float, high: float, because: str
) -> None:
    measured(shop, *strata, low=low, high=high)
    assert shop.lift() == Lift(Decimal("10"), "assumed", because)


def test_nothing_measured_is_the_assumption(shop: Scored) -> None:
    assert shop.lift() == Lift(Decimal(10), "assumed", "no window of this campaign has closed yet")


def test_a_campaign_that_drives_people_away_is_stopped(shop: Scored) -> None:
    measured(shop, (800, 40, 200, 30), low=-15, high=-5)
    shop.score(0.05, WORTH, "lapsed-02")
    shop.select()
    assert shop.run("lift_pct, lift_from") == (Decimal("-66.6667"), "measured")
    assert shop.reasons()["lapsed-02"] == "costs_more_than_it_returns"
    assert shop.campaign()[0] == "stopped"


def test_the_snapshots_of_the_step_kpi_are_understood(shop: Scored) -> None:
    """A hundred days of four treated, two of whom return, and one left alone: one in five does."""
    shop.select()
    shop.warehouse.execute(
        "insert into ops.assignment (campaign_id, lapse_id, customer_key, snapshot_id, as_of,"
        " occasion, occasion_date, arm, stratum, customer_state, window_starts_at,"
        " window_ends_at, window_days)"
        f" select '{NAME}', day || ' ' || n, md5(day || ' ' || n), {shop.snapshot_id}, first + day,"
        " 'last_purchase', first, case when n <= 4 then 'treated' else 'holdout' end, 'low',"
        " 'sleeping', first + day, first + day + 60, 60"
        " from generate_series(0, 99) as day, generate_series(1, 5) as n,"
        " (select date '2024-01-01' as first) as first"
    )
    shop.warehouse.execute(
        "insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency,"
        " snapshot_id) select 'test-' || lapse_id, customer_key, window_ends_at, 100, 'EUR',"
        f" {shop.snapshot_id} from ops.assignment"
        " where lapse_id like '% 1' or lapse_id like '% 2' or lapse_id like '%0 5'"
        " or lapse_id like '%5 5'"
    )
    write_snapshots(AS_OF)
    # 50 against 20 in a hundred
    assert shop.lift() == Lift(
        Decimal(150), "measured", "more came back than would have by themselves"
    )


def test_a_measurement_is_news_for_whoever_let_it_run(shop: Scored) -> None:
    losing_campaign(shop)
    shop.select()
    shop.warehouse.execute("update ops.campaign set state = 'running', state_reason = null")
    measured(shop, (800, 40, 200, 30), low=-15, high=-5)
    shop.select()
    assert shop.run("lift_from, is_overruled, has_stopped") == ("measured", False, True)
