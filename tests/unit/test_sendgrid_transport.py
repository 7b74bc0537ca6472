"""Every answer of the mail API, and every way of not answering, becomes the right outcome."""

from __future__ import annotations

import errno
import json
import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from tests.conftest import Sandbox, SandboxFactory
from tests.mail_api import Api, dropping, listening, serve
from tests.unit.test_message import ANNA, SENDER, TEMPLATES
from winback.errors import SettingsError
from winback.outreach.message import Mail, compose
from winback.outreach.sendgrid_transport import SendGridTransport, request_body
from winback.server.processes import free_port

MAIL = Mail("Subject", "Text", "<p>Html</p>")
KEY = "SG.test"
REQUEST = request_body(MAIL, [ANNA], SENDER, "spring")


@pytest.fixture
def api() -> Iterator[Api]:
    with serve(Api()) as served:
        yield served


def transport(url: str, timeout: float = 10) -> SendGridTransport:
    return SendGridTransport(url, KEY, timeout)


@pytest.fixture(scope="module")
def sandbox(sandbox_factory: SandboxFactory) -> Iterator[Sandbox]:
    with sandbox_factory(f"http://127.0.0.1:{free_port()}/nobody") as running:
        yield running


def test_the_sandbox_takes_a_real_message_with_all_that_belongs_to_it(sandbox: Sandbox) -> None:
    recipients = [
        replace(ANNA, message_id=UUID(int=n), address=f"a{n}@example.com") for n in range(1000)
    ]
    before = sandbox.counts()
    mail = compose(TEMPLATES, "welcome_back", ANNA.shape, SENDER, has_offer=False)
    outcome = transport(sandbox.url).send(request_body(mail, recipients, SENDER, "spring"))
    assert outcome.kind == "accepted"
    assert len(outcome.detail) > 10
    assert sandbox.counts()["accepted"] - before["accepted"] == 1000


def test_the_longest_name_fits_into_what_the_provider_takes(sandbox: Sandbox) -> None:
    for name in ("\U0001f600" * 200, "<" * 200, "&'\"" * 90):
        body = request_body(MAIL, [replace(ANNA, first_name=name)], SENDER, "spring")
        assert transport(sandbox.url).send(body).kind == "accepted"


@pytest.mark.parametrize(
    ("mode", "kind", "detail"),
    [
        ("refuse_401", "refused", "HTTP 401"),
        ("bad_recipient_400", "rejected", "HTTP 400 in personalizations.to.email"),
        ("rate_limit_429", "rate_limited", "rate limit"),
        ("error_500", "unknown", "HTTP 500"),
        ("error_500_after_accept", "unknown", "HTTP 500"),
        ("hang", "unknown", "no answer: TimeoutError"),
        ("hang_after_accept", "unknown", "no answer: TimeoutError"),
        ("reset_after_accept", "unknown", "Re"),
    ],
)
def test_the_sandboxs_faults(sandbox: Sandbox, mode: str, kind: str, detail: str) -> None:
    met = sandbox.counts()["faults_met"]
    sandbox.fault(mode, seconds=3)
    outcome = transport(sandbox.url, timeout=0.5).send(REQUEST)
    assert sandbox.counts()["faults_met"] == met + 1
    assert outcome.kind == kind
    assert detail in outcome.detail
    assert "@" not in outcome.detail


