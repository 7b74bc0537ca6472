"""The rule CRC / CLV < 1 in the whole flow: who is left out, what is kept, when it all stops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT, Warehouse, WarehouseFactory
from tests.flow import up_to_gate
from tests.small_shop import small_shop
from winback.kpi.snapshot import write_snapshots
from winback.outreach import ledger
from winback.privacy.keyed_hash import customer_key
from winback.select.campaigns import read_campaigns
from winback.select.lift import Lift, lift_of
from winback.select.selection import Selected, select
from winback.settings import settings
from winback.warehouse import connection

AS_OF = date(2025, 3, 1)
NAME = "welcome_back"
RULES = """
must_win:
  named:
    because: strategic
    customers: [lapsed-00]
"""
# by hand, at a chance of 5 %, a lift of 10 %, a contact of 0.01 and an offer of 5.00: a recovery
# costs 57.00, and writing 28.5 cents
LOSING, EDGE, WORTH = 4100, 6000, 41_000
KEPT = (
    "ops.outreach, ops.verdict, ops.assignment, ops.campaign, ops.economics, ops.economics_run,"
    " ops.kpi_snapshot, ops.customer_count"
)


@dataclass
class Scored:
    """A small shop past its gates, whose scores a test makes up."""

    warehouse: Warehouse
    snapshot_id: int
    campaigns: Path

    def write_campaign(self, contact: float = 1, offer: float = 500, lift: float = 10) -> None:
        """Puts costs and lift into the campaign file."""
        text = (PROJECT / "campaigns" / f"{NAME}.yaml").read_text(encoding="utf-8")
        for name, value in (
            ("contact_cents", contact), ("offer_cents", offer), ("assumed_lift_pct", lift),
        ):  # fmt: skip
            before, _, after = text.partition(f"{name}:")
            text = f"{before}{name}: {value}{after[after.index(chr(10)) :]}"
        (self.campaigns / f"{NAME}.yaml").write_text(text, encoding="utf-8")

    def score(self, p: float | None, clv: int | None, *names: str) -> None:
        """Gives customers a chance to return by themselves and a value."""
        for name in names:
            self.warehouse.execute(
                "insert into marts.fct_customer_values (customer_key, as_of, model_run_id,"
                " probability_60_days, value_if_returned_cents) values (%s, %s, 1, %s, %s)",
                (customer_key("shop", name), AS_OF, p, clv),
            )

    def select(self) -> Selected:
        """Selects for the one campaign."""
        [selected] = select(self.snapshot_id, AS_OF)
        return selected

    def reasons(self) -> dict[str, str]:
        """Why somebody was excluded, by name."""
        names = {customer_key("shop", f"lapsed-{n:02}"): f"lapsed-{n:02}" for n in range(20)}
        rows = self.warehouse.execute(
            "select customer_key, reason from ops.assignment where arm = 'excluded'"
        )
        return {names[key]: reason for key, reason in rows}

    def run(self, columns: str) -> tuple[Any, ...]:
        """Columns of the newest run."""
        [row] = self.warehouse.execute(
            f"select {columns} from ops.economics_run order by economics_run_id desc limit 1"
        )
        return row

    def campaign(self) -> tuple[str, str | None]:
        """State of the campaign, and the reason."""
        [(state, reason)] = self.warehouse.execute("select state, state_reason from ops.campaign")
        return state, reason

    def lift(self) -> Lift:
        """What the campaign's economics would count with."""
        [campaign] = read_campaigns(self.campaigns)
        with connection.connect("sender") as opened:
            return lift_of(opened, campaign, AS_OF)


@pytest.fixture(scope="module")
def built(
    warehouse_factory: WarehouseFactory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scored]:
    with warehouse_factory("economics") as warehouse:
        folder = tmp_path_factory.mktemp("economics") / "campaigns"
        (folder / "templates").mkdir(parents=True)
        (folder / "templates" / NAME).symlink_to(PROJECT / "campaigns" / "templates" / NAME)
        rules = folder.parent / "customer_rules.yaml"
        rules.write_text(RULES, encoding="utf-8")
        shop = small_shop(warehouse.data, AS_OF)
        warehouse.configure(
            sources=shop.write(), dataset="shop", replay=True, max_candidates_pct=100,
            campaigns=folder, customer_rules=rules,
        )  # fmt: skip
        yield Scored(warehouse, up_to_gate(AS_OF), folder)


