"""What the tests of the links in messages share: who is asked, and how a page is opened."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.mail_flow import AS_OF, MailFlow
from winback.privacy.keyed_hash import customer_key
from winback.record import opt_in

ASKED, OTHER, REFUSING, GERMAN = "asked", "other", "refusing", "german"
LIKE_A_SCANNER = {"User-Agent": "link scanner"}


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
