"""The rule CRC / CLV < 1 in the whole flow: who is left out, what is kept, when it all stops."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.scored_shop import EDGE, LOSING, NAME, WORTH, Scored, losing_campaign
from winback.outreach import ledger
from winback.privacy.keyed_hash import customer_key
from winback.settings import settings
from winback.warehouse import connection


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