@pytest.fixture
def shop(built: Scored) -> Scored:
    built.warehouse.execute(f"truncate {KEPT} restart identity cascade")
    built.warehouse.execute("truncate marts.fct_customer_values")
    built.warehouse.execute("delete from raw.orders where order_id like 'test-%'")
    built.write_campaign()
    return built


def test_who_costs_more_than_they_return_is_excluded_and_every_part_is_shown(shop: Scored) -> None:
    shop.score(0.05, LOSING, "lapsed-01")
    shop.score(0.05, WORTH, "lapsed-02")
    selected = shop.select()
    assert shop.reasons() == {"lapsed-01": "costs_more_than_it_returns"}
    assert (selected.n_excluded, selected.n_treated + selected.n_holdout) == (1, 19)
    losing, worth = customer_key("shop", "lapsed-01"), customer_key("shop", "lapsed-02")
    [(evidence,)] = shop.warehouse.execute(
        "select evidence -> 'economics' from ops.verdict where customer_key = %s", (losing,)
    )
    assert evidence == {
        "finding": "costs_more", "contact_cents": 1, "offer_cents": 500, "lift_pct": 10,
        "lift_from": "assumed", "p_holdout": 0.05, "p_treated": 0.055, "crc_cents": 5700,
        "clv_cents": 4100, "ratio": 1.390244, "is_must_win": False,
    }  # fmt: skip
    # as bi reads it
    with connection.connect("bi") as opened:
        parts = opened.execute(
            "select customer_key, campaign_id, contact_cents, offer_cents, lift_pct, lift_from,"
            " p_holdout, p_treated, clv_cents, cost_cents, worth_cents, profit_cents, crc_cents,"
            " ratio, finding, is_must_win from marts.fct_campaign_economics"
            " where finding <> 'no_score' order by clv_cents"
        ).fetchall()
        whole = opened.execute(
            "select n_judged, n_not_judged, cost_cents, worth_cents, is_worth_it, has_stopped"
            " from marts.rpt_campaign_economics"
        ).fetchall()
    terms = (NAME, 1, 500, 10, "assumed", Decimal("0.05"), Decimal("0.055"))
    assert parts == [
        (losing, *terms, 4100, Decimal("28.5"), Decimal("20.5"), -8, 5700, Decimal("1.390244"),
         "costs_more", False),
        (worth, *terms, 41_000, Decimal("28.5"), 205, Decimal("176.5"), 5700, Decimal("0.139024"),
         "returns_more", False),
    ]  # fmt: skip
    # the 17 others that may be excluded, and who must be won back
    assert whole == [(2, 17, 57, Decimal("225.5"), True, False)]
    assert shop.campaign() == ("running", None)


def test_planned_messages_carry_the_expected_profit(shop: Scored) -> None:
    for n in range(10):
        shop.score(0.05, WORTH + 1000 * n, f"lapsed-{n:02}")
    shop.select()
    planned = shop.warehouse.execute(
        "select o.expected_profit_cents, e.profit_cents from ops.outreach as o"
        " inner join ops.economics as e using (customer_key)"
    )
    assert all(told == worked_out for told, worked_out in planned)
    assert sum(told is not None for told, _ in planned) >= 7
    assert sum(told is None for told, _ in planned) >= 7


def test_without_a_score_nobody_is_judged_and_nobody_left_out(shop: Scored) -> None:
    shop.write_campaign(contact=1e9)
    shop.score(None, WORTH, "lapsed-01")
    shop.score(0.05, None, "lapsed-02")
    selected = shop.select()
    assert (selected.n_excluded, selected.n_treated + selected.n_holdout) == (0, 20)
    assert shop.run("n_judged, is_worth_it, cost_cents, has_stopped") == (0, None, 0, False)
    assert shop.warehouse.execute("select finding, count(*) from ops.economics group by 1") == [
        ("no_score", 20)
    ]