def test_a_wrong_request_to_the_sandbox_is_refused_and_a_wrong_address_rejected(
    sandbox: Sandbox,
) -> None:
    api = transport(sandbox.url)
    outcome = api.send({**REQUEST, "from": {"email": "nobody"}})
    assert (outcome.kind, outcome.detail) == ("refused", "HTTP 400 in from.email")
    outcome = api.send(request_body(MAIL, [replace(ANNA, address="nobody")], SENDER, "spring"))
    assert (outcome.kind, outcome.detail) == ("rejected", "HTTP 400 in personalizations.to.email")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (202, "accepted"),
        # a 200 is what the provider's own sandbox mode says: nobody gets anything
        (200, "unknown"),
        (201, "unknown"),
        (204, "unknown"),
        (301, "unknown"),
        (302, "unknown"),
        (307, "unknown"),
        (308, "unknown"),
        (400, "rejected"),
        (413, "rejected"),
        (408, "unknown"),
        (429, "rate_limited"),
        (401, "refused"),
        (402, "refused"),
        (403, "refused"),
        (404, "refused"),
        (405, "refused"),
        (415, "refused"),
        (500, "unknown"),
        (502, "unknown"),
        (503, "unknown"),
        (504, "unknown"),
        (599, "unknown"),
    ],
)
def test_every_status_has_its_outcome(api: Api, status: int, kind: str) -> None:
    api.status, api.headers = status, {"Location": f"{api.url}/elsewhere"}
    assert transport(api.url).send(REQUEST).kind == kind
    # the key goes nowhere else, and the request is made once
    assert [(method, path) for method, path, *_ in api.asked] == [("POST", "/v3/mail/send")]


@pytest.mark.parametrize(
    ("reset", "low", "high"),
    [
        ("30", 20, 30),
        ("-5", 1, 1),
        ("soon", 60, 60),
        (None, 60, 60),
        ("nan", 60, 60),
        ("inf", 1e9, float("inf")),
    ],
)
def test_a_rate_limit_says_how_long_to_wait(
    api: Api, reset: str | None, low: float, high: float
) -> None:
    api.status = 429
    if reset is not None:
        is_seconds = reset.lstrip("-").isdigit()
        value = str(int(time.time()) + int(reset)) if is_seconds else reset
        api.headers = {"x-ratelimit-RESET": value}
    outcome = transport(api.url).send(REQUEST)
    assert outcome.kind == "rate_limited"
    assert low <= outcome.retry_after <= high


@pytest.mark.parametrize(
    ("answer", "kind", "detail"),
    [
        (
            {"errors": [{"field": "personalizations.3.to.0.email"}]},
            "rejected",
            "HTTP 400 in personalizations.to.email",
        ),
        ({"errors": [{"field": "content.0.value"}]}, "refused", "HTTP 400 in content.value"),
        (
            {"errors": [{"field": "subject"}, {"field": "personalizations.0"}]},
            "refused",
            "HTTP 400 in personalizations, subject",
        ),
        (
            {"errors": [{"field": None, "message": "anna@example.com is wrong"}]},
            "rejected",
            "HTTP 400",
        ),
        ({"errors": [{"field": "anna@example.com"}]}, "rejected", "HTTP 400"),
        ({"errors": [7]}, "rejected", "HTTP 400"),
        ({"errors": None}, "rejected", "HTTP 400"),
        ("no JSON", "rejected", "HTTP 400"),
    ],
)
def test_a_refusal_names_fields_and_never_quotes_the_answer(
    api: Api, answer: Any, kind: str, detail: str
) -> None:
    api.status = 400
    api.body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
    outcome = transport(api.url).send(REQUEST)
    assert (outcome.kind, outcome.detail) == (kind, detail)


@pytest.mark.parametrize(
    ("answer", "close"),
    [
        (b"", False),
        (b"", True),
        (b"HTTP/1.1 202 Acc", False),
        (b"garbage\r\n\r\n", True),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 50\r\n\r\nhalf", True),
        (b"HTTP/1.1 500 No\r\nContent-Length: 50\r\n\r\nhalf", False),
    ],
)
def test_half_an_answer_or_none_is_unknown(answer: bytes, close: bool) -> None:
    with listening(answer, close=close) as url:
        assert transport(url, timeout=0.5).send(REQUEST).kind == "unknown"


def test_only_a_connection_that_never_was_means_not_sent() -> None:
    outcome = transport(f"http://127.0.0.1:{free_port()}").send(REQUEST)
    assert outcome.kind == "not_sent"
    assert "ConnectionRefusedError" in outcome.detail
    assert transport("http://winback.invalid").send(REQUEST).kind == "not_sent"
    # it speaks no TLS: the connection stood, so who knows
    with listening(b"HTTP/1.1 202 Accepted\r\n\r\n", close=True) as url:
        assert transport(url.replace("http:", "https:")).send(REQUEST).kind == "unknown"
    assert transport("nonsense").send(REQUEST).kind == "not_sent"


