"""The links of messages: confirming a consent, choosing channels and how often, unsubscribing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from tests.conftest import SandboxFactory, WarehouseFactory
from tests.mail_flow import AS_OF, MailFlow, configure, event, mail_flow, send
from tests.small_shop import small_shop
from winback import outreach_cli
from winback.consent_cli import app
from winback.errors import DispatchRefused
from winback.kpi.snapshot import write_snapshots
from winback.outreach.sendgrid_transport import SendGridTransport
from winback.outreach.unknown_messages import read_unknown_requests
from winback.privacy import country_rules
from winback.privacy.keyed_hash import customer_key
from winback.privacy.opt_in_request import ask
from winback.record import opt_in, unsubscribe
from winback.record.events import record
from winback.select.selection import select
from winback.settings import settings
from winback.warehouse import connection
from winback.web.app import create_app

ASKED, OTHER, REFUSING, GERMAN = "asked", "other", "refusing", "german"
LIKE_A_SCANNER = {"User-Agent": "link scanner"}


@pytest.fixture(scope="module")
def built(
    warehouse_factory: WarehouseFactory, sandbox_factory: SandboxFactory
) -> Iterator[MailFlow]:
    shop = small_shop(Path("set by mail_flow"), AS_OF)
    for name in (ASKED, OTHER, REFUSING, GERMAN):
        shop.add(name, 300, locale="de_DE" if name == GERMAN else "en_GB")
        shop.consents.pop()
    with mail_flow(warehouse_factory, sandbox_factory, shop=shop) as flow:
        yield flow


@pytest.fixture
def flow(built: MailFlow) -> MailFlow:
    built.warehouse.execute(
        "truncate ops.event, ops.opt_in_request, ops.consent_text, ops.contact_preference"
        " restart identity"
    )
    built.restart()
    return built


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, headers=headers)


def post(url: str, data: dict[str, Any] | None = None) -> httpx.Response:
    return httpx.post(url, data=data, trust_env=False)


def opt_in_url(flow: MailFlow, request_id: Any) -> str:
    return f"{flow.web_url}/winback/opt-in/{opt_in.token(request_id)}"


def newest_mail(flow: MailFlow) -> str:
    """The page that shows the mail which arrived last."""
    page = get(flow.sandbox.url).text
    number = max(int(n) for n in re.findall(r"/messages/(\d+)", page))
    return get(f"{flow.sandbox.url}/messages/{number}").text


def verdict(flow: MailFlow, name: str) -> tuple[list[str], str | None]:
    """The reasons and the ground of what is said about a customer now."""
    [row] = flow.warehouse.execute(
        "select reasons, evidence ->> 'ground' from ops.eligibility(%s,"
        " array['infinity'::timestamptz], '', 'email', %s, now(), 24, 0)",
        ([customer_key("shop", name)], AS_OF),
    )
    return row


# Double opt-in


def test_a_consent_is_asked_for_confirmed_and_proved(flow: MailFlow) -> None:
    assert verdict(flow, ASKED) == (["consent_missing"], None)
    before = flow.sandbox.counts()["accepted"]
    done = CliRunner().invoke(app, ["request", ASKED, "--source", "form at the till"])
    assert done.exit_code == 0, done.output
    assert "the link works until" in done.output
    assert flow.sandbox.counts()["accepted"] - before == 1
    [(request_id, state, days)] = flow.warehouse.execute(
        "select request_id, state, expires_at::date - requested_at::date from ops.opt_in_request"
    )
    assert (state, days) == ("accepted", 14)
    url = opt_in_url(flow, request_id)
    assert url in newest_mail(flow)
    # what programs open by themselves agrees to nothing
    for _ in range(2):
        page = get(url, **LIKE_A_SCANNER)
        assert page.status_code == 200
        assert "I agree that Example Shop sends me news" in page.text
        assert page.text.count('<form method="post">') == 1
    assert httpx.head(url, trust_env=False).status_code == 405
    assert verdict(flow, ASKED) == (["consent_missing"], None)
    assert "You have agreed to this" in post(url).text
    [confirmed] = flow.warehouse.execute("select confirmed_at from ops.opt_in_request")
    assert "You have agreed to this" in post(url).text
    assert flow.warehouse.execute("select confirmed_at from ops.opt_in_request") == [confirmed]
    assert "<form" not in get(url).text
    assert verdict(flow, ASKED) == ([], "consent")
    [proof] = flow.warehouse.execute(
        "select r.source, r.requested_at <= r.confirmed_at, r.address_hash = c.email_hash,"
        " t.advertiser, t.purpose, t.channel, t.content like 'I agree%%', r.requested_by <> ''"
        " from ops.opt_in_request as r inner join ops.consent_text as t using (text_version)"
        " inner join raw.customers as c using (customer_key)"
    )
    assert proof == (
        "form at the till", True, True, "Example Shop", "marketing", "email", True, True,
    )  # fmt: skip


def test_nobody_is_asked_twice_and_nobody_who_agreed(flow: MailFlow) -> None:
    before = flow.sandbox.counts()["accepted"]
    first = ask(OTHER, "marketing", "phone call", "test")
    with pytest.raises(DispatchRefused, match=r"was asked on .* has not answered: ask after"):
        ask(OTHER, "marketing", "phone call", "test")
    # a consent for surveys is another one
    ask(OTHER, "survey", "phone call", "test")
    flow.warehouse.execute(
        "update ops.opt_in_request set requested_at = now() - interval '91 days'"
    )
    again = ask(OTHER, "marketing", "phone call", "test")
    assert again.request_id != first.request_id
    assert flow.sandbox.counts()["accepted"] - before == 3
    post(opt_in_url(flow, again.request_id))
    flow.warehouse.execute(
        "update ops.opt_in_request set requested_at = now() - interval '91 days'"
    )
    with pytest.raises(DispatchRefused, match="has agreed already"):
        ask(OTHER, "marketing", "phone call", "test")
    with pytest.raises(DispatchRefused, match="has agreed already"):
        ask("lapsed-00", "marketing", "phone call", "test")


def test_who_agreed_to_marketing_may_be_asked_for_surveys(flow: MailFlow) -> None:
    with pytest.raises(DispatchRefused, match="has agreed already"):
        ask("lapsed-00", "marketing", "phone call", "test")
    request = ask("lapsed-00", "survey", "phone call", "test")
    assert request.state == "accepted"
    post(opt_in_url(flow, request.request_id))
    flow.warehouse.execute(
        "update ops.opt_in_request set requested_at = now() - interval '91 days'"
    )
    with pytest.raises(DispatchRefused, match="has agreed already"):
        ask("lapsed-00", "survey", "phone call", "test")


def test_the_verdict_on_a_request_is_kept_also_of_who_is_refused(flow: MailFlow) -> None:
    flow.warehouse.execute("truncate ops.verdict")
    ask(OTHER, "marketing", "phone call", "test")
    key = customer_key("shop", "lapsed-01")
    died = "update raw.customers set is_deceased = %s where customer_key = %s"
    flow.warehouse.execute(died, (True, key))
    try:
        with pytest.raises(DispatchRefused, match=r"may not be asked: deceased$"):
            ask("lapsed-01", "survey", "phone call", "test")
    finally:
        flow.warehouse.execute(died, (None, key))
    assert flow.warehouse.execute(
        "select customer_key, campaign_id, step, is_eligible, reasons, evidence ->> 'purpose'"
        " from ops.verdict order by verdict_id"
    ) == [
        (customer_key("shop", OTHER), "", "opt_in", True, [], "marketing"),
        (key, "", "opt_in", False, ["deceased"], "survey"),
    ]


def test_who_took_marketing_back_is_not_asked_for_surveys(flow: MailFlow) -> None:
    key = customer_key("shop", "lapsed-01")
    took_back = "update raw.consents set withdrawn_at = %s where customer_key = %s"
    flow.warehouse.execute(took_back, ("2026-02-01", key))
    try:
        for purpose in ("marketing", "survey"):
            with pytest.raises(DispatchRefused, match="consent_withdrawn"):
                ask("lapsed-01", purpose, "phone call", "test")
    finally:
        flow.warehouse.execute(took_back, (None, key))


def test_a_link_runs_out(flow: MailFlow) -> None:
    asked = ask(ASKED, "marketing", "till", "test")
    flow.warehouse.execute("update ops.opt_in_request set expires_at = now()")
    url = opt_in_url(flow, asked.request_id)
    for answer in (get(url), post(url)):
        assert (answer.status_code, "<form" in answer.text) == (410, False)
    assert flow.warehouse.execute("select confirmed_at from ops.opt_in_request") == [(None,)]
    for text in ("x", opt_in.token(flow.message()[0]), unsubscribe.token(asked.request_id)):
        assert post(f"{flow.web_url}/winback/opt-in/{text}").status_code == 404


def test_who_does_not_want_to_be_asked_says_so_by_the_same_mail(flow: MailFlow) -> None:
    asked = ask(REFUSING, "marketing", "till", "test")
    url = f"{flow.web_url}/winback/unsubscribe/{unsubscribe.token(asked.request_id)}"
    assert url in newest_mail(flow)
    assert get(url).status_code == 200
    assert flow.warehouse.execute("select count(*) from ops.suppression") == [(0,)]
    assert post(url).status_code == 200
    # the address alone: whoever reads it may not be the customer who gave it
    assert flow.warehouse.execute("select scope, reason, customer_key from ops.suppression") == [
        ("address", "unsubscribe", None)
    ]
    # and a click on the other link of that mail brings nothing any more
    post(opt_in_url(flow, asked.request_id))
    assert verdict(flow, REFUSING)[0] == ["suppressed"]
    flow.warehouse.execute("truncate ops.opt_in_request cascade")
    with pytest.raises(DispatchRefused, match="may not be asked: suppressed"):
        ask(REFUSING, "marketing", "till", "test")


def test_the_language_is_the_customers(flow: MailFlow) -> None:
    asked = ask(GERMAN, "marketing", "till", "test")
    assert "Bitte bestätigen Sie Ihre Einwilligung" in newest_mail(flow)
    assert "Ich willige ein" in get(opt_in_url(flow, asked.request_id)).text


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
    ("customer", "purpose", "source", "says"),
    [
        ("nobody", "marketing", "till", "there is no such customer"),
        (ASKED, "profiling", "till", "is no purpose: write one of marketing, survey"),
        (ASKED, "marketing", " ", "say where the customer asked for it"),
    ],
)
def test_a_wrong_request_is_refused(
    flow: MailFlow, customer: str, purpose: str, source: str, says: str
) -> None:
    with pytest.raises(DispatchRefused, match=says):
        ask(customer, purpose, source, "test")
    assert flow.warehouse.execute("select count(*) from ops.opt_in_request") == [(0,)]


def test_really_sending_needs_https_and_a_contract(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = {"mail_transport": "sendgrid", "replay": False, "public_url": "https://shop.example"}
    configure(flow, monkeypatch, sendgrid_url="https://api.sendgrid.com")
    with pytest.raises(DispatchRefused, match="sendgrid_url is not on this machine"):
        ask(ASKED, "marketing", "till", "test")
    configure(flow, monkeypatch, sendgrid_url="http://mail.example", **real)
    with pytest.raises(DispatchRefused, match="sendgrid_url is not https"):
        ask(ASKED, "marketing", "till", "test")
    configure(flow, monkeypatch, sendgrid_url="https://api.sendgrid.com", **real)
    with pytest.raises(DispatchRefused, match="names no contract with the mail provider"):
        ask(ASKED, "marketing", "till", "test")
    assert flow.warehouse.execute("select count(*) from ops.opt_in_request") == [(0,)]


# Wishes

ALL = ["email", "phone", "letter", "ads"]


def test_the_page_shows_and_stores_what_the_customer_wishes(flow: MailFlow) -> None:
    message_id, _, _ = flow.message()
    send(flow)
    [(address,)] = flow.warehouse.execute(
        "select 'preferences/' || %s", (unsubscribe.token(message_id),)
    )
    url = f"{flow.web_url}/winback/{address}"
    for _ in range(2):
        page = get(url, **LIKE_A_SCANNER)
        assert page.status_code == 200
        assert page.text.count(" checked") == 6  # four channels, no pause, anyone
    assert "Wie oft höchstens" in get(url, **{"Accept-Language": "de-CH"}).text
    assert flow.warehouse.execute("select count(*) from ops.contact_preference") == [(0,)]
    form = {"channel": ["email", "letter"], "pause": "91", "who": "contact_person"}
    saved = post(url, form)
    assert (saved.status_code, "Saved" in saved.text) == (200, True)
    rows = (
        "select channel, is_wanted, pause_days, is_by_contact_person from ops.contact_preference"
        " order by preference_id"
    )
    stored = [(channel, channel in form["channel"], 91, True) for channel in ALL]
    assert flow.warehouse.execute(rows) == stored
    # a second press is the same wish
    post(url, form)
    assert flow.warehouse.execute(rows) == stored
    page = get(url).text
    for checked in ("email", "letter", "91", "contact_person"):
        assert f'value="{checked}" checked' in page
    for other in ("phone", "ads", "any", "anyone"):
        assert f'value="{other}" checked' not in page


def test_a_channel_that_is_not_wanted_stops_what_is_planned_and_comes_back_by_a_tick(
    flow: MailFlow,
) -> None:
    n = flow.states()["planned"]
    message_id, customer, _ = flow.message()
    url = f"{flow.web_url}/winback/preferences/{unsubscribe.token(message_id)}"
    post(url, {"channel": ["phone"], "pause": "any", "who": "anyone"})
    assert flow.states() == {"planned": n - 1, "cancelled": 1}
    assert flow.reasons()["channel_not_wanted"] == 1
    flow.warehouse.execute("truncate ops.outreach, ops.assignment, ops.verdict cascade")
    select(flow.snapshot_id, AS_OF)
    said = "select reasons from ops.verdict where customer_key = %s order by verdict_id desc"
    assert flow.warehouse.execute(said, (customer,))[0] == (["channel_not_wanted"],)
    flow.restart()
    url = f"{flow.web_url}/winback/preferences/{unsubscribe.token(flow.message()[0])}"
    post(url, {"channel": ALL, "pause": "any", "who": "anyone"})


def test_a_wish_is_heeded_by_the_last_check(flow: MailFlow) -> None:
    n = flow.states()["planned"]
    message_id, _, _ = flow.message()
    url = f"{flow.web_url}/winback/preferences/{unsubscribe.token(message_id)}"
    post(url, {"channel": ALL, "pause": "any", "who": "contact_person"})
    assert flow.states() == {"planned": n}
    assert send(flow)["cancelled"] == 1
    assert flow.reasons()["contact_person_only"] == 1


def test_a_source_that_says_no_shows_as_no(flow: MailFlow) -> None:
    message_id, customer, _ = flow.message()
    flow.warehouse.execute(
        "insert into raw.contact_preferences (customer_key, channel, is_wanted, max_per_month,"
        " stated_at, snapshot_id) values (%s, 'phone', false, 1, '2026-01-01', 1)",
        (customer,),
    )
    page = get(f"{flow.web_url}/winback/preferences/{unsubscribe.token(message_id)}").text
    flow.warehouse.execute("truncate raw.contact_preferences")
    assert 'value="phone" checked' not in page
    assert 'value="email" checked' in page
    assert 'value="30" checked' in page


NO_FORM = (
    "", "List-Unsubscribe=One-Click", "channel=email", "channel=email&pause=any",
    "channel=fax&pause=any&who=anyone", "pause=7&who=anyone", "pause=any&who=me",
    "pause=any&pause=30&who=anyone", "pause=any&who=anyone&more=1", "\xff", "a" * 5000,
    "&".join(["channel=email"] * 30),
)  # fmt: skip


def test_a_form_that_is_none_changes_nothing(flow: MailFlow) -> None:
    url = f"{flow.web_url}/winback/preferences/{unsubscribe.token(flow.message()[0])}"
    for body in NO_FORM:
        answer = httpx.post(url, content=body.encode("latin-1"), trust_env=False)
        assert (answer.status_code, "nothing was changed" in answer.text) == (400, True), body
    assert flow.warehouse.execute("select count(*) from ops.contact_preference") == [(0,)]


def test_unknown_links_are_not_found_and_pages_hold_no_script(flow: MailFlow) -> None:
    good = unsubscribe.token(flow.message()[0])
    stranger = unsubscribe.token(ask(ASKED, "marketing", "till", "test").request_id)
    form = {"channel": "email", "pause": "any", "who": "anyone"}
    for text in (good[:-1] + "x", stranger, "x", "%00", "a" * 5000):
        url = f"{flow.web_url}/winback/preferences/{text}"
        assert get(url).status_code == 404, text
        assert post(url, form).status_code == 404, text
    for page in ("preferences", "unsubscribe"):
        answer = get(f"{flow.web_url}/winback/{page}/{good}")
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"


def test_unsubscribing_works_years_after_the_message(flow: MailFlow) -> None:
    message_id, _, _ = flow.message()
    link = f"{flow.web_url}/winback/unsubscribe/{unsubscribe.token(message_id)}"
    send(flow)
    flow.warehouse.execute(
        "update ops.outreach set planned_at = planned_at - interval '3 years',"
        " accepted_at = accepted_at - interval '3 years', as_of = as_of - 1096"
    )
    assert get(link).status_code == 200
    assert post(link).status_code == 200
    assert flow.warehouse.execute("select reason, message_id from ops.suppression") == [
        ("unsubscribe", message_id)
    ]


# What was confirmed or bought allows a campaign to write


@pytest.fixture
def without_consents(flow: MailFlow) -> Iterator[MailFlow]:
    """Nobody has a consent from a source."""
    flow.warehouse.execute("update raw.consents set deleted_at = '2026-01-01'")
    yield flow
    flow.warehouse.execute("update raw.consents set deleted_at = null")
    flow.warehouse.execute("update raw.customers set country = null, address_from_sale_at = null")


def test_existing_customers_are_written_to_and_read_why(without_consents: MailFlow) -> None:
    flow = without_consents
    country_rules.store(country_rules.read(settings().country_rules))
    flow.warehouse.execute(
        "update raw.customers as c set country = 'DE', address_from_sale_at = o.ordered_at,"
        " similar_goods_at = o.ordered_at, opt_out_notice_at = o.ordered_at"
        " from raw.orders as o where o.customer_key = c.customer_key"
    )
    n = flow.restart().n_planned
    assert n > 10
    assert send(flow) == {"accepted": n, "cancelled": 0}
    page = newest_mail(flow)
    assert "bei einem Kauf genannt" in page or "with a purchase on" in page
    assert "eingewilligt" not in page and "because you agreed" not in page
    flow.restart()
    flow.warehouse.execute("update raw.customers set objected_at = '2026-02-01'")
    assert send(flow)["cancelled"] == n
    assert flow.reasons() == {"objected, consent_missing": n}
    flow.warehouse.execute("update raw.customers set objected_at = null")


def test_who_confirmed_by_our_mail_is_written_to(without_consents: MailFlow) -> None:
    flow = without_consents
    flow.warehouse.execute(
        "insert into ops.consent_text (text_version, channel, purpose, language, advertiser,"
        " content) values ('v', 'email', 'marketing', 'en', 'Example Shop', 'I agree')"
    )
    flow.warehouse.execute(
        "insert into ops.opt_in_request (customer_key, address_hash, channel, purpose,"
        " text_version, source, requested_by, requested_at, expires_at, confirmed_at)"
        " select customer_key, email_hash, 'email', 'marketing', 'v', 'till', 'test',"
        " '2025-12-01', '2025-12-15', '2025-12-02' from raw.customers"
    )
    n = flow.restart().n_planned
    assert n > 10
    assert send(flow) == {"accepted": n, "cancelled": 0}
    page = newest_mail(flow)
    assert "1. Dezember 2025" in page or "December 2025" in page
    assert flow.warehouse.execute("select count(*) from ops.consent_use") == [(n,)]


# Commands


def test_the_rules_and_the_register_can_be_looked_at(flow: MailFlow) -> None:
    flow.warehouse.execute("truncate ops.country_rule")
    done = CliRunner().invoke(app, ["rules"])
    assert done.exit_code == 0, done.output
    assert "existing_customer" in done.output
    [(n_rules,)] = flow.warehouse.execute("select count(*) from ops.country_rule")
    assert n_rules == 11
    done = CliRunner().invoke(app, ["recipients"])
    assert done.exit_code == 0, done.output
    assert "mail may leave by" in done.output


# What becomes of a mail that asked


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