def test_scores_of_another_date_judge_nobody(shop: Scored) -> None:
    shop.score(0.05, LOSING, "lapsed-01")
    shop.warehouse.execute("update marts.fct_customer_values set as_of = as_of + 1")
    shop.select()
    assert shop.reasons() == {}


def test_who_must_be_won_back_is_kept_and_marked(shop: Scored) -> None:
    shop.score(0.05, LOSING, "lapsed-00", "lapsed-01")
    shop.score(0.05, WORTH, "lapsed-02")
    shop.select()
    assert shop.reasons() == {"lapsed-01": "costs_more_than_it_returns"}
    [(is_eligible, reasons, must_win, ratio)] = shop.warehouse.execute(
        "select is_eligible, reasons, evidence #>> '{economics,is_must_win}',"
        " evidence #>> '{economics,ratio}' from ops.verdict where customer_key = %s",
        (customer_key("shop", "lapsed-00"),),
    )
    assert (is_eligible, reasons, must_win, ratio) == (True, [], "true", "1.390244")
    # what is decided already is no part of the sums
    assert shop.run("n_judged, cost_cents") == (2, 57)
    marked = shop.warehouse.execute("select customer_key from ops.economics where is_must_win")
    assert marked == [(customer_key("shop", "lapsed-00"),)]


@pytest.mark.parametrize("is_scored", [False, True])
def test_who_must_be_won_back_goes_out_first_among_equals(shop: Scored, is_scored: bool) -> None:
    """Without a score, and with the same expected profit; whoever is worth more comes before."""
    if is_scored:
        for n in range(20):
            shop.score(0.05, WORTH + 1000 * (n in (1, 2, 3, 4)), f"lapsed-{n:02}")
    shop.select()
    [(n_better, n_equal, n_must_win)] = shop.warehouse.execute(
        "select count(*) filter (where expected_profit_cents > 180),"
        " count(*) filter (where expected_profit_cents is null or expected_profit_cents < 180),"
        " count(*) filter (where is_must_win)"
        " from ops.outreach inner join ops.economics using (customer_key)"
    )
    assert (n_must_win, n_equal > 8, n_better > 0) == (1, True, is_scored)
    with connection.connect("sender") as opened:
        first = replace(settings(), send_batch_size=n_better + 1)
        claims = ledger.claim(opened, NAME, "test", first)
        assert len(claims) == n_better + 1
        [(n_must_win,)] = opened.execute(
            "select count(*) from ops.outreach inner join ops.economics using (customer_key)"
            " where is_must_win and message_id = any(%s)",
            ([each.message_id for each in claims],),
        ).fetchall()
        opened.rollback()
    assert n_must_win == 1


def test_who_may_not_be_written_to_does_not_count_for_the_campaign(shop: Scored) -> None:
    shop.score(0.05, EDGE, "lapsed-02")
    shop.score(0.05, LOSING, "lapsed-03")
    shop.warehouse.execute(
        "insert into ops.suppression (address_hash, scope, reason)"
        " select email_hash, 'address', 'bounce' from raw.customers where customer_key = %s",
        (customer_key("shop", "lapsed-03"),),
    )
    try:
        shop.select()
    finally:
        shop.warehouse.execute("delete from ops.suppression")
    assert shop.reasons() == {"lapsed-03": "suppressed, costs_more_than_it_returns"}
    assert shop.run("n_judged, cost_cents, worth_cents, is_worth_it") == (
        1, Decimal("28.5"), 30, True,
    )  # fmt: skip


def losing_campaign(shop: Scored) -> None:
    """18 of 4100 and one of 6000: worth 399, at costs of 541.5; lapsed-00 has no score."""
    shop.score(0.05, EDGE, "lapsed-02")
    shop.score(0.05, LOSING, *(f"lapsed-{n:02}" for n in range(1, 20) if n != 2))


