"""Bounces and spam reports stop a campaign: within a batch, until a person resumes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Any
from uuid import uuid4

import pytest

from tests.bounces import accepted, campaign, resume, send_one_batch, tell
from tests.mail_flow import (
    AS_OF,
    CAMPAIGN,
    MailFlow,
    configure,
    dag_run,
    event,
    n_planned,
    run_task_outreach,
    send,
)
from winback import operators
from winback.errors import CampaignStopped
from winback.outreach import campaign_state, delivery_trouble, ledger
from winback.outreach.decisions import Decision
from winback.outreach.sendgrid_transport import SendGridTransport
from winback.record.events import record
from winback.settings import settings
from winback.warehouse import connection as warehouse


@pytest.fixture(autouse=True)
def few_are_enough(flow: MailFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds that a small shop can reach: a quarter of at least four messages."""
    configure(
        flow, monkeypatch, send_batch_size=4, stop_after_messages=4, stop_at_bounce_pct=25,
        stop_at_spam_report_pct=25,
    )  # fmt: skip


def sums(flow: MailFlow) -> tuple[int, int, int]:
    [found] = flow.warehouse.execute(
        "select sum(n_accepted), sum(n_bounced), sum(n_spam_reports) from ops.delivery_tally"
    )
    return found


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_storm_of_bounces_stops_a_running_worker_within_its_batch(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, is_recorded: bool
) -> None:
    """Also when it is only told, and the step record runs later."""
    n, before = n_planned(flow), flow.sandbox.counts()["requests"]
    real = SendGridTransport.send
    n_requests = storm_at = 0

    def send_then_storm(self: SendGridTransport, body: Any) -> Any:
        nonlocal n_requests, storm_at
        outcome = real(self, body)
        n_requests += 1
        # so many have to be accepted, in as many requests as it takes
        if not storm_at and len(accepted(flow)) >= 4:
            storm_at = n_requests
            # while this request is under way, what went before turns out to be dead
            with ThreadPoolExecutor(1) as pool:
                dead = [event("bounce", each, status="5.1.1") for each in accepted(flow)]
                assert pool.submit(flow.post, dead).result() == 204
            if is_recorded:
                record()
        return outcome

    monkeypatch.setattr(SendGridTransport, "send", send_then_storm)
    # the requests of a batch of four may be smaller, one for each shape of the mail
    done = send(flow)
    assert n_requests == storm_at > 0
    assert flow.sandbox.counts()["requests"] == before + storm_at
    states = flow.states()
    assert states["bounced"] >= 1
    assert done["accepted"] == states["bounced"] + states["accepted"] < n
    assert states["planned"] > 0
    state, reason = campaign(flow)
    assert state == "stopped"
    assert reason
    assert "messages bounced (" in reason
    assert "the limit is 25 %): find out where these addresses come from" in reason
    assert reason.endswith(f"then ./winback outreach resume {CAMPAIGN}")
    monkeypatch.setattr(SendGridTransport, "send", real)
    assert send(flow) == {}
    assert flow.sandbox.counts()["requests"] == before + storm_at


