"""What the gates say without a warehouse: usual orders, words, masks, and who is judged."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from expectations import marts, raw
from expectations.measures.sales import orders_of_usual, references
from winback.extract.feeds import FEEDS
from winback.gate import Finding, Measure, measured
from winback.gate.examples import mask
from winback.gate.limits import at_least, between
from winback.gate.records import GateRun
from winback.gate.screen import lines
from winback.gate.wording import with_unit
from winback.settings import PROJECT, settings

LAST = date(2025, 2, 28)  # a Friday


def days(n_weeks: int, per_day: int) -> dict[date, int]:
    """So many weeks before the last day, with as many orders each day."""
    return {LAST - timedelta(days=n): per_day for n in range(1, 7 * n_weeks + 1)}


@pytest.mark.parametrize(
    ("by_day", "expected"),
    [
        (days(10, 50) | {LAST: 50}, (100.0, "50 on Friday 2025-02-28, usually 50")),
        (days(10, 50) | {LAST: 9}, (18.0, "9 on Friday 2025-02-28, usually 50")),
        (days(10, 50), (0.0, "0 on Friday 2025-02-28, usually 50")),
        (days(10, 50) | {LAST: 251}, (502.0, "251 on Friday 2025-02-28, usually 50")),
        # four weekdays are a history, three are none
        (days(4, 10) | {LAST: 10}, (100.0, "10 on Friday 2025-02-28, usually 10")),
        (days(3, 10), (None, "no history yet: fewer than 4 weeks of orders")),
        # fewer than ten a day: the week counts
        (days(10, 9), (85.7143, "54 in the week up to 2025-02-28, usually 63")),
        (days(10, 2) | {LAST: 2}, (100.0, "14 in the week up to 2025-02-28, usually 14")),
        (days(10, 1), (None, "fewer than 10 orders a week")),
        ({}, (None, "no history yet: fewer than 4 weeks of orders")),
    ],
)
def test_orders_of_usual(by_day: dict[date, int], expected: tuple[float | None, str]) -> None:
    assert orders_of_usual(by_day, LAST) == expected


def test_a_shop_that_closes_on_sundays_is_judged_on_mondays_by_its_week() -> None:
    open_days = {day: n for day, n in days(12, 100).items() if day.weekday() != 6}
    sunday = date(2025, 2, 23)
    assert orders_of_usual(open_days, sunday) == (
        100.0,
        "600 in the week up to 2025-02-23, usually 600",
    )


def test_one_odd_week_does_not_make_the_usual() -> None:
    by_day = days(10, 50) | {LAST - timedelta(weeks=1): 5000, LAST: 50}
    assert orders_of_usual(by_day, LAST)[0] == 100.0


def test_no_day_of_cdnow_is_a_false_alarm(cdnow_data: Path) -> None:
    by_day: Counter[date] = Counter()
    for row in (cdnow_data / "CDNOW_master.txt").read_text().splitlines():
        cells = row.split()
        if cells[0].isdigit():
            by_day[datetime.strptime(cells[1], "%Y%m%d").replace(tzinfo=UTC).date()] += 1
    last_days = [date(1997, 1, 1) + timedelta(days=n) for n in range(545)]
    shares = [
        orders_of_usual({day: n for day, n in by_day.items() if day <= last}, last)[0]
        for last in last_days
    ]
    judged = [share for share in shares if share is not None]
    assert len(judged) > 500
    config = settings()
    assert config.min_usual_orders_pct < min(judged)
    assert max(judged) < config.max_usual_orders_pct


@pytest.mark.parametrize(
    ("measure", "text"),
    [
        (Measure("a", "x_pct", 10.0085, 6966, 69601), "10.0 % (6,966 of 69,601 rows)"),
        (Measure("a", "x_pct", 0.0312, 1, 3200), "0.0312 % (1 of 3,200 rows)"),
        (Measure("a", "x_pct", 0.0, detail="nothing"), "0.0 % (nothing)"),
        (Measure("a", "x_change_pct", -57.5), "-57.5 %"),
        (Measure("a", "x_points", 12.34), "+12.3 points"),
        (Measure("a", "age_days", 1), "1 day"),
        (Measure("a", "age_days", 1031), "1,031 days"),
        (Measure("a", "n_rows", 23570), "23,570"),
    ],
)
def test_a_measure_in_words(measure: Measure, text: str) -> None:
    assert with_unit(measure) == text


KEY = "9f" * 16


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("order_id", "jane@example.com", "j…"),
        ("order_id", "", "…"),
        ("customer_key", KEY, KEY),
        ("customer_key", "jane", "j…"),
        ("reasons", ["amount_cents is negative", "b"], "amount_cents is negative, b"),
        ("names", ["jane", "bob"], "j…, b…"),
        ("currency", "EUR", "EUR"),
        ("amount_cents", 1200, "1200"),
        ("amount", Decimal("1.50"), "1.50"),
        ("ordered_at", datetime(2025, 2, 28, 12, tzinfo=UTC), "2025-02-28 12:00:00+00:00"),
        ("day", date(2025, 2, 28), "2025-02-28"),
        ("is_wanted", True, "True"),
        ("order_id", None, "empty"),
    ],
)
def test_examples_are_masked(name: str, value: object, text: str) -> None:
    assert mask(name, value) == text


def columns_of(max_age_days: dict[str, int | None]) -> dict[str, list[str]]:
    subjects = raw.subjects(1, LAST, "", max_age_days)
    return {each.name: [e.column for e in each.expectations] for each in subjects}


def test_only_delivered_feeds_are_judged_and_compared_with_each_other() -> None:
    few = columns_of({"customers": None, "orders": 7})
    assert list(few) == ["all feeds", "raw.customers", "raw.orders"]
    assert "age_days" in few["raw.orders"]
    assert "age_days" not in few["raw.customers"]
    assert "customer_key_unmatched_pct" in few["raw.orders"]
    # lines point to products, which this shop does not deliver
    more = columns_of({"customers": None, "orders": None, "order_lines": None})
    assert "age_days" not in more["raw.orders"]
    assert "order_id_unmatched_pct" in more["raw.order_lines"]
    assert "product_id_unmatched_pct" not in more["raw.order_lines"]
    assert "differing_totals_pct" in more["raw.order_lines"]
    ahead = columns_of({"contracts": None, "complaints": None})
    assert "future_pct" in ahead["raw.complaints"]
    assert "future_pct" not in ahead["raw.contracts"]
    all_feeds = columns_of({name: feed.max_age_days for name, feed in FEEDS.items()})
    assert len(all_feeds) == len(FEEDS) + 1
    assert "product_id_unmatched_pct" in all_feeds["raw.order_lines"]
    assert "referred_customer_key_unmatched_pct" in all_feeds["raw.referrals"]


def test_a_reference_leads_to_a_feed_with_one_key() -> None:
    targets = {target.name for feed in FEEDS.values() for _, target in references(feed)}
    assert targets == {"customers", "orders", "products"}
    assert all(len(FEEDS[name].key) == 1 for name in targets)


def test_no_two_expectations_of_a_subject_look_at_the_same_measure() -> None:
    for subject in [*raw.subjects(1, LAST, ""), *marts.subjects(1, LAST, "")]:
        columns = [expectation.column for expectation in subject.expectations]
        assert len(columns) == len(set(columns))
        assert subject.indispensable <= set(columns) | {"n_known"}


def test_the_page_about_gates_names_every_measure_and_setting() -> None:
    page = (PROJECT / "docs" / "gates.md").read_text(encoding="utf-8")
    expectations = [
        expectation
        for subject in [*raw.subjects(1, LAST, ""), *marts.subjects(1, LAST, "")]
        for expectation in subject.expectations
    ]
    for expectation in expectations:
        name = re.sub(r"^.*(?=_null_rise_points$|_unmatched_pct$)", "<column>", expectation.column)
        assert f"| `{name}` |" in page
    named = " ".join(
        expectation.meta["source"]
        for expectation in expectations
        if expectation.meta["source"].startswith("setting")
    )
    for setting in re.findall(r"[a-z]+(?:_[a-z]+)+", named):
        assert hasattr(settings(), setting)
        assert f"`{setting}`" in page


def test_a_subject_is_one_row_of_its_own_measures() -> None:
    expectations = [
        at_least("n_a", 1, "some", "a test of it", "here"),
        between("b_pct", 1, 2, "few", "a test of it", "here"),
    ]
    query = measured(7, "raw.orders", expectations).query
    assert "where snapshot_id = 7 and about = 'raw.orders' having count(*) > 0" in query
    assert query.count("max(value)") == 2


RUN = GateRun(
    7, "raw", 3, LAST, "live", False, 9, 1, datetime(2025, 2, 28, 5, tzinfo=UTC),
    None, None, None, None,
)  # fmt: skip
FAILED = Finding(
    subject="raw.orders",
    expectation="expect_column_max_to_be_between",
    column="quarantined_pct",
    expected="at most 2 % of the rows received are in quarantine",
    is_met=False,
    observed="10.0 % (25 of 250 rows)",
    n_unexpected=25,
    why="Too many rows broke the declaration of their feed. " * 3,
    source="setting max_quarantined_pct",
    rows="select 1",
    examples=[{"row_number": "2", "reasons": "is negative"}] * 10,
)


def screen(run: GateRun, *findings: Finding) -> str:
    return "\n".join(line.plain for line in lines(run, findings, Path("gates/run-7.html")))


def test_the_screen_fits_a_terminal_and_says_what_to_do() -> None:
    text = screen(RUN, FAILED)
    assert max(map(len, text.splitlines())) <= 100
    for part in (
        "gate raw FAILED   run 7, snapshot 3 of 2025-02-28 (live)",
        "8 of 9 expectations are met",
        "  1  raw.orders  quarantined_pct",
        "     seen         10.0 % (25 of 250 rows)",
        "and 15 more",
        './winback sql --owner "select 1"',
        './winback gate accept 7 --reason "…"',
    ):
        assert part in text


def test_the_screen_offers_no_acceptance_where_there_is_none() -> None:
    assert "gate accept" not in screen(RUN, replace(FAILED, can_be_accepted=False))
    assert "not possible" in screen(RUN, replace(FAILED, can_be_accepted=False))
    assert "gate accept" not in screen(replace(RUN, purpose="backfill"), FAILED)
    accepted = replace(
        RUN, accepted_by="ann", accepted_at=RUN.decided_at, reason="a test", accepted_run=6
    )
    text = screen(accepted, FAILED)
    assert "gate raw FAILED, and was let pass on purpose" in text
    assert "accepted on purpose by ann, 2025-02-28 05:00 UTC (as run 6), because a test" in text
    assert "./winback run winback_model" in text
    assert "gate accept" not in text