def test_a_campaign_that_costs_more_than_it_returns_stops_and_plans_nothing(shop: Scored) -> None:
    losing_campaign(shop)
    selected = shop.select()
    assert (selected.n_excluded, selected.n_planned) == (20, 0)
    state, reason = shop.campaign()
    assert state == "stopped"
    assert reason == (
        "it costs more than it returns: expected are 5.42 EUR of costs and 3.99 EUR of margin from"
        " 19 people, at a lift of 10 % (assumed)"
    )
    reasons = shop.reasons()
    # each of these would have been written to but for the whole
    for name in ("lapsed-00", "lapsed-02"):
        assert reasons.pop(name) == "campaign_costs_more_than_it_returns"
    assert set(reasons.values()) == {"costs_more_than_it_returns"}
    assert shop.run("n_judged, is_worth_it, has_stopped") == (19, False, True)
    # the next selection finds it stopped, and changes nothing
    assert shop.select().n_planned == 0
    assert shop.run("is_worth_it, is_overruled, has_stopped") == (False, False, False)
    assert shop.campaign() == (state, reason)


def test_a_person_may_set_it_running_again_until_its_file_changes(shop: Scored) -> None:
    losing_campaign(shop)
    shop.select()
    shop.warehouse.execute("update ops.campaign set state = 'running', state_reason = null")
    selected = shop.select()
    # who was excluded for the whole is drawn now; the others stay excluded each for themselves
    assert selected.n_treated + selected.n_holdout == 2
    assert shop.run("is_worth_it, is_overruled, has_stopped") == (False, True, False)
    assert shop.campaign() == ("running", None)
    shop.write_campaign(contact=2)
    shop.select()
    assert shop.run("is_overruled, has_stopped") == (False, True)
    assert shop.campaign()[0] == "stopped"


def test_a_measurement_is_news_for_whoever_let_it_run(shop: Scored) -> None:
    losing_campaign(shop)
    shop.select()
    shop.warehouse.execute("update ops.campaign set state = 'running', state_reason = null")
    measured(shop, (800, 40, 200, 30), low=-15, high=-5)
    shop.select()
    assert shop.run("lift_from, is_overruled, has_stopped") == ("measured", False, True)


def test_a_paused_campaign_keeps_its_reason_and_is_stopped_once_it_runs(shop: Scored) -> None:
    shop.select()
    shop.warehouse.execute("update ops.campaign set state = 'paused', state_reason = 'holidays'")
    losing_campaign(shop)
    shop.select()
    assert shop.campaign() == ("paused", "holidays")
    assert shop.run("is_worth_it, has_stopped") == (False, False)
    # whoever resumes it never saw these figures
    shop.warehouse.execute("update ops.campaign set state = 'running', state_reason = null")
    shop.select()
    assert shop.campaign()[0] == "stopped"


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


# by hand: (120 * 200 / 1000 + 20 * 50 / 100) / (15 * 800 / 1000 + 5 * 50 / 100) = 34 / 14.5
STRATA = ((800, 120, 200, 15), (50, 20, 50, 5))


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


def test_what_adds_most_goes_out_first(shop: Scored) -> None:
    for n in range(10):
        shop.score(0.05, WORTH + 1000 * n, f"lapsed-{n:02}")
    shop.select()
    with connection.connect("sender") as opened:
        claims = ledger.claim(opened, NAME, "a worker", replace(settings(), send_batch_size=3))
    claimed = shop.warehouse.execute("select message_id from ops.outreach where state = 'claimed'")
    assert {c.message_id for c in claims} == {message_id for (message_id,) in claimed}
    assert shop.warehouse.execute(
        "select count(*) from ops.outreach as waiting, ops.outreach as taken"
        " where waiting.state = 'planned' and taken.state = 'claimed'"
        " and (taken.expected_profit_cents is null"
        " or waiting.expected_profit_cents > taken.expected_profit_cents)"
    ) == [(0,)]
    assert len(claims) == 3