def test_after_a_resume_it_counts_anew(flow: MailFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = send_one_batch(flow, monkeypatch)
    tell(flow, *[event("bounce", each, status="5.1.1") for each in sent[:2]])
    assert campaign(flow)[0] == "stopped"
    resume()
    # what comes of the messages of before is known to whoever resumed
    tell(flow, *[event("bounce", each, status="5.1.1") for each in sent[2:]])
    assert (campaign(flow)[0], sums(flow)[1]) == ("running", 2)
    send(flow)
    newer = sorted(set(accepted(flow)) - set(sent))
    n_to_stop = ceil(len(newer) / 4)
    tell(flow, *[event("bounce", each, status="5.1.1") for each in newer[: n_to_stop - 1]])
    # with those of before, far more than a quarter has bounced
    assert len(sent) + n_to_stop - 1 > (len(sent) + len(newer)) / 4
    assert campaign(flow)[0] == "running"
    tell(flow, event("bounce", newer[-1], status="5.1.1"))
    assert campaign(flow)[0] == "stopped"


def test_a_worker_stops_when_the_step_record_died_before_it_could(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send_one_batch(flow, monkeypatch)
    before = flow.sandbox.counts()["requests"]

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as context:
        context.setattr(delivery_trouble, "stop_if_needed", die)
        with pytest.raises(RuntimeError, match="killed"):
            tell(flow, *[event("bounce", each, status="5.1.1") for each in sent])
    # the events are kept, and nobody has looked at the sums
    assert (campaign(flow)[0], sums(flow)[1]) == ("running", len(sent))
    assert send(flow) == {}
    assert campaign(flow)[0] == "stopped"
    assert flow.sandbox.counts()["requests"] == before


def test_the_step_record_fails_once_it_is_done_so_that_somebody_hears_of_it(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send_one_batch(flow, monkeypatch)
    flow.sandbox.wait_for_events()
    begun = dag_run()
    assert flow.post([event("bounce", each, status="5.1.1") for each in sent]) == 204
    with pytest.raises(CampaignStopped, match=f"^campaign {CAMPAIGN} is stopped: .* bounced"):
        operators.record.function(dag_run=begun)
    assert flow.states()["bounced"] == len(sent)
    # the next run has nothing new to tell
    assert operators.record.function(dag_run=dag_run()) == {}


def test_the_step_outreach_fails_once_it_has_done_the_rest(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send_one_batch(flow, monkeypatch)
    flow.sandbox.wait_for_events()
    assert flow.post([event("bounce", each, status="5.1.1") for each in sent]) == 204
    marketing = settings().home / "lists" / str(AS_OF) / f"{CAMPAIGN}.csv"
    marketing.unlink(missing_ok=True)
    with pytest.raises(CampaignStopped, match=f"^campaign {CAMPAIGN} is stopped: .* bounced"):
        run_task_outreach(flow)
    assert marketing.exists()
    # nothing is sent, and a run that stops nobody tells nobody
    run_task_outreach(flow)
    assert campaign(flow)[0] == "stopped"


def test_enough_for_many_messages_stops_among_few(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send_one_batch(flow, monkeypatch)
    configure(flow, monkeypatch, stop_after_messages=8)
    tell(flow, event("bounce", sent[0], status="5.1.1"))
    assert campaign(flow)[0] == "running"
    tell(flow, event("bounce", sent[1], status="5.1.1"))
    assert campaign(flow)[0] == "stopped"


def test_one_report_is_a_slip_and_two_are_not(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send_one_batch(flow, monkeypatch)
    tell(flow, event("spamreport", sent[0]))
    assert campaign(flow)[0] == "running"
    # told again under another id, it is the same report
    tell(flow, event("spamreport", sent[0]), event("spamreport", sent[0]))
    assert (campaign(flow)[0], sums(flow)[2]) == ("running", 1)
    tell(flow, event("spamreport", sent[1]))
    state, reason = campaign(flow)
    assert (state, sums(flow)[2]) == ("stopped", 2)
    assert "2 of" in (reason or "")
    assert "reported as spam" in (reason or "")


def test_blocks_drops_and_messages_of_others_stop_nothing(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send_one_batch(flow, monkeypatch)
    tell(
        flow,
        event("bounce", sent[0], type="blocked"),
        event("bounce", sent[1], type="blocked"),
        event("dropped", sent[2], reason="Bounced Address"),
        *[event("bounce", uuid4(), status="5.1.1") for _ in range(9)],
    )
    assert campaign(flow)[0] == "running"
    assert sums(flow)[1:] == (0, 0)


def test_what_runs_for_years_is_not_diluted(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.warehouse.execute(
        "insert into ops.delivery_tally (campaign_id, n_accepted, sent_at)"
        " values (%s, 1000000, now() - interval '30 days')",
        (CAMPAIGN,),
    )
    sent = send_one_batch(flow, monkeypatch)
    tell(flow, *[event("bounce", each, status="5.1.1") for each in sent])
    state, reason = campaign(flow)
    assert state == "stopped"
    assert (reason or "").startswith("in the last 7 days, ")


def test_each_accepted_message_counts_once_whoever_told_first(flow: MailFlow) -> None:
    n = n_planned(flow)
    assert send(flow)["accepted"] == n
    flow.sandbox.wait_for_events()
    record()
    assert flow.states() == {"delivered": n}
    assert sums(flow) == (n, 0, 0)


def test_an_event_that_is_quicker_than_our_own_commit_counts_once(flow: MailFlow) -> None:
    config = settings()
    with warehouse.connect("sender") as connection:
        claims = ledger.mark_dispatching(
            connection, ledger.claim(connection, CAMPAIGN, "quick", config), config
        )
    first = claims[0].message_id
    tell(flow, event("processed", first), event("delivered", first))
    with warehouse.connect("sender") as connection:
        ledger.accepted(connection, claims, "id")
    assert sums(flow) == (len(claims), 0, 0)


def test_a_paused_campaign_keeps_its_reason(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send_one_batch(flow, monkeypatch)
    with warehouse.connect("sender") as connection:
        campaign_state.decide(connection, CAMPAIGN, Decision("pause", "wrong price", "ann"))
    tell(flow, *[event("bounce", each, status="5.1.1") for each in sent])
    assert campaign(flow) == ("paused", "wrong price")
    # whoever resumes it afterwards knows of the bounces
    resume()
    with warehouse.connect("sender") as connection:
        delivery_trouble.stop_if_needed(connection, settings())
    assert campaign(flow)[0] == "running"
