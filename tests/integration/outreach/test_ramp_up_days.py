"""Dormant addresses: a portion a day, by all workers together, and everybody else at once."""

from __future__ import annotations

import sys
import threading
from typing import Any

import psycopg
import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient

from tests.mail_flow import AS_OF, CAMPAIGN, MailFlow, configure, n_planned, send
from tests.ramp_up import held_back, insert_dormant, next_day, portions
from winback import __main__ as command
from winback.kpi.snapshot import write_snapshots
from winback.outreach import campaign_state, last_check, ledger, ramp_up
from winback.outreach.decisions import Decision
from winback.outreach.lane import Lane
from winback.outreach.sendgrid_transport import SendGridTransport
from winback.select.selection import select
from winback.settings import settings
from winback.warehouse import connection as warehouse
from winback.web.app import create_app

pytestmark = pytest.mark.usefixtures("small_portions")


def resume() -> None:
    with warehouse.connect("sender") as connection:
        campaign_state.decide(connection, CAMPAIGN, Decision("resume", "mended", "ann"))


def make_reached(flow: MailFlow, n: int, age: str, state: str = "accepted") -> None:
    """Forgets the plan, lets another campaign have reached `n` of its addresses, plans anew."""
    reached = flow.warehouse.execute(
        "select customer_key, address_hash from ops.outreach order by message_id limit %s", (n,)
    )
    flow.warehouse.execute(
        "truncate ops.outreach, ops.event, ops.outreach_decision, ops.assignment"
    )
    flow.warehouse.execute("insert into ops.campaign (campaign_id, definition) values ('b', '{}')")
    for number, (customer_key, address_hash) in enumerate(reached):
        flow.warehouse.execute(
            "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
            " address_hash, snapshot_id, as_of, template)"
            " values ('b', %s, 1, 'email', %s, %s, %s, %s, 'b')",
            (f"l{number}", customer_key, address_hash, flow.snapshot_id, AS_OF),
        )
    for each in ("claimed", "dispatching", "accepted", state):
        flow.warehouse.execute(
            "update ops.outreach set state = %s, accepted_at = now() - %s::interval", (each, age)
        )
    # the pause between campaigns is not what these tests are about
    flow.warehouse.execute("update ops.outreach set dispatching_at = accepted_at")
    select(flow.snapshot_id, AS_OF)


def test_a_portion_a_day_and_twice_as_many_on_the_next(flow: MailFlow) -> None:
    n = n_planned(flow)
    assert held_back(flow) == n > 3 + 6
    assert send(flow)["accepted"] == 3
    # again on the same day: nothing more
    assert send(flow) == {}
    assert flow.states() == {"accepted": 3, "planned": n - 3}
    next_day(flow)
    assert send(flow)["accepted"] == 6
    next_day(flow)
    assert send(flow)["accepted"] == min(12, n - 9)
    assert flow.warehouse.execute("select portion, n_taken from ops.ramp_up_day order by day") == [
        (3, 3),
        (6, 6),
        (12, min(12, n - 9)),
    ]


def test_whoever_heard_from_us_is_written_to_at_once(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, contact_pause_days=0)
    n = n_planned(flow)
    make_reached(flow, 6, "364 days")
    assert (n_planned(flow), held_back(flow)) == (n, n - 6)
    assert send(flow)["accepted"] == 6 + 3


@pytest.mark.parametrize(("age", "state"), [("366 days", "accepted"), ("1 day", "bounced")])
def test_what_is_long_ago_or_never_arrived_reached_nobody(
    flow: MailFlow, age: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, contact_pause_days=0)
    n = n_planned(flow)
    make_reached(flow, 6, age, state)
    assert (n_planned(flow), held_back(flow)) == (n, n)


@pytest.mark.parametrize(
    ("state", "n_reached"), [("accepted", 1), ("delivered", 1), ("bounced", 0)]
)
def test_a_mail_that_asked_for_a_consent_reached_the_address(
    flow: MailFlow, state: str, n_reached: int
) -> None:
    n = n_planned(flow)
    _, customer_key, address_hash = flow.message()
    flow.warehouse.execute(
        "truncate ops.outreach, ops.event, ops.outreach_decision, ops.assignment"
    )
    flow.warehouse.execute(
        "insert into ops.consent_text (text_version, channel, purpose, language, advertiser,"
        " content) values ('v', 'email', 'marketing', 'en', 'x', 'x') on conflict do nothing"
    )
    flow.warehouse.execute(
        "insert into ops.opt_in_request (customer_key, address_hash, channel, purpose,"
        " text_version, source, requested_by, expires_at, state)"
        " values (%s, %s, 'email', 'marketing', 'v', 'checkout', 'ann', now(), %s)",
        (customer_key, address_hash, state),
    )
    try:
        select(flow.snapshot_id, AS_OF)
    finally:
        flow.warehouse.execute("truncate ops.opt_in_request cascade")
    assert (n_planned(flow), held_back(flow)) == (n, n - n_reached)


