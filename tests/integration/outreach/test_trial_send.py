"""Test mails to oneself: like those to customers, but outside the ledger and without effect."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable

import httpx
import pytest

from tests.mail_flow import CAMPAIGN, MailFlow, configure, event, n_planned
from winback import __main__ as command
from winback.errors import DispatchRefused
from winback.outreach.message import SHAPES
from winback.outreach.trial_send import send_to_oneself
from winback.record.events import record
from winback.settings import settings

ME = "zyxcanary@shop.example"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Runs `./winback outreach …`; gives exit code, output and error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["winback", "outreach", *arguments])
        capsys.readouterr()
        code = command.main()
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False)


def newest_mails(flow: MailFlow, n: int) -> list[str]:
    """The pages that show the mails which arrived last."""
    page = get(flow.sandbox.url).text
    numbers = sorted({int(each) for each in re.findall(r"/messages/(\d+)", page)})
    return [get(f"{flow.sandbox.url}/messages/{each}").text for each in numbers[-n:]]


def ledger(flow: MailFlow) -> list[tuple[object, ...]]:
    return flow.warehouse.execute(
        "select (select count(*) from ops.outreach), (select count(*) from ops.verdict),"
        " (select count(*) from ops.suppression), (select count(*) from ops.contact_preference),"
        " (select count(*) from ops.delivery_tally)"
    )


def test_every_mail_comes_to_me_and_the_ledger_knows_nothing_of_it(
    flow: MailFlow, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    n, before, counted = n_planned(flow), ledger(flow), flow.sandbox.counts()
    # neither a snapshot nor a running campaign is needed
    flow.warehouse.execute("update ops.campaign set state = 'paused'")
    code, out, err = call("test", CAMPAIGN, "--to", ME)
    assert (code, err) == (0, "")
    assert f"{len(SHAPES)} mails were taken" in out
    assert flow.sandbox.counts()["accepted"] - counted["accepted"] == len(SHAPES)
    mails = newest_mails(flow, len(SHAPES))
    assert sum("[Test] We" in each and "love to see you again" in each for each in mails) == 4
    assert sum("[Test] Wir würden Sie gern wiedersehen" in each for each in mails) == 4
    for each in mails:
        assert "List-Unsubscribe-Post" in each
        assert ME in each
    assert (ledger(flow), n_planned(flow)) == (before, n)
    assert ME not in caplog.text
    assert ME not in out


def test_its_links_say_that_it_was_a_test_and_change_nothing(flow: MailFlow) -> None:
    before = ledger(flow)
    send_to_oneself(CAMPAIGN, ME, settings())
    [mail] = newest_mails(flow, 1)
    [token] = set(re.findall(r"/winback/(?:unsubscribe|preferences)/(\w+)", mail))
    for page in ("unsubscribe", "preferences"):
        url = f"{flow.web_url}/winback/{page}/{token}"
        posted = httpx.post(url, data={"List-Unsubscribe": "One-Click"}, trust_env=False)
        for answer in (get(url), posted):
            assert answer.status_code == 200
            assert "It came from a test mail" in answer.text
            assert "<form" not in answer.text
        german = httpx.get(url, headers={"Accept-Language": "de"}, trust_env=False)
        assert "Er stammt aus einer Test-E-Mail" in german.text
    assert ledger(flow) == before


def test_its_events_move_nothing(flow: MailFlow) -> None:
    send_to_oneself(CAMPAIGN, ME, settings())
    flow.sandbox.wait_for_events()
    before, states = ledger(flow), flow.states()
    assert record()["delivered"] == len(SHAPES)
    [token] = set(re.findall(r"/winback/unsubscribe/(\w+)", newest_mails(flow, 1)[0]))
    flow.post([event("bounce", token, email=ME, status="5.1.1")])
    record()
    assert (ledger(flow), flow.states()) == (before, states)


@pytest.mark.parametrize(
    "address", ["", "zyx", "zyx@", "zyx@localhost", "zy x@shop.example", "zyx@shop.example,b@c.de",
                "Zyx <zyx@shop.example>", "zyxü@shop.example", "zyx@shop.example\nBcc: b@c.de"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_being_repeated(
    flow: MailFlow, call: Call, address: str
) -> None:
    before = flow.sandbox.counts()["requests"]
    code, _, err = call("test", CAMPAIGN, "--to", address)
    assert (code, err) == (1, "--to is no e-mail address: write it like you@shop.example\n")
    assert flow.sandbox.counts()["requests"] == before
    log = (settings().home / "logs" / "winback.log").read_text(encoding="utf-8")
    assert "DispatchRefused" in log
    assert "zyx" not in log.lower()


def test_what_the_provider_refuses_is_told_with_the_mend(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says() -> str:
        with pytest.raises(DispatchRefused) as error:
            send_to_oneself(CAMPAIGN, ME, settings())
        assert ME not in str(error.value)
        return str(error.value)

    flow.sandbox.fault("bad_recipient_400")
    assert "does not take this address (HTTP 400 in personalizations.to.email)" in says()
    flow.sandbox.fault("rate_limit_429", seconds=600)
    assert re.search(r"asks to wait: try again in \d+ s \(0 of 8 mails were sent\)", says())
    flow.sandbox.fault("error_500")
    assert "no clear answer (HTTP 500): look into your inbox" in says()
    configure(flow, monkeypatch, sendgrid_api_key="SG.wrong")
    assert "refuses to send (HTTP 401): set WINBACK_SENDGRID_API_KEY" in says()
    configure(flow, monkeypatch, sendgrid_url="http://127.0.0.1:9")
    assert "can not be reached (ConnectionRefusedError): check sendgrid_url" in says()


def test_what_allows_no_mail_allows_no_test(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    before = flow.sandbox.counts()["requests"]
    assert "there is no campaign 'spring'" in call("test", "spring", "--to", ME)[2]
    configure(flow, monkeypatch, sender_postal_address="")
    assert "set sender_name, sender_email and" in call("test", CAMPAIGN, "--to", ME)[2]
    configure(flow, monkeypatch, sender_postal_address="1 Example Street", sendgrid_api_key="")
    assert "set WINBACK_SENDGRID_API_KEY" in call("test", CAMPAIGN, "--to", ME)[2]
    configure(flow, monkeypatch, sendgrid_api_key="x", replay=False, mail_transport="sendgrid")
    assert "public_url must be an https address" in call("test", CAMPAIGN, "--to", ME)[2]
    # the register of recipients names no contract with this provider
    configure(
        flow, monkeypatch, public_url="https://shop.example", sendgrid_url="https://mail.example"
    )
    code, _, err = call("test", CAMPAIGN, "--to", ME)
    assert code == 1
    assert "recipients" in err
    assert flow.sandbox.counts()["requests"] == before
