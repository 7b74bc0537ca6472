"""Whatever the mail API answers: nothing is sent twice, nothing is lost, the mend is named."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.mail_api import dropping
from tests.mail_flow import (
    AS_OF,
    CAMPAIGN,
    MailFlow,
    configure,
    n_planned,
    run_task_outreach,
    send,
)
from winback.errors import CampaignError, DispatchRefused, TransportStopped
from winback.outreach import campaign_state
from winback.outreach.decisions import Decision
from winback.record.events import record
from winback.settings import PROJECT, settings
from winback.warehouse import connection as warehouse


def test_a_wrong_key_stops_the_campaign_and_keeps_the_plan(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()["requests"]
    configure(flow, monkeypatch, sendgrid_api_key="SG.wrong")
    with pytest.raises(
        TransportStopped,
        match=r"HTTP 401.*set WINBACK_SENDGRID_API_KEY.*\./winback outreach resume welcome_back",
    ):
        send(flow)
    assert flow.sandbox.counts()["requests"] == before + 1
    assert flow.states() == {"planned": n}
    [(state, reason)] = flow.warehouse.execute("select state, state_reason from ops.campaign")
    assert (state, reason) == ("stopped", "HTTP 401")
    configure(flow, monkeypatch, sendgrid_api_key=flow.sandbox.api_key)
    assert send(flow) == {}
    assert flow.sandbox.counts()["requests"] == before + 1
    with warehouse.connect("sender") as connection:
        campaign_state.decide(connection, CAMPAIGN, Decision("resume", "the key is mended", "ann"))
    assert send(flow)["accepted"] == n


def test_one_bad_recipient_is_rejected_and_the_others_are_sent(flow: MailFlow) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()
    message_id, _, _ = flow.message()
    [(email,)] = flow.warehouse.execute(
        "select email from pii.customers join ops.outreach using (customer_key)"
        " where message_id = %s",
        (message_id,),
    )
    flow.sandbox.fault("bad_recipient_400", address=email, requests=100)
    assert send(flow) == {"accepted": n - 1, "rejected": 1, "cancelled": 0}
    counts = flow.sandbox.counts()
    assert counts["faults_met"] - before["faults_met"] > 1
    assert counts["accepted"] - before["accepted"] == n - 1
    assert flow.warehouse.execute(
        "select message_id, reason from ops.outreach where state = 'rejected'"
    ) == [(message_id, "HTTP 400 in personalizations.to.email")]


def test_when_everybody_is_rejected_the_campaign_stops_before_all_are_lost(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=1)
    n = n_planned(flow)
    flow.sandbox.fault("bad_recipient_400", requests=1000)
    with pytest.raises(CampaignError, match="rejected 10 messages"):
        send(flow)
    assert flow.states() == {"rejected": 10, "planned": n - 10}
    assert flow.warehouse.execute("select state from ops.campaign") == [("stopped",)]


def test_a_wrong_sender_rejects_nobody_and_stops_the_campaign(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, sender_email="no address")
    n = n_planned(flow)
    with pytest.raises(TransportStopped, match=r"HTTP 400 in from.email.*sender settings"):
        send(flow)
    assert flow.states() == {"planned": n}


def test_a_rate_limit_is_waited_for_or_left_to_the_next_run(flow: MailFlow) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()
    flow.sandbox.fault("rate_limit_429", seconds=3600)
    done = send(flow)
    assert flow.sandbox.counts()["faults_met"] == before["faults_met"] + 1
    assert done["rate_limited"] > 0
    assert flow.states() == {"planned": n}
    flow.sandbox.fault("rate_limit_429", seconds=1)
    assert send(flow)["accepted"] == n
    assert flow.sandbox.counts()["faults_met"] == before["faults_met"] + 2
    assert flow.reasons() == {None: n}


@pytest.mark.parametrize(
    "mode",
    [
        "error_500",
        "error_500_after_accept",
        "hang_after_accept",
        "reset_after_accept",
        "truncate_after_accept",
        "trickle_after_accept",
    ],
)
def test_a_request_without_a_clear_answer_is_unknown_until_an_event_tells(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    configure(flow, monkeypatch, send_timeout_seconds=1)
    n, before = n_planned(flow), flow.sandbox.counts()
    flow.sandbox.fault(mode, seconds=5)
    began = time.monotonic()
    with pytest.raises(DispatchRefused, match="are unknown"):
        send(flow)
    # an answer that trickles in for 5 s does not hold up the worker for longer than its second
    assert time.monotonic() - began < 4
    assert flow.sandbox.counts()["faults_met"] == before["faults_met"] + 1
    n_unknown = flow.states()["unknown"]
    # one request is the most that can be unknown at once
    assert 0 < n_unknown < n
    assert flow.states() == {"unknown": n_unknown, "planned": n - n_unknown}
    assert send(flow)["accepted"] == n - n_unknown
    counts = flow.sandbox.wait_for_events()
    n_taken = counts["accepted"] - before["accepted"]
    assert n_taken == (n - n_unknown if mode == "error_500" else n)
    record()
    expected = {"delivered": n_taken, "unknown": n - n_taken}
    assert flow.states() == {state: count for state, count in expected.items() if count}


def test_a_server_that_is_down_leaves_everything_planned(flow: MailFlow) -> None:
    n = n_planned(flow)
    flow.sandbox.stop()
    try:
        with pytest.raises(DispatchRefused, match=r"can not be reached.*stay planned"):
            send(flow)
        assert flow.states() == {"planned": n}
    finally:
        flow.sandbox.start()
    assert send(flow)["accepted"] == n


def test_a_firewall_that_drops_every_packet_leaves_everything_planned(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = n_planned(flow)
    with dropping() as url:
        configure(flow, monkeypatch, sendgrid_url=url, send_timeout_seconds=1)
        with pytest.raises(DispatchRefused, match=r"can not be reached.*stay planned"):
            send(flow)
    assert flow.states() == {"planned": n}
    configure(flow, monkeypatch, sendgrid_url=flow.sandbox.url)
    assert send(flow)["accepted"] == n


def test_a_broken_template_claims_nobody(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:

    shutil.copytree(PROJECT / "campaigns", tmp_path / "campaigns")
    body = tmp_path / "campaigns" / "templates" / CAMPAIGN / "body.de.txt"
    body.write_text("{{ nonsense }}", encoding="utf-8")
    configure(flow, monkeypatch, campaigns=tmp_path / "campaigns")
    n = n_planned(flow)
    with pytest.raises(CampaignError, match=r"body\.de\.txt.*nonsense"):
        send(flow)
    assert flow.states() == {"planned": n}


def test_an_error_between_claim_and_request_frees_the_claims(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, public_url="https://shop.example/\u00e4")
    n = n_planned(flow)
    with pytest.raises(DispatchRefused, match="public_url"):
        send(flow)
    configure(flow, monkeypatch, public_url="https://shop.example")
    flow.warehouse.execute(
        "alter table ops.verdict add constraint broken check (step <> 'outreach')"
    )
    try:
        with pytest.raises(Exception, match="broken"):
            send(flow)
    finally:
        flow.warehouse.execute("alter table ops.verdict drop constraint broken")
    assert flow.states() == {"planned": n}


@pytest.fixture
def another(flow: MailFlow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a second campaign's texts, which are broken; it comes before the first."""
    shutil.copytree(PROJECT / "campaigns", tmp_path / "campaigns")
    folder = tmp_path / "campaigns" / "templates"
    shutil.copytree(folder / CAMPAIGN, folder / "another")
    (folder / "another" / "body.de.txt").write_text("{{ nonsense }}", encoding="utf-8")
    first = (tmp_path / "campaigns" / f"{CAMPAIGN}.yaml").read_text(encoding="utf-8")
    second = first.replace(f"template: {CAMPAIGN}", "template: another")
    assert second != first
    (tmp_path / "campaigns" / "another.yaml").write_text(second, encoding="utf-8")
    configure(flow, monkeypatch, campaigns=tmp_path / "campaigns")
    flow.warehouse.execute(
        "insert into ops.campaign (campaign_id, definition) values ('another', '{}')"
    )
    return folder / "another"


