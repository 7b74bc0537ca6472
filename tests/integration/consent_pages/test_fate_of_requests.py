"""What becomes of a mail that asked for a consent, and of one without an answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from tests.consent_pages import ASKED, verdict
from tests.integration.test_objections import wait_for_a_lock
from tests.mail_flow import AS_OF, MailFlow, configure, event
from winback import outreach_cli
from winback.errors import DispatchRefused
from winback.kpi.snapshot import write_snapshots
from winback.outreach.sendgrid_transport import SendGridTransport
from winback.outreach.unknown_messages import read_unknown_requests
from winback.privacy.opt_in_request import ask
from winback.record import suppression
from winback.record.events import record
from winback.record.unsubscribe import unsubscribe
from winback.warehouse import connection
from winback.web.app import create_app


def test_a_request_without_an_answer_is_not_sent_again(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_timeout_seconds=1)
    flow.sandbox.fault("hang_after_accept")
    before = flow.sandbox.counts()["accepted"]
    assert ask(ASKED, "marketing", "till", "test").state == "unknown"
    with pytest.raises(DispatchRefused, match="was asked on"):
        ask(ASKED, "marketing", "till", "test")
    assert flow.sandbox.counts()["accepted"] - before == 1
    # counted and shown, until an event settles it
    [(request_id,)] = flow.warehouse.execute("select request_id from ops.opt_in_request")
    out = CliRunner().invoke(outreach_cli.app, ["unknown"]).output
    assert str(request_id) in out
    assert "opt-in requests of unknown fate: 1;" in out
    with connection.connect("webhook") as opened:
        [found] = read_unknown_requests(opened)
    assert (found.request_id, found.purpose) == (request_id, "marketing")
    write_snapshots(AS_OF)
    pages = create_app()
    pages.dependency_overrides[get_user] = object
    told = "Requests for consent of unknown fate"
    assert told in TestClient(pages).get("/dashboard").text
    flow.post([event("processed", request_id)])
    record()
    assert told not in TestClient(pages).get("/dashboard").text
    assert CliRunner().invoke(outreach_cli.app, ["unknown"]).output == "no message is unknown\n"


def test_a_refusal_during_the_record_step_waits_instead_of_locking_it_up(flow: MailFlow) -> None:
    request_id = ask(ASKED, "marketing", "till", "test").request_id
    _, _, hashed = flow.message("state = 'planned'")
    flow.warehouse.execute("update ops.opt_in_request set address_hash = %s", (hashed,))
    with ThreadPoolExecutor(1) as pool:
        with connection.connect("sender") as recording:
            suppression.lock(recording, [], [hashed])
            refusal = pool.submit(unsubscribe, request_id)
            wait_for_a_lock(flow)
            # what the step record does next; the page must hold nothing that this needs
            suppression.suppress_addresses(recording, [hashed], "unsubscribe")
        assert refusal.result(30)
    assert flow.warehouse.execute("select address_hash from ops.suppression") == [(hashed,)]


def test_a_request_whose_sender_was_killed_is_shown(flow: MailFlow) -> None:
    asked = ask(ASKED, "marketing", "till", "test").request_id
    with connection.connect("sender") as opened:
        assert read_unknown_requests(opened) == []
        flow.warehouse.execute(
            "update ops.opt_in_request set state = 'dispatching', reason = null,"
            " requested_at = now() - interval '11 minutes'"
        )
        [found] = read_unknown_requests(opened)
    assert (found.request_id, found.reason) == (asked, "its sender ended before the answer")


def test_what_the_provider_did_not_take_may_be_asked_again(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, sendgrid_api_key="SG.wrong")
    with pytest.raises(DispatchRefused, match="was not sent \\(HTTP 401\\)"):
        ask(ASKED, "marketing", "till", "test")
    configure(flow, monkeypatch, sendgrid_api_key=flow.sandbox.api_key)
    assert ask(ASKED, "marketing", "till", "test").state == "accepted"
    states = flow.warehouse.execute("select state, reason from ops.opt_in_request order by 1")
    assert states == [("accepted", None), ("rejected", "HTTP 401")]


@pytest.mark.parametrize(
    ("words", "state", "reason"),
    [
        (["processed"], "accepted", None),
        (["delivered", "processed"], "delivered", None),
        (["delivered", "bounce"], "bounced", "bounce"),
        (["bounce", "delivered"], "bounced", "bounce"),
        (["dropped"], "dropped", "dropped"),
        (["delivered", "spamreport"], "delivered", "spam_report"),
        (["group_unsubscribe"], "delivered", "unsubscribe"),
        (["open_sesame"], "accepted", None),
    ],
)
def test_events_settle_a_mail_that_asked(
    flow: MailFlow, words: list[str], state: str, reason: str | None
) -> None:
    request = ask(ASKED, "marketing", "checkout", "test")
    flow.sandbox.wait_for_events()
    flow.warehouse.execute("truncate pii.webhook_inbox")
    planned = flow.states()["planned"]
    details = {"bounce": {"type": "bounce"}, "dropped": {"reason": "Bounced Address"}}
    for word in words:
        told = event(word, request.request_id, **details.get(word, {}))
        # twice, since the provider repeats itself
        assert flow.post([told]) == flow.post([told]) == 204
        record()
    assert flow.warehouse.execute("select state, reason from ops.opt_in_request") == [(state, None)]
    assert flow.warehouse.execute(
        "select count(*) from ops.event where opt_in_request_id = %s and message_id is null",
        (request.request_id,),
    ) == [(len(words),)]
    # the address and nobody else: who reads it may not be the customer
    assert flow.warehouse.execute(
        "select s.reason, s.scope, s.customer_key, s.address_hash = r.address_hash"
        " from ops.suppression as s cross join ops.opt_in_request as r"
    ) == ([(reason, "address", None, True)] if reason else [])
    assert ("suppressed" in verdict(flow, ASKED)[0]) == (reason is not None)
    assert flow.states()["planned"] == planned


def test_an_event_settles_a_request_nobody_knew_the_fate_of(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_timeout_seconds=1)
    flow.sandbox.fault("hang_after_accept", seconds=2)
    assert ask(ASKED, "marketing", "checkout", "test").state == "unknown"
    flow.sandbox.wait_for_events()
    record()
    assert flow.warehouse.execute("select state, reason from ops.opt_in_request") == [
        ("delivered", None)
    ]


def test_an_event_that_is_quicker_than_our_own_note_wins(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SendGridTransport.send

    def slow(transport: SendGridTransport, body: Any) -> Any:
        outcome = real(transport, body)
        flow.sandbox.wait_for_events()
        record()
        return outcome

    monkeypatch.setattr(SendGridTransport, "send", slow)
    ask(ASKED, "marketing", "checkout", "test")
    [(state, has_id)] = flow.warehouse.execute(
        "select state, provider_message_id is not null from ops.opt_in_request"
    )
    assert (state, has_id) == ("delivered", True)
