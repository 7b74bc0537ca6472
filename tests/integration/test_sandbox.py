"""The sandbox as a process of its own, spoken to by the provider's own library."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import psutil
import pytest
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.eventwebhook import EventWebhook

from tests.conftest import Sandbox, SandboxFactory

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"


class Receiver(ThreadingHTTPServer):
    """Takes what the sandbox posts: (path, headers, body), answering `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, Any, bytes]] = []
        self.status = 204
        self.refused = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def events(self) -> list[dict[str, Any]]:
        posts = [json.loads(body) for path, _, body in self.taken if path == "/events"]
        return [event for post in posts for event in post]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status < 300:
            self.server.taken.append((self.path, self.headers, body))
        else:
            self.server.refused += 1
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def shared(sandbox_factory: SandboxFactory, receiver: Receiver) -> Iterator[Sandbox]:
    with sandbox_factory(f"{receiver.url}/events") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: Sandbox) -> Iterator[Sandbox]:
    yield shared
    httpx.delete(f"{shared.url}/sandbox/faults").raise_for_status()


def mail(prefix: str, count: int = 1, **changes: Any) -> dict[str, Any]:
    people = [
        {
            "to": [{"email": f"{prefix}-{i}@example.com"}],
            "custom_args": {"message_id": f"{prefix}-{i}"},
            "substitutions": {"-name-": f"Ada {i}"},
        }
        for i in range(count)
    ]
    return {
        "personalizations": people,
        "from": {"email": "shop@example.com", "name": "Shop"},
        "subject": "Welcome back, -name-",
        "content": [{"type": "text/html", "value": "<p>Dear -name-</p>"}],
    } | changes


def send(sandbox: Sandbox, body: dict[str, Any], key: str | None = None) -> Any:
    client = SendGridAPIClient(sandbox.api_key if key is None else key, host=sandbox.url)
    client.client.timeout = 10
    return client.client.mail.send.post(request_body=body)


def refusal(sandbox: Sandbox, body: dict[str, Any], key: str | None = None) -> HTTPError:
    with pytest.raises(HTTPError) as refused:
        send(sandbox, body, key)
    return refused.value


def test_a_thousand_recipients_in_one_request_are_accepted(sandbox: Sandbox) -> None:
    before = sandbox.counts()
    response = send(sandbox, mail("many", 1000))
    after = sandbox.counts()
    assert response.status_code == 202
    assert response.headers["X-Message-Id"]
    assert after["accepted"] - before["accepted"] == 1000
    assert after["distinct"] - before["distinct"] == 1000
    assert after["max_per_key"] == 1
    assert sandbox.wait_for_events()["events_pending"] == 0


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (mail("many", 1001), 400, "personalizations"),
        (mail("bad", personalizations=[{"to": [{"email": "no address"}]}]), 400,
         "personalizations.0.to.0.email"),
        (mail("twice", personalizations=mail("x")["personalizations"] * 2), 400,
         "personalizations.1"),
        (mail("large", content=[{"type": "text/html", "value": "x" * (31 << 20)}]), 413, None),
    ],
    ids=["too many", "bad address", "address twice", "too large"],
)  # fmt: skip
def test_a_bad_request_is_refused_as_a_whole(
    sandbox: Sandbox, body: dict[str, Any], status: int, field: str | None
) -> None:
    before = sandbox.counts()["accepted"]
    error = refusal(sandbox, body)
    assert error.status_code == status
    assert [entry["field"] for entry in error.to_dict["errors"]] == [field]
    assert sandbox.counts()["accepted"] == before


@pytest.mark.parametrize("key", ["", "SG.other"])
def test_a_wrong_key_is_refused(sandbox: Sandbox, key: str) -> None:
    before = sandbox.counts()["accepted"]
    assert refusal(sandbox, mail("key"), key).status_code == 401
    assert sandbox.counts()["accepted"] == before


def test_sandbox_mode_is_no_acceptance(sandbox: Sandbox) -> None:
    before = sandbox.counts()["accepted"]
    body = mail("mode", mail_settings={"sandbox_mode": {"enable": True}})
    assert send(sandbox, body).status_code == 200
    assert sandbox.counts()["accepted"] == before


@pytest.mark.parametrize(
    ("mode", "status"),
    [("refuse_401", 401), ("rate_limit_429", 429), ("error_500", 500), ("bad_recipient_400", 400),
     ("error_500_after_accept", 500)],
)  # fmt: skip
def test_a_fault_answers_once_and_then_all_is_well(
    sandbox: Sandbox, mode: str, status: int
) -> None:
    before = sandbox.counts()
    sandbox.fault(mode, seconds=30)
    error = refusal(sandbox, mail(mode))
    after = sandbox.counts()
    assert after["faults_met"] - before["faults_met"] == 1, "the fault did not happen"
    assert error.status_code == status
    assert after["accepted"] - before["accepted"] == (1 if mode.endswith("after_accept") else 0)
    if status == 429:
        assert 25 <= int(error.headers["X-RateLimit-Reset"]) - time.time() <= 31
    if status == 400:
        assert error.to_dict["errors"][0]["field"] == "personalizations.0.to.0.email"
    assert send(sandbox, mail(f"{mode}-again")).status_code == 202


@pytest.mark.parametrize(
    "mode",
    [
        "hang",
        "hang_after_accept",
        "reset_after_accept",
        "truncate_after_accept",
        "trickle_after_accept",
    ],
)
def test_a_fault_breaks_the_connection_without_an_answer(sandbox: Sandbox, mode: str) -> None:
    before = sandbox.counts()
    sandbox.fault(mode, seconds=0.5)
    started_at = time.monotonic()
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        send(sandbox, mail(mode))
    after = sandbox.counts()
    assert after["faults_met"] - before["faults_met"] == 1, "the fault did not happen"
    assert after["accepted"] - before["accepted"] == (1 if mode.endswith("after_accept") else 0)
    is_at_once = mode in ("reset_after_accept", "truncate_after_accept")
    assert is_at_once or time.monotonic() - started_at >= 0.5


def test_a_fault_can_aim_at_one_address(sandbox: Sandbox) -> None:
    sandbox.fault("bad_recipient_400", address="aimed-1@example.com", requests=5)
    assert send(sandbox, mail("elsewhere", 2)).status_code == 202
    error = refusal(sandbox, mail("aimed", 2))
    assert error.to_dict["errors"][0]["field"] == "personalizations.1.to.0.email"


def test_events_are_signed_and_carry_our_id(sandbox: Sandbox, receiver: Receiver) -> None:
    send(sandbox, mail("signed", 3))
    sandbox.wait_for_events()
    posts = [post for post in receiver.taken if b'"message_id":"signed-0"' in post[2]]
    assert posts
    verifier = EventWebhook(sandbox.public_key)
    for _, headers, body in posts:
        signed = body.decode(), headers[SIGNATURE], headers[TIMESTAMP]
        assert verifier.verify_signature(*signed)
        assert not verifier.verify_signature(signed[0] + " ", *signed[1:])
    told = [event for event in receiver.events() if event["message_id"] == "signed-0"]
    assert told[0]["event"] in ("processed", "dropped")
    assert {"email", "timestamp", "sg_event_id", "sg_message_id"} <= told[0].keys()


def test_some_events_come_twice(sandbox_factory: SandboxFactory, receiver: Receiver) -> None:
    with sandbox_factory(f"{receiver.url}/events") as fresh:
        send(fresh, mail("repeated"))
        fresh.wait_for_events()
    ids = [e["sg_event_id"] for e in receiver.events() if e["message_id"] == "repeated-0"]
    assert len(ids) > len(set(ids)) > 0


def test_one_click_unsubscribes_on_this_machine_only(
    sandbox_factory: SandboxFactory, receiver: Receiver
) -> None:
    def offering(url: str) -> dict[str, str]:
        return {
            "List-Unsubscribe": f"<{url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }

    with sandbox_factory(f"{receiver.url}/events", "--unsubscribe-pct=100") as eager:
        people = mail("leaving", 200)["personalizations"]
        for i, person in enumerate(people):
            host = receiver.url if i % 2 else "http://example.com"
            person["headers"] = offering(f"{host}/unsubscribe/{i}")
        send(eager, mail("leaving", personalizations=people))
        n_clicked = eager.wait_for_events()["unsubscribed"]
    clicks = [(path, body) for path, _, body in receiver.taken if path.startswith("/unsub")]
    assert 90 <= n_clicked == len(clicks) <= 100
    assert {body for _, body in clicks} == {b"List-Unsubscribe=One-Click"}
    assert all(int(path.rpartition("/")[2]) % 2 for path, _ in clicks)


def test_what_was_accepted_survives_a_kill_and_gets_its_events(
    sandbox_factory: SandboxFactory, receiver: Receiver
) -> None:
    with sandbox_factory(f"{receiver.url}/events") as killed:
        receiver.status, receiver.refused = 503, 0
        try:
            assert send(killed, mail("survivor", 50)).status_code == 202
            deadline = time.monotonic() + 10
            while not receiver.refused and time.monotonic() < deadline:
                time.sleep(0.02)
            assert receiver.refused, "no event met the broken webhook"
            assert killed.process is not None
            killed.process.kill()
            killed.process.wait(10)
        finally:
            receiver.status = 204
        assert not [e for e in receiver.events() if e["message_id"].startswith("survivor")]
        killed.start()
        counts = killed.wait_for_events()
        assert (counts["accepted"], counts["max_per_key"], counts["events_failed"]) == (50, 1, 0)
        again = send(killed, mail("survivor"))
        assert again.status_code == 202
        assert killed.counts()["max_per_key"] == 2, "a double must show"
    told = {e["message_id"] for e in receiver.events() if e["message_id"].startswith("survivor")}
    assert len(told) == 50


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_stopping_leaves_no_process(
    sandbox_factory: SandboxFactory, receiver: Receiver, signum: signal.Signals
) -> None:
    with sandbox_factory(f"{receiver.url}/events") as stopped:
        assert stopped.process is not None
        process = psutil.Process(stopped.process.pid)
        family = [process, *process.children(recursive=True)]
        process.send_signal(signum)
        stopped.process.wait(10)
        assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        assert "Traceback" not in (stopped.data / "log").read_text()