@pytest.mark.usefixtures("another")
def test_a_campaign_that_is_wrong_keeps_no_other_from_being_sent(flow: MailFlow) -> None:
    n = n_planned(flow)
    with pytest.raises(CampaignError, match=r"^another: .*body\.de\.txt.*nonsense"):
        send(flow)
    assert flow.states() == {"accepted": n}


@pytest.mark.usefixtures("another")
def test_the_lists_of_the_others_are_written_before_the_task_fails(flow: MailFlow) -> None:
    n = n_planned(flow)
    path = settings().home / "lists" / AS_OF.isoformat() / f"{CAMPAIGN}.csv"
    path.unlink(missing_ok=True)
    with pytest.raises(CampaignError, match=r"^another: "):
        run_task_outreach(flow)
    assert len(path.read_text(encoding="utf-8").splitlines()) == n + 1


@pytest.mark.usefixtures("another")
def test_all_campaigns_that_are_wrong_are_named(flow: MailFlow) -> None:
    n = n_planned(flow)
    flow.sandbox.fault("bad_recipient_400", requests=1000)
    with pytest.raises(CampaignError, match=r"^another: .*; welcome_back: .*rejected 10 messages"):
        send(flow)
    assert flow.states() == {"planned": n - 10, "rejected": 10}


@pytest.mark.usefixtures("another")
def test_what_is_wrong_with_a_campaign_that_does_not_run_holds_up_nobody(flow: MailFlow) -> None:
    n = n_planned(flow)
    with warehouse.connect("sender") as connection:
        campaign_state.decide(connection, "another", Decision("cancel", "nonsense", "ann"))
    assert send(flow)["accepted"] == n