def test_a_firewall_that_drops_every_packet_means_not_sent() -> None:
    with dropping() as url:
        outcome = transport(url, timeout=0.5).send(REQUEST)
    assert (outcome.kind, "TimeoutError" in outcome.detail) == ("not_sent", True)


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT])
def test_where_no_way_leads_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def no_way(*_: Any, **__: Any) -> None:
        raise OSError(number, "no way")

    monkeypatch.setattr(socket, "create_connection", no_way)
    assert transport("http://127.0.0.1:9").send(REQUEST).kind == "not_sent"


def test_what_connected_before_says_nothing_about_the_next_request() -> None:
    with serve(Api()) as api:
        used = transport(api.url)
        assert used.send(REQUEST).kind == "accepted"
    assert used.send(REQUEST).kind == "not_sent"


def test_a_proxy_that_refuses_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name)
    with listening(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", close=True) as url:
        monkeypatch.setenv("https_proxy", url)
        assert transport("https://mail.invalid").send(REQUEST).kind == "unknown"


def test_what_is_meant_for_this_machine_never_goes_through_a_proxy(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(Api()) as proxy:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name)
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert transport(api.url).send(REQUEST).kind == "accepted"
        assert (len(api.asked), proxy.asked) == (1, [])
        # the proxy does work, for what lies elsewhere
        assert transport("http://mail.invalid").send(REQUEST).kind == "accepted"
        assert len(proxy.asked) == 1


def test_the_request_holds_opaque_ids_and_no_tracking(api: Api) -> None:
    assert transport(api.url).send(REQUEST).kind == "accepted"
    [(_, _, sent_headers, body)] = api.asked
    assert sent_headers["Authorization"] == f"Bearer {KEY}"
    sent = json.loads(body)
    [person] = sent.pop("personalizations")
    assert person.pop("to") == [{"email": "anna@example.com"}]
    assert person.pop("custom_args") == {"message_id": str(ANNA.message_id)}
    assert person.pop("headers").keys() == {"List-Unsubscribe", "List-Unsubscribe-Post"}
    assert len(person.pop("substitutions")) == 10
    assert person == {}
    assert sent.pop("categories") == ["spring"]
    tracking = sent.pop("tracking_settings")
    assert tracking.keys() == {
        "click_tracking", "open_tracking", "subscription_tracking", "ganalytics"
    }  # fmt: skip
    assert {value for each in tracking.values() for value in each.values()} == {False}
    assert "anna" not in json.dumps(sent).lower()


def test_the_librarys_log_is_never_at_debug(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    # somebody turned everything on after our import
    names = ("python_http_client", "python_http_client.client")
    with caplog.at_level(logging.DEBUG):
        for name in names:
            logging.getLogger(name).setLevel(logging.DEBUG)
        assert transport(api.url).send(REQUEST).kind == "accepted"
    assert all(logging.getLogger(name).level >= logging.INFO for name in names)
    assert KEY not in caplog.text
    assert "anna" not in caplog.text
    # the check itself can fail: below our level the library would have told it all
    logger = logging.getLogger("python_http_client.client")
    with caplog.at_level(logging.DEBUG, logger.name):
        import sendgrid

        sendgrid.SendGridAPIClient(KEY, host=api.url).client.mail.send.post(request_body=REQUEST)
    logger.setLevel(logging.INFO)
    assert KEY in caplog.text


@pytest.mark.parametrize("key", ["SG.x\r\nX: y", "SG. x", "SG.ä"])
def test_a_key_that_can_be_none_is_refused_before_anything_is_claimed(key: str) -> None:
    with pytest.raises(SettingsError, match="copy it again") as caught:
        SendGridTransport("http://127.0.0.1:1", key, 1)
    assert key not in str(caught.value)