@pytest.mark.parametrize(("days_ago", "portion"), [(29, 6), (30, 3)])
def test_a_sender_that_was_silent_for_a_month_begins_anew(
    flow: MailFlow, days_ago: int, portion: int
) -> None:
    assert send(flow)["accepted"] == 3
    flow.warehouse.execute(
        "update ops.ramp_up_day set day = day - %(n)s,"
        " begun_at = begun_at - make_interval(days => %(n)s)",
        {"n": days_ago},
    )
    flow.warehouse.execute("update ops.outreach set portion_day = portion_day - %s", (days_ago,))
    assert send(flow)["accepted"] == portion


def test_days_on_which_nothing_left_do_not_keep_a_sender_known(flow: MailFlow) -> None:
    assert send(flow)["accepted"] == 3
    for _ in range(30):
        next_day(flow)
    begin_yesterday(flow, 6)
    assert send(flow)["accepted"] == 3


def test_a_stop_on_a_day_on_which_nothing_left_is_remembered(flow: MailFlow) -> None:
    assert send(flow)["accepted"] == 3
    next_day(flow)
    next_day(flow)
    begin_yesterday(flow, 6)
    with warehouse.connect("sender") as connection:
        campaign_state.stop(connection, {CAMPAIGN: "too many bounces"})
    resume()
    assert send(flow)["accepted"] == 3


def begin_yesterday(flow: MailFlow, portion: int) -> None:
    """A day on which messages waited, and the mail API was down."""
    flow.warehouse.execute(
        "insert into ops.ramp_up_day (day, portion) values ((now() at time zone %s)::date - 1, %s)",
        (settings().business_timezone, portion),
    )


def test_what_was_taken_and_not_sent_waits_for_the_next_portion(flow: MailFlow) -> None:
    n = n_planned(flow)
    flow.sandbox.fault("rate_limit_429", seconds=3600)
    assert send(flow).get("accepted", 0) == 0
    assert flow.states() == {"planned": n}
    assert flow.warehouse.execute("select portion, n_taken from ops.ramp_up_day") == [(3, 0)]
    next_day(flow)
    assert send(flow)["accepted"] == 3
    assert flow.warehouse.execute("select portion from ops.ramp_up_day order by day") == [
        (3,), (3,),
    ]  # fmt: skip
    next_day(flow)
    assert send(flow)["accepted"] == 6


def test_what_may_not_be_sent_leaves_its_place_to_another(flow: MailFlow) -> None:
    planned = flow.warehouse.execute(
        "select customer_key from ops.outreach order by claim_order limit 2"
    )
    flow.warehouse.execute(
        "update raw.consents set withdrawn_at = '2026-02-20' where customer_key = any(%s)",
        ([key for (key,) in planned],),
    )
    done = send(flow)
    assert (done["cancelled"], done["accepted"]) == (2, 3)
    assert portions(flow) == [(3, 3)]
    next_day(flow)
    assert send(flow)["accepted"] == 6


def test_what_was_taken_and_not_sent_may_go_later_on_the_same_day(flow: MailFlow) -> None:
    flow.sandbox.fault("rate_limit_429", seconds=3600)
    send(flow)
    assert send(flow)["accepted"] == 3
    assert send(flow) == {}


def test_a_stop_keeps_the_next_portion_as_it_was(flow: MailFlow) -> None:
    assert send(flow)["accepted"] == 3
    with warehouse.connect("sender") as connection:
        campaign_state.stop(connection, {CAMPAIGN: "too many bounces"})
    next_day(flow)
    assert send(flow) == {}
    resume()
    assert send(flow)["accepted"] == 3
    next_day(flow)
    assert send(flow)["accepted"] == 6


def test_a_day_with_few_to_write_to_does_not_double(flow: MailFlow) -> None:
    flow.warehouse.execute(
        "update ops.outreach set is_dormant = false where message_id not in"
        " (select message_id from ops.outreach order by message_id limit 2)"
    )
    n = n_planned(flow)
    assert send(flow)["accepted"] == n
    next_day(flow)
    insert_dormant(flow, 5)
    with warehouse.connect("sender") as connection:
        assert len(ledger.claim(connection, CAMPAIGN, "somebody", settings())) == 3
    assert flow.warehouse.execute("select portion, n_taken from ops.ramp_up_day order by day") == [
        (3, 2),
        (3, 3),
    ]


