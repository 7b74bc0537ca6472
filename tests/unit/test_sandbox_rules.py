"""Which requests the sandbox refuses like the provider, and what becomes of those it takes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from winback.sandbox import loopback
from winback.sandbox.journal import Unanswered
from winback.sandbox.request_rules import problems
from winback.sandbox.simulation import Rates, fate


def request(**changes: Any) -> dict[str, Any]:
    return {
        "personalizations": [{"to": [{"email": "ada@example.com"}]}],
        "from": {"email": "shop@example.com"},
        "subject": "Hello",
        "content": [{"type": "text/plain", "value": "Hello"}],
    } | changes


def person(**changes: Any) -> dict[str, Any]:
    return {"personalizations": [{"to": [{"email": "ada@example.com"}]} | changes]}


def test_a_good_request_has_no_problems() -> None:
    assert problems(request()) == []
    assert problems(request(**person(custom_args={"message_id": "1"}))) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"personalizations": []}, "personalizations"),
        (person(to=[]), "personalizations.0.to"),
        (person(to=[{"email": "ada@example"}]), "personalizations.0.to.0.email"),
        (person(cc=[{"email": "ADA@example.com"}]), "personalizations.0"),
        (person(custom_args={"message_id": 1}), "personalizations.0.custom_args.message_id"),
        (person(custom_args={"a": "x" * 10_001}), "personalizations.0.custom_args"),
        (person(substitutions={"a": "x" * 10_001}), "personalizations.0.substitutions"),
        (person(headers={"Subject": "other"}), "personalizations.0.headers.Subject"),
        (person(headers={"X-A": "1\r\nBcc: x@example.com"}), "personalizations.0.headers.X-A"),
        ({"from": {"email": "shop"}}, "from.email"),
        ({"reply_to": {"email": "shop"}}, "reply_to.email"),
        ({"subject": ""}, "subject"),
        ({"content": []}, "content"),
        ({"content": [{"type": "text/html", "value": ""}]}, "content.0.value"),
        ({"categories": [str(i) for i in range(11)]}, "categories"),
        ({"categories": ["a", "a"]}, "categories"),
        ({"send_at": "tomorrow"}, "send_at"),
        ({"batch_id": 7}, "batch_id"),
        ({"asm": 7}, "asm"),
        ({"asm": {"group_id": "7"}}, "asm.group_id"),
        ({"mail_settings": {"sandbox_mode": True}}, "mail_settings.sandbox_mode"),
    ],
)
def test_a_bad_request_is_refused_naming_the_field(changes: dict[str, Any], field: str) -> None:
    assert [problem.field for problem in problems(request(**changes))] == [field]


@pytest.mark.parametrize("payload", [None, [], "text", {"sender": 1}])
def test_what_is_no_request_at_all_is_refused(payload: Any) -> None:
    assert problems(payload)


def accepted(number: int, **tracking: bool) -> Unanswered:
    switches = {"has_open_tracking": False, "has_click_tracking": False} | tracking
    return Unanswered(
        id=number,
        message_id=f"m-{number}",
        sg_message_id=f"s-{number}",
        provider_id="p",
        address=f"customer-{number}@example.com",
        headers={},
        custom_args={"message_id": f"m-{number}"},
        categories=[],
        **switches,
    )


def test_fates_come_about_as_often_as_their_rates_say() -> None:
    rates = Rates()
    n = 100_000
    fates = [fate(accepted(i), rates, 0) for i in range(n)]
    kinds = Counter(event["event"] for each in fates for event in each.events)
    expected = {
        "bounce": rates.bounce_pct,
        "spamreport": rates.spamreport_pct,
        "deferred": rates.deferred_pct,
        "dropped": rates.dropped_pct,
        "processed": 100 - rates.dropped_pct,
        "delivered": 100 - rates.dropped_pct - rates.bounce_pct,
    }
    assert kinds.keys() == expected.keys(), "no opens or clicks unless the request tracks them"
    for kind, pct in expected.items():
        # five standard deviations of a Poisson count; the draws are hashes, so it never flickers
        assert kinds[kind] == pytest.approx(n * pct / 100, abs=5 * (n * pct / 100) ** 0.5), kind
    n_leaving = sum(each.is_unsubscribing for each in fates)
    assert n_leaving == pytest.approx(n * rates.unsubscribe_pct / 100, rel=0.25)


def test_a_fate_repeats_exactly_and_events_have_the_ids_of_their_message() -> None:
    first = fate(accepted(1), Rates(), 7)
    assert fate(accepted(1), Rates(), 7) == first
    assert first.events[0]["sg_event_id"] != fate(accepted(2), Rates(), 7).events[0]["sg_event_id"]


def test_the_same_people_meet_the_same_fate_in_every_installation() -> None:
    def story(recipient: Unanswered) -> tuple[list[str], bool]:
        told = fate(recipient, Rates(bounce_pct=50, unsubscribe_pct=50), 0)
        return [event["event"] for event in told.events], told.is_unsubscribing

    here = [accepted(i) for i in range(200)]
    elsewhere = [
        replace(each, id=i + 900, message_id=f"x-{i}", sg_message_id=f"y-{i}", provider_id="q")
        for i, each in enumerate(here)
    ]
    assert [story(each) for each in here] == [story(each) for each in elsewhere]
    other_campaign = [replace(each, categories=["autumn"]) for each in here]
    assert [story(each) for each in here] != [story(each) for each in other_campaign]


@pytest.mark.parametrize(
    ("rates", "events", "state"),
    [
        (Rates(bounce_pct=100), ["processed", "bounce"], "bounce"),
        (Rates(0, 100), ["processed", "delivered", "spamreport"], "spamreport"),
        (Rates(0, 0, 100), ["processed", "deferred", "delivered"], "delivered"),
        (Rates(0, 0, 0, 100), ["dropped"], "dropped"),
    ],
)
def test_each_fate_tells_its_story_in_order(rates: Rates, events: list[str], state: str) -> None:
    told = fate(accepted(1), rates, 0)
    assert [event["event"] for event in told.events] == events
    assert told.state == state


def test_opens_and_clicks_only_where_they_are_tracked() -> None:
    rates = Rates(0, 0, 0, 0, open_pct=100, click_pct=100)
    tracked = fate(accepted(1, has_open_tracking=True, has_click_tracking=True), rates, 0)
    assert [e["event"] for e in tracked.events] == ["processed", "delivered", "open", "click"]
    assert len(fate(accepted(1), rates, 0).events) == 2


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:8080/x", True),
        ("http://localhost/x", True),
        ("http://[::1]/x", True),
        ("http://example.com/x", False),
        ("http://127.0.0.1.example.com/x", False),
        ("http://127.0.0.1@example.com/x", False),
        ("http://localhost.example.com/x", False),
        ("ftp://127.0.0.1/x", False),
        ("http://[broken/x", False),
        ("", False),
    ],
)
def test_only_this_machine_is_posted_to(url: str, is_here: bool) -> None:
    assert loopback.is_loopback(url) == is_here
    if not is_here:
        with loopback.client() as http, pytest.raises(ValueError, match="this machine only"):
            loopback.post(http, url, b"", {})


def test_a_redirect_could_lead_elsewhere_and_is_not_followed() -> None:
    with loopback.client() as http:
        assert not http.follow_redirects
        assert not http.trust_env
