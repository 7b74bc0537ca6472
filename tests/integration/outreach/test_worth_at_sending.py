"""Planned last week, too dear or not wanted by now: the last check asks the newest selection."""

from __future__ import annotations

from datetime import date
from typing import Any

from tests.mail_flow import AS_OF, MailFlow, n_planned, send
from winback.select.selection import select


def score(flow: MailFlow, key: str, p: float, clv: int) -> None:
    flow.warehouse.execute("delete from marts.fct_customer_values where customer_key = %s", (key,))
    flow.warehouse.execute(
        "insert into marts.fct_customer_values (customer_key, as_of, model_run_id,"
        " probability_60_days, value_if_returned_cents) values (%s, %s, 1, %s, %s)",
        (key, AS_OF, p, clv),
    )


def rule(flow: MailFlow, key: str, kind: str, as_of: date = AS_OF) -> None:
    flow.warehouse.execute(
        "insert into marts.fct_customer_rules (customer_key, as_of, kind, rule, because)"
        " values (%s, %s, %s, 'made_up', 'sends all of it back')",
        (key, as_of, kind),
    )


def verdict(flow: MailFlow, key: str) -> tuple[Any, ...]:
    [row] = flow.warehouse.execute(
        "select reasons, evidence from ops.verdict where customer_key = %s and step = 'outreach'",
        (key,),
    )
    return row


def test_who_became_too_dear_or_unwanted_since_is_not_written_to(flow: MailFlow) -> None:
    n = n_planned(flow)
    keys = [
        key for (key,) in flow.warehouse.execute("select customer_key from ops.outreach order by 1")
    ]
    worth, fallen, must_win, unwanted, was_unwanted = keys[:5]
    # so that the campaign as a whole is worth it; the chance of the others rises by nothing
    score(flow, worth, 0.2, 1_000_000)
    score(flow, fallen, 0.0001, 10)
    score(flow, must_win, 0.0001, 10)
    rule(flow, must_win, "must_win")
    rule(flow, unwanted, "do_not_want")
    rule(flow, was_unwanted, "do_not_want", date(2026, 2, 1))
    try:
        [again] = select(flow.snapshot_id, AS_OF)
        assert (again.n_planned, n_planned(flow)) == (0, n)
        done = send(flow)
    finally:
        for table in ("fct_customer_values", "fct_customer_rules"):
            flow.warehouse.execute(f"delete from marts.{table}")
    assert (done["cancelled"], done["accepted"]) == (2, n - 2)
    assert dict(
        flow.warehouse.execute(
            "select customer_key, reason from ops.outreach where state = 'cancelled'"
        )
    ) == {fallen: "costs_more_than_it_returns", unwanted: "not_wanted"}
    reasons, evidence = verdict(flow, fallen)
    assert reasons == ["costs_more_than_it_returns"]
    assert evidence["economics"]["finding"] == "costs_more"
    assert (evidence["economics"]["clv_cents"], evidence["ground"]) == (10, "consent")
    assert verdict(flow, unwanted)[1]["not_wanted"] == "sends all of it back"
    assert verdict(flow, must_win)[0] == []


def test_the_newest_selection_counts(flow: MailFlow) -> None:
    """Who was too dear once and is worth it again is written to."""
    n = n_planned(flow)
    [(key,)] = flow.warehouse.execute("select min(customer_key) from ops.outreach")
    [(other,)] = flow.warehouse.execute("select max(customer_key) from ops.outreach")
    score(flow, other, 0.2, 1_000_000)
    try:
        for clv in (10, 1_000_000):
            score(flow, key, 0.01, clv)
            select(flow.snapshot_id, AS_OF)
        findings = flow.warehouse.execute(
            "select finding from ops.economics where customer_key = %s order by economics_run_id",
            (key,),
        )
        assert [each for (each,) in findings][-2:] == ["costs_more", "returns_more"]
        assert send(flow)["accepted"] == n
    finally:
        flow.warehouse.execute("delete from marts.fct_customer_values")
