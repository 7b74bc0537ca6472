"""The pages a person looks at, and what keeps a hostile mail in its frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from winback.errors import ServerError
from winback.sandbox.app import create_app
from winback.sandbox.signing import new_private_key

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(
        data=tmp_path,
        private_key_pem=new_private_key(),
        api_key="SG.test",
        # nothing listens there: messages stay in the state in which they were accepted
        webhook_url="http://127.0.0.1:1/",
    )
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def send(page: TestClient, *names: str) -> None:
    body = {
        "personalizations": [
            {
                "to": [{"email": f"customer-{i}@example.com"}],
                "custom_args": {"message_id": f"key-{i}"},
                "substitutions": {"-name-": name},
                "headers": {"List-Unsubscribe": f"<http://127.0.0.1/u/{i}>"},
            }
            for i, name in enumerate(names)
        ],
        "from": {"email": "shop@example.com", "name": "Shop"},
        "subject": "Hello -name-",
        "content": [{"type": "text/html", "value": "<p class='mail'>Dear -name-</p>"}],
        "categories": ["winback"],
    }
    sent = page.post("/v3/mail/send", json=body, headers={"Authorization": "Bearer SG.test"})
    assert sent.status_code == 202


def test_both_pages_say_that_nothing_leaves_this_machine(page: TestClient) -> None:
    send(page, "Ada")
    for path in ("/", "/messages/1"):
        assert "Sandbox: nothing leaves this machine" in page.get(path).text


def test_the_list_shows_fifty_and_finds_by_part_of_an_address(page: TestClient) -> None:
    send(page, *(f"N{i}" for i in range(120)))
    first = page.get("/").text
    assert first.count("/messages/") == 50
    assert "page 1 of 3" in first
    assert "page 3 of 3" in page.get("/", params={"page": 99}).text
    found = page.get("/", params={"q": "customer-77@"}).text
    assert re.findall(r"/messages/\d+", found) == ["/messages/78"]
    assert page.get("/", params={"q": "%"}).text.count("/messages/") == 0
    assert page.get("/", params={"state": "accepted"}).text.count("/messages/") == 50
    assert page.get("/", params={"state": "bounce"}).text.count("/messages/") == 0


def test_a_message_shows_headers_and_the_filled_in_mail(page: TestClient) -> None:
    send(page, "Ada")
    shown = page.get("/messages/1").text
    for part in ("Hello Ada", "Dear Ada", "customer-0@example.com", "List-Unsubscribe", "key-0"):
        assert part in shown
    assert page.get("/messages/2").status_code == 404


def test_a_hostile_mail_stays_text_outside_a_frame_without_rights(page: TestClient) -> None:
    send(page, HOSTILE)
    for path in ("/", "/messages/1"):
        response = page.get(path)
        assert "alert(1)" in response.text
        assert HOSTILE not in response.text
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert re.search(r"<iframe sandbox srcdoc=", page.get("/messages/1").text)


def test_another_site_in_the_same_browser_is_refused(page: TestClient) -> None:
    assert page.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_unknown_fault_modes_are_refused(page: TestClient) -> None:
    assert page.post("/sandbox/faults", json={"mode": "explode"}).status_code == 422
    assert page.post("/sandbox/faults", json={"mode": "hang", "requests": 2}).status_code == 200
    assert page.get("/sandbox/faults").json()["requests"] == 2
    assert page.delete("/sandbox/faults").status_code == 204
    assert page.get("/sandbox/faults").json()["requests"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"webhook_url": "https://example.com/"}, "on 127.0.0.1 or localhost"),
        ({"webhook_url": "http://127.0.0.1.example.com/"}, "on 127.0.0.1 or localhost"),
        ({"api_key": ""}, "needs an API key"),
        ({"private_key_pem": b"no key"}, "private key can not be read"),
    ],
)
def test_a_sandbox_that_could_reach_or_trust_anyone_does_not_start(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    good = {
        "data": tmp_path,
        "private_key_pem": new_private_key(),
        "api_key": "SG.test",
        "webhook_url": "http://127.0.0.1:1/",
    }
    with pytest.raises(ServerError, match=message):
        create_app(**good | changes)  # type: ignore[arg-type]
