"""A person settles unknown messages: gives them up, or has them sent once more."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient

from tests.decisions import Call, decide, decisions
from tests.mail_flow import AS_OF, CAMPAIGN, MailFlow, configure, event, n_planned, send
from winback.errors import DispatchRefused
from winback.kpi.snapshot import write_snapshots
from winback.outreach import ledger
from winback.outreach.decisions import Decision, NotDecided
from winback.outreach.lists import write_list
from winback.outreach.unknown_messages import abandon, read_unknown, resend
from winback.record.events import record
from winback.record.unsubscribe import unsubscribe
from winback.settings import settings
from winback.terminal import user_name
from winback.warehouse import connection as warehouse
from winback.web.app import create_app
from winback.web.dashboard import N_UNKNOWN_SHOWN


def make_unknown(flow: MailFlow, monkeypatch: pytest.MonkeyPatch, mode: str) -> tuple[int, UUID]:
    """Sends all, one message without an answer; how many were planned, and which it was."""
    n = n_planned(flow)
    configure(flow, monkeypatch, send_batch_size=1)
    flow.sandbox.fault(mode)
    with pytest.raises(DispatchRefused, match="are unknown"):
        send(flow)
    configure(flow, monkeypatch, send_batch_size=1000)
    assert send(flow)["accepted"] == n - 1
    assert flow.states() == {"accepted": n - 1, "unknown": 1}
    return n, flow.message("state = 'unknown'")[0]


def order(word: Any, *message_ids: UUID) -> Any:
    act = resend if word == "resend" else abandon
    with warehouse.connect("sender") as connection:
        return act(connection, message_ids, Decision(word, "because", "ann"))


def test_unknown_messages_are_listed_without_anything_personal(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    assert "no message is unknown" in call("unknown")[1]
    _, message_id = make_unknown(flow, monkeypatch, "error_500")
    _, out, _ = call("unknown")
    [line] = [each for each in out.splitlines() if str(message_id) in each]
    for part in (CAMPAIGN, "email", "0.0", "HTTP 500", "its event"):
        assert part in line
    assert "1 unknown, 0 of them waiting for a person" in out
    flow.warehouse.execute("update ops.outreach set dispatching_at = now() - interval '24 hours'")
    _, out, _ = call("unknown")
    assert "24.0" in out
    assert "1 unknown, 1 of them waiting for a person" in out
    [(customer, email)] = flow.warehouse.execute(
        "select customer_key, email from pii.customers join ops.outreach using (customer_key)"
        " where message_id = %s",
        (message_id,),
    )
    assert customer not in out
    assert email not in out


def test_a_resend_is_a_new_row_and_is_recorded_and_sent_once(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    n, old = make_unknown(flow, monkeypatch, "error_500")
    before = flow.sandbox.counts()["accepted"]
    code, out, _ = call("resend", old, "--reason", "they say they took nothing")
    assert (code, f"{old} is abandoned and planned anew as" in out) == (0, True)
    assert flow.states() == {"accepted": n - 1, "abandoned": 1, "planned": 1}
    new = flow.message("state = 'planned'")[0]
    assert decisions(flow) == [
        ("resend", CAMPAIGN, old, new, "they say they took nothing", user_name(), True)
    ]
    assert send(flow) == {"accepted": 1, "cancelled": 0}
    assert flow.sandbox.wait_for_events()["accepted"] - before == 1
    record()
    assert flow.states() == {"delivered": n, "abandoned": 1}
    assert send(flow) == {}
    # marketing's list names the person once
    path, n_people = write_list(settings().home / "lists", CAMPAIGN, AS_OF)
    assert n_people == n
    assert "abandoned" not in Path(path).read_text()
    # and so do the figures
    write_snapshots(AS_OF)
    assert flow.warehouse.execute(
        "select n_accepted, n_delivered from ops.kpi_snapshot where segment = 'all'"
        " order by revision desc limit 1"
    ) == [(n, n)]


def test_a_resend_waits_when_the_first_turns_up(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, old = make_unknown(flow, monkeypatch, "error_500_after_accept")
    before = flow.sandbox.wait_for_events()["accepted"]
    new = order("resend", old)[old]
    record()
    assert flow.message(f"message_id = '{old}' and state = 'delivered'")
    assert send(flow) == {"cancelled": 1}
    assert flow.message(f"message_id = '{new}' and reason = 'first_one_arrived'")
    assert flow.warehouse.execute(
        "select reasons, evidence ->> 'earlier_message' from ops.verdict"
        " where step = 'outreach' and not is_eligible"
    ) == [(["first_one_arrived"], str(old))]
    assert flow.sandbox.counts()["accepted"] == before
    assert flow.states() == {"delivered": n, "cancelled": 1}


def test_that_the_first_is_on_its_way_is_enough_to_hold_back_the_second(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, old = make_unknown(flow, monkeypatch, "error_500")
    order("resend", old)
    flow.post([event("processed", old)])
    record()
    assert flow.states()["abandoned"] == 1
    assert send(flow) == {"cancelled": 1}
    # dropped without a word about the recipient: it never went out, so another resend may
    flow.post([event("dropped", old, reason="quota exceeded")])
    record()
    assert flow.states()["dropped"] == 1


def test_an_event_that_comes_after_both_were_sent_settles_each(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, old = make_unknown(flow, monkeypatch, "error_500_after_accept")
    new = order("resend", old)[old]
    assert send(flow)["accepted"] == 1
    flow.sandbox.wait_for_events()
    record()
    # the one exception to at most once: a person ordered it
    assert flow.states() == {"delivered": n + 1}
    assert {old, new} == {
        message_id
        for (message_id,) in flow.warehouse.execute(
            "select message_id from ops.outreach where customer_key ="
            " (select customer_key from ops.outreach where message_id = %s)",
            (old,),
        )
    }


def test_an_objection_stops_a_resend(flow: MailFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    n, old = make_unknown(flow, monkeypatch, "error_500")
    before = flow.sandbox.counts()["accepted"]
    order("resend", old)
    # known to the last check alone
    flow.warehouse.execute(
        "insert into ops.suppression (address_hash, scope, reason)"
        " select address_hash, 'address', 'objection' from ops.outreach where message_id = %s",
        (old,),
    )
    assert send(flow) == {"cancelled": 1}
    assert flow.reasons()["suppressed"] == 1
    assert flow.sandbox.counts()["accepted"] == before
    assert flow.states() == {"accepted": n - 1, "abandoned": 1, "cancelled": 1}


def test_an_unsubscription_by_the_first_message_ends_the_second_at_once(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, old = make_unknown(flow, monkeypatch, "error_500_after_accept")
    order("resend", old)
    assert unsubscribe(old)
    assert flow.states()["planned"] == 0
    assert flow.reasons()["suppressed"] == 1


def test_only_unknown_messages_are_decided_about_all_or_none(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, old = make_unknown(flow, monkeypatch, "error_500")
    sent, states = flow.message("state = 'accepted'")[0], flow.states()
    for word in ("resend", "abandon"):
        with pytest.raises(NotDecided, match="is accepted, and only an unknown one"):
            order(word, old, sent)
        with pytest.raises(NotDecided, match="there is no message"):
            order(word, old, uuid4())
    assert (flow.states(), decisions(flow)) == (states, [])
    order("resend", old, old)
    for word in ("resend", "abandon"):
        with pytest.raises(NotDecided, match="is abandoned, and only an unknown one"):
            order(word, old)
    assert len(decisions(flow)) == 1


def test_nothing_is_resent_for_a_cancelled_campaign(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, old = make_unknown(flow, monkeypatch, "error_500")
    decide("cancel")
    with pytest.raises(NotDecided, match="abandon its messages"):
        order("resend", old)
    order("abandon", old)
    assert flow.states()["abandoned"] == 1


@pytest.mark.parametrize(
    ("word", "state"), [("delivered", "delivered"), ("bounce", "bounced"), ("dropped", "dropped")]
)
def test_an_abandoned_message_is_not_sent_and_a_late_event_is_believed(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, call: Call, word: str, state: str
) -> None:
    n, old = make_unknown(flow, monkeypatch, "error_500")
    code, out, _ = call("abandon", old, "--reason", "too late now")
    assert (code, "1 messages are abandoned" in out) == (0, True)
    assert send(flow) == {}
    assert flow.states() == {"accepted": n - 1, "abandoned": 1}
    assert decisions(flow) == [("abandon", CAMPAIGN, old, None, "too late now", user_name(), True)]
    with warehouse.connect("webhook") as connection:
        assert read_unknown(connection) == []
    flow.post([event(word, old, status="5.1.1")])
    record()
    assert flow.states()[state] >= 1
    assert flow.states()["abandoned"] == 0


def test_what_was_given_up_counts_as_contact_once_it_proves_taken(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, old = make_unknown(flow, monkeypatch, "error_500")
    order("abandon", old)

    def reasons() -> list[str]:
        [(found,)] = flow.warehouse.execute(
            "select verdict.reasons from ops.outreach as o, ops.eligibility("
            " array[o.customer_key], array['2025-01-01'::timestamptz], 'another', 'email', %s,"
            " now(), 1200, 14) as verdict where o.message_id = %s",
            (AS_OF, old),
        )
        return list(found)

    assert "contacted_by_another_campaign" not in reasons()
    flow.post([event("processed", old)])
    record()
    assert "contacted_by_another_campaign" in reasons()


def test_what_a_dead_worker_was_sending_can_be_decided_about_at_once(flow: MailFlow) -> None:
    config = settings()
    with warehouse.connect("sender") as connection:
        claims = ledger.claim(connection, CAMPAIGN, "dead", config)
        ledger.mark_dispatching(connection, claims, config)
    with pytest.raises(NotDecided, match="is dispatching"):
        order("abandon", claims[0].message_id)
    flow.end_leases()
    order("abandon", claims[0].message_id)
    # whatever else it left behind is settled by the next run
    assert flow.states() == {"abandoned": 1, "dispatching": len(claims) - 1}
    record()
    assert flow.states() == {"abandoned": 1, "unknown": len(claims) - 1}


def test_a_list_names_each_person_once(flow: MailFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    n, old = make_unknown(flow, monkeypatch, "error_500")
    order("resend", old)
    path, _ = write_list(settings().home / "lists", CAMPAIGN, AS_OF)
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        people = list(csv.reader(file))
    assert len(people) == n + 1


def test_the_tab_counts_and_lists_what_is_unknown(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_snapshots(AS_OF)
    app = create_app()
    app.dependency_overrides[get_user] = lambda: None
    page = TestClient(app)
    text = page.get("/dashboard").text
    assert "<b>0</b><span>messages of unknown fate</span>" in text
    assert "./winback outreach" not in text
    _, message_id = make_unknown(flow, monkeypatch, "error_500")
    text = page.get("/dashboard").text
    assert "<b>1</b><span>messages of unknown fate</span>" in text
    for part in (str(message_id), "HTTP 500", "its event", "./winback outreach resend ID…",
                 "./winback outreach abandon ID…"):  # fmt: skip
        assert part in text
    flow.warehouse.execute("update ops.outreach set dispatching_at = now() - interval '2 days'")
    text = page.get("/dashboard").text
    assert "<b>1</b><span>messages of unknown fate, 1 wait for a person</span>" in text
    assert "<b>a person</b>" in text
    # of many the longest open ones, and where to see the others
    configure(flow, monkeypatch, send_batch_size=1000)
    flow.restart()
    flow.sandbox.fault("error_500", requests=10)
    for _ in range(4):
        with pytest.raises(DispatchRefused):
            send(flow)
    n_unknown = flow.states()["unknown"]
    assert n_unknown > N_UNKNOWN_SHOWN
    text = page.get("/dashboard").text
    assert text.count("its event</td>") == N_UNKNOWN_SHOWN
    assert f"and {n_unknown - N_UNKNOWN_SHOWN} more" in text
