"""Bounces and spam reports of all mail together stop every campaign that runs."""

from __future__ import annotations

import pytest

from tests.bounces import accepted, campaign, resume, tell
from tests.mail_flow import AS_OF, CAMPAIGN, MailFlow, configure, event, n_planned, send
from tests.night import quiet_now
from winback.outreach import campaign_state, delivery_trouble
from winback.outreach.decisions import Decision
from winback.record.events import record
from winback.select.selection import select
from winback.settings import settings
from winback.warehouse import connection as warehouse


def another_campaign(flow: MailFlow, n_accepted: int, n_bounced: int, n_spam: int = 0) -> None:
    """One that runs, with sums of its own."""
    flow.warehouse.execute("insert into ops.campaign (campaign_id, definition) values ('b', '{}')")
    flow.warehouse.execute(
        "insert into ops.delivery_tally (campaign_id, n_accepted, n_bounced, n_spam_reports)"
        " values ('b', %s, %s, %s)",
        (n_accepted, n_bounced, n_spam),
    )


def look(flow: MailFlow) -> dict[str, str]:
    """What runs after a look at the sums, or why it does not."""
    with warehouse.connect("sender") as connection:
        delivery_trouble.stop_if_needed(connection, settings())
    return dict(
        flow.warehouse.execute("select campaign_id, coalesce(state_reason, '') from ops.campaign")
    )


def test_campaigns_that_are_in_no_trouble_alone_stop_together(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, stop_after_messages=100, stop_at_bounce_pct=10)
    another_campaign(flow, 60, 9)
    assert look(flow) == {CAMPAIGN: "", "b": ""}
    flow.warehouse.execute(
        "insert into ops.delivery_tally (campaign_id, n_accepted, n_bounced) values (%s, 50, 2)",
        (CAMPAIGN,),
    )
    reasons = look(flow)
    for name in (CAMPAIGN, "b"):
        assert reasons[name].startswith(
            "in the last 7 days, of all mail together, 11 of 110 messages bounced (10.00 %,"
        )
        assert reasons[name].endswith(f"./winback outreach resume {name}")
    # whoever resumes one of them knows of all that came before
    resume()
    assert look(flow)[CAMPAIGN] == ""


def test_what_was_long_ago_counts_for_no_sender(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, stop_after_messages=100, stop_at_bounce_pct=10)
    another_campaign(flow, 100, 9)
    flow.warehouse.execute("update ops.delivery_tally set sent_at = now() - interval '8 days'")
    flow.warehouse.execute(
        "insert into ops.delivery_tally (campaign_id, n_accepted, n_bounced) values (%s, 1, 1)",
        (CAMPAIGN,),
    )
    assert look(flow) == {CAMPAIGN: "", "b": ""}


@pytest.mark.parametrize("word", ["bounce", "spamreport"])
def test_mails_that_ask_for_a_consent_count_for_the_sender(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    configure(
        flow, monkeypatch, stop_after_messages=10, stop_at_bounce_pct=20,
        stop_at_spam_report_pct=20,
    )  # fmt: skip
    flow.warehouse.execute(
        "insert into ops.consent_text (text_version, channel, purpose, language, advertiser,"
        " content) values ('v', 'email', 'marketing', 'en', 'x', 'x') on conflict do nothing"
    )
    asked = flow.warehouse.execute(
        "insert into ops.opt_in_request (customer_key, address_hash, channel, purpose,"
        " text_version, source, requested_by, expires_at, state)"
        " select 'k' || n, 'a' || n, 'email', 'marketing', 'v', 'checkout', 'ann', now(),"
        " 'accepted' from generate_series(1, 3) as n returning request_id"
    )
    first, second, third = (request_id for (request_id,) in asked)
    try:
        # a full mailbox, or one that a server refuses for now, is no dead address
        tell(flow, event(word, first), event("bounce", third, type="blocked"))
        assert campaign(flow)[0] == "running"
        tell(flow, event(word, first), event(word, second))
        state, reason = campaign(flow)
    finally:
        flow.warehouse.execute("truncate ops.event")
        flow.warehouse.execute("truncate ops.opt_in_request cascade")
    assert state == "stopped"
    assert "of all mail together, 2 of 3 messages" in (reason or "")


def test_bounces_count_with_the_messages_they_belong_to(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person resumes another campaign, and what they knew nothing of is told only then."""
    n = n_planned(flow)
    configure(flow, monkeypatch, stop_after_messages=4, stop_at_bounce_pct=50)
    assert send(flow)["accepted"] == n >= 8
    dead = accepted(flow)[:3]
    flow.warehouse.execute(
        "insert into ops.campaign (campaign_id, definition, state) values ('b', '{}', 'paused')"
    )
    with warehouse.connect("sender") as connection:
        campaign_state.decide(connection, "b", Decision("resume", "price mended", "ann"))
    flow.warehouse.execute(
        "insert into ops.delivery_tally (campaign_id, n_accepted) values ('b', 4)"
    )
    # three of many, and not of the four that were sent since
    tell(flow, *[event("bounce", each, status="5.1.1") for each in dead])
    assert look(flow) == {CAMPAIGN: "", "b": ""}
    # those of the four do count
    flow.warehouse.execute(
        "insert into ops.delivery_tally (campaign_id, n_bounced) values ('b', 2)"
    )
    assert look(flow)["b"].startswith("2 of 4 messages bounced")


def test_another_version_of_the_file_is_no_new_stop(flow: MailFlow) -> None:
    """Whoever mends the file of a campaign that stopped earlier is not told of it as of news."""
    with warehouse.connect("sender") as connection:
        campaign_state.stop(connection, {CAMPAIGN: "too many bounces"})
    [(stopped_at,)] = flow.warehouse.execute("select updated_at from ops.campaign")
    flow.warehouse.execute("update ops.campaign set definition = '{}'")
    select(flow.snapshot_id, AS_OF)
    assert flow.warehouse.execute("select definition <> '{}', updated_at from ops.campaign") == [
        (True, stopped_at)
    ]


@pytest.mark.parametrize("some_wait", [False, True])
def test_what_waits_at_the_provider_hides_no_bounce_of_what_was_sent(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch, some_wait: bool
) -> None:
    n = n_planned(night)
    limits = {"stop_after_messages": 1, "stop_at_bounce_pct": 20}
    configure(night, monkeypatch, ramp_up_first_portion=5, quiet_hours="", **limits)
    assert send(night)["accepted"] == 5
    night.sandbox.wait_for_events()
    record()
    sent = night.warehouse.execute(
        "select message_id from ops.outreach where accepted_at is not null order by 1"
    )
    if some_wait:
        night.warehouse.execute(
            "update ops.outreach set is_dormant = false where state = 'planned'"
        )
        configure(night, monkeypatch, quiet_hours=quiet_now(), **limits)
        assert send(night)["accepted"] == n - 5
    # of the five that have left: 40 %
    told = [event("bounce", message_id, type="bounce") for (message_id,) in sent[:2]]
    assert night.post(told) < 300
    record()
    [(state, reason)] = night.warehouse.execute("select state, state_reason from ops.campaign")
    assert state == "stopped"
    # of the campaign's own
    assert reason.startswith("2 of 5 messages bounced (40.00 %")
    # and what waited is taken back
    assert night.states()["accepted"] == 0