def test_the_business_day_is_that_of_the_time_zone(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = set()
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        configure(flow, monkeypatch, business_timezone=zone)
        flow.warehouse.execute("truncate ops.ramp_up_day")
        with warehouse.connect("sender") as connection:
            left = ramp_up.left_today(connection, CAMPAIGN, settings())
        assert left is not None and left.n_left == 3
        days |= set(flow.warehouse.execute("select day from ops.ramp_up_day"))
    # 26 hours lie between them
    assert len(days) == 2


def test_the_database_keeps_the_portion(flow: MailFlow) -> None:
    send(flow)
    with pytest.raises(psycopg.errors.CheckViolation, match="ramp_up_day"):
        flow.warehouse.execute("update ops.ramp_up_day set n_taken = n_taken + 1")


def test_status_and_dashboard_say_how_many_wait(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    n = n_planned(flow)

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["winback", "outreach", *arguments])
        capsys.readouterr()
        assert command.main() == 0
        return capsys.readouterr().out

    # the first three have not left yet, but may
    assert f"{n - 3} on the following days, 3 today" in call("status")
    send(flow)
    assert f"{n - 3} on the following days, 3 today" in call("status")
    next_day(flow)
    assert f"{n - 3 - 3} on the following days" in call("status")
    write_snapshots(AS_OF)
    app = create_app()
    app.dependency_overrides[get_user] = object
    text = TestClient(app).get("/dashboard").text
    assert "Campaigns that are held" in text
    assert f"<td>{n - 6}</td>" in text
    call("pause", CAMPAIGN, "--reason", "wrong price")
    said = call("resume", CAMPAIGN, "--reason", "price mended")
    assert "3 messages go out with the next run" in said
    assert f"{n - 6} more wait for the following days" in said


def test_claims_are_found_by_the_index_however_many_wait(flow: MailFlow) -> None:
    insert_dormant(flow, 20_000)
    flow.warehouse.execute("analyze ops.outreach")
    for is_dormant in (True, False):
        rows = flow.warehouse.execute(
            "explain " + ledger.CLAIM,
            {"campaign": CAMPAIGN, "is_dormant": is_dormant, "passed": 0, "n": 100, "worker": "w",
             "lease": 1, "day": None},
        )  # fmt: skip
        plan = "\n".join(each for (each,) in rows)
        assert "outreach_to_claim" in plan
        assert "Sort" not in plan


# Over midnight


def day_ends_at(step: str, flow: MailFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the day end once, while the first portion is at a step of its sending."""
    owner, name = {
        "claimed": (Lane, "_prepare"),
        "on its way": (SendGridTransport, "send"),
    }[step]
    real = getattr(owner, name)
    is_over = threading.Event()

    def at_midnight(*arguments: Any) -> Any:
        if not is_over.is_set():
            is_over.set()
            next_day(flow)
            flow.warehouse.execute(
                "update ops.outreach set dispatching_at = dispatching_at - interval '1 day'"
            )
        return real(*arguments)

    monkeypatch.setattr(owner, name, at_midnight)


def test_what_was_claimed_before_midnight_leaves_in_the_next_days_portion(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = n_planned(flow)
    day_ends_at("claimed", flow, monkeypatch)
    # nothing of the first day left, so that the next one takes no more
    assert send(flow)["accepted"] == 3
    assert portions(flow) == [(3, 0), (3, 3)]
    assert flow.states() == {"accepted": 3, "planned": n - 3}


def test_what_another_worker_holds_over_midnight_does_not_leave_beyond_the_portion(
    flow: MailFlow,
) -> None:
    config = settings()
    with warehouse.connect("sender") as connection:
        held = ledger.claim(connection, CAMPAIGN, "slow", config)
    assert len(held) == 3
    next_day(flow)
    assert send(flow)["accepted"] == 3
    with warehouse.connect("sender") as connection:
        # it finds its claims gone
        assert last_check.check(connection, held, CAMPAIGN, flow.snapshot_id, AS_OF, config) == []


@pytest.mark.parametrize("mode", ["rate_limit_429", "bad_recipient_400"])
def test_what_comes_back_after_midnight_waits_for_a_portion(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    n = n_planned(flow)
    day_ends_at("on its way", flow, monkeypatch)
    real = SendGridTransport.send

    def another_begins_the_day(*arguments: Any) -> Any:
        outcome = real(*arguments)
        with warehouse.connect("sender") as connection:
            ledger.claim(connection, CAMPAIGN, "quick", settings())
        return outcome

    monkeypatch.setattr(SendGridTransport, "send", another_begins_the_day)
    flow.sandbox.fault(mode, seconds=3600)
    send(flow)
    monkeypatch.setattr(SendGridTransport, "send", real)
    send(flow)
    states = flow.states()
    assert states["accepted"] + states["claimed"] == 3
    # one that was refused by itself was refused on the first day
    assert held_back(flow) == states["planned"] == n - 3 - states["rejected"]
