"""A consent is asked for, confirmed by a link, and proved."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from typer.testing import CliRunner

from tests.consent_pages import (
    ASKED,
    GERMAN,
    LIKE_A_SCANNER,
    OTHER,
    REFUSING,
    get,
    newest_mail,
    opt_in_url,
    post,
    verdict,
)
from tests.mail_flow import MailFlow, configure
from winback.consent_cli import app
from winback.errors import DispatchRefused, SettingsError
from winback.privacy.keyed_hash import customer_key
from winback.privacy.opt_in_request import ask
from winback.record import opt_in, unsubscribe


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
    with pytest.raises(DispatchRefused, match=r"was asked on .*: ask after"):
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


@pytest.fixture(params=["one person", "one mailbox"])
def twice(flow: MailFlow, request: pytest.FixtureRequest) -> Iterator[None]:
    """Two customer numbers of one person, or two people of one mailbox."""
    keys = [customer_key("shop", name) for name in (ASKED, OTHER)]
    moved = "update raw.customers set email_hash = %s where customer_key = %s"
    [(other_hash,)] = flow.warehouse.execute(
        "select email_hash from raw.customers where customer_key = %s", (keys[1],)
    )
    if request.param == "one person":
        flow.warehouse.execute(
            "insert into ops.customer_merge"
            " (customer_key, winner_key, evidence, email_hash, merged_as_of)"
            " values (%s, %s, 'email_without_plus_part', 'x', '2026-01-01')",
            (keys[1], keys[0]),
        )
    else:
        flow.warehouse.execute(
            "update raw.customers as c set email_hash = o.email_hash from raw.customers as o"
            " where o.customer_key = %s and c.customer_key = %s",
            tuple(keys),
        )
    yield
    flow.warehouse.execute("truncate ops.customer_merge")
    flow.warehouse.execute(moved, (other_hash, keys[1]))


@pytest.mark.usefixtures("twice")
def test_nobody_is_asked_twice_under_another_number_or_in_another_name(flow: MailFlow) -> None:
    first = ask(ASKED, "marketing", "till", "test")
    for _ in range(2):
        with pytest.raises(DispatchRefused, match="this customer or address was asked on"):
            ask(OTHER, "marketing", "till", "test")
        # which is no answer of the other customer's, and none for the other address
        post(opt_in_url(flow, first.request_id))


@pytest.mark.usefixtures("twice")
def test_two_who_press_at_once_for_one_person_or_mailbox_send_one_mail(flow: MailFlow) -> None:
    before = flow.sandbox.counts()["accepted"]

    def press(name: str) -> bool:
        try:
            return ask(name, "marketing", "till", "test").state == "accepted"
        except DispatchRefused:
            return False

    for _ in range(3):
        flow.warehouse.execute("truncate ops.opt_in_request cascade")
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(press, (ASKED, OTHER) * 2)) == 1
    assert flow.sandbox.counts()["accepted"] - before == 3


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


def test_the_verdict_says_that_somebody_was_asked_or_agreed_already(flow: MailFlow) -> None:
    flow.warehouse.execute("truncate ops.verdict")
    request = ask(OTHER, "marketing", "phone call", "test")
    for customer in (OTHER, "lapsed-00"):
        with pytest.raises(DispatchRefused):
            ask(customer, "marketing", "phone call", "test")
    post(opt_in_url(flow, request.request_id))
    with pytest.raises(DispatchRefused):
        ask(OTHER, "marketing", "phone call", "test")
    assert flow.warehouse.execute(
        "select customer_key, is_eligible, reasons from ops.verdict order by verdict_id"
    ) == [
        (customer_key("shop", OTHER), True, []),
        (customer_key("shop", OTHER), False, ["asked_already"]),
        (customer_key("shop", "lapsed-00"), False, ["agreed_already"]),
        (customer_key("shop", OTHER), False, ["agreed_already"]),
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


def test_nobody_is_asked_from_a_batch_that_did_not_pass_its_gates(flow: MailFlow) -> None:
    [(run_id,)] = flow.warehouse.execute(
        "insert into ops.gate_run (snapshot_id, gate, is_passed, n_expectations, n_failed)"
        " values (%s, 'raw', false, 1, 1) returning gate_run_id",
        (flow.snapshot_id,),
    )
    try:
        with pytest.raises(DispatchRefused, match="has not passed the gates raw and marts"):
            ask(ASKED, "marketing", "till", "test")
    finally:
        flow.warehouse.execute("delete from ops.gate_run where gate_run_id = %s", (run_id,))
    assert flow.warehouse.execute("select count(*) from ops.opt_in_request") == [(0,)]


def test_a_key_that_is_none_leaves_nothing_on_record(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, sendgrid_api_key="SG.cöpied")
    with pytest.raises(SettingsError, match="holds characters that no key has"):
        ask(ASKED, "marketing", "till", "test")
    configure(flow, monkeypatch, sendgrid_api_key=flow.sandbox.api_key)
    assert ask(ASKED, "marketing", "till", "test").state == "accepted"


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
