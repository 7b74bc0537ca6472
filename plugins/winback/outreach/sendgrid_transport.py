"""SendGrid: its mail request, its library and its errors.

Turns a mail and its recipients into one request and every possible answer into one `Outcome`. What
follows from an outcome is decided in `lane.py`. Of its API, what concerns scheduled batches is
`sendgrid_schedule.py`, and what concerns templates kept there `sendgrid_templates.py`. The sandbox
speaks the same API.
"""

from __future__ import annotations

import json
import logging
import math
import ssl
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.error import URLError

import python_http_client
import sendgrid
from python_http_client.exceptions import HTTPError

from winback.errors import SettingsError
from winback.outreach.message import Mail, Recipient, Sender, headers, personal_values
from winback.outreach.request_deadline import RequestDeadline
from winback.outreach.web_address import is_loopback

Kind = Literal["accepted", "not_sent", "rate_limited", "rejected", "refused", "unknown"]
# a reset that has just passed would otherwise be asked about again and again without a pause
SHORTEST_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Attributes:
        kind: `not_sent`: no byte left, `rate_limited`: nothing taken, try after `retry_after`
            seconds; `rejected`: at least one recipient in it is wrong, nothing taken; `refused`:
            the account or the message itself is wrong, nothing taken; `unknown`: nobody knows
            whether it was taken.
        detail: The provider's message id, or what went wrong, without personal data.
        retry_after: Seconds.
    """

    kind: Kind
    detail: str
    retry_after: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What the API said to a question that carries no mail.

    Attributes:
        status: The HTTP status; None when there was no answer, or none that can be relied on.
        content: What was in it, as JSON; None when that was none.
        problem: What went wrong, without personal data; empty for a status below 300.
        retry_after: Seconds until it answers again, for a status of 429.
    """

    status: int | None
    content: Any
    problem: str
    retry_after: float = 0.0


class SendGridTransport:
    """Sends one composed mail to up to 1,000 recipients per request."""

    def __init__(self, url: str, api_key: str, timeout_seconds: float) -> None:
        if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise SettingsError("sendgrid_api_key holds characters that no key has: copy it again")
        url = url.rstrip("/")
        library = sendgrid.SendGridAPIClient(api_key=api_key, host=url)
        self._deadline = RequestDeadline(timeout_seconds)
        # the library itself waits for ever
        self._client = _Client(
            self._deadline,
            host=url,
            request_headers=library.client.request_headers,
            version=3,
            timeout=timeout_seconds,
        )

    def send(self, body: dict[str, Any]) -> Outcome:
        """Makes one request and reports what became of it; never raises for a failed one.

        Args:
            body: From `request_body`.
        """
        _keep_quiet()
        try:
            with self._deadline.running():
                response = self._client.mail.send.post(request_body=body)
        except HTTPError as error:
            return _answered(error.status_code, error.body, dict(error.headers or {}))
        except Exception as error:
            # what urllib met on the way up to the end of sending comes wrapped
            cause = error.reason if isinstance(error, URLError) else error
            # without a connection nothing left, nor to somebody who is not who they say; the text
            # could quote the request
            if not self._deadline.has_connected or isinstance(cause, ssl.SSLCertVerificationError):
                return Outcome("not_sent", f"the mail API can not be reached ({_name(cause)})")
            what = "the connection broke" if isinstance(error, URLError) else "no answer"
            return Outcome("unknown", f"{what}: {_name(cause)}")
        return _answered(response.status_code, response.body, dict(response.headers))

    def ask(
        self, method: Literal["get", "post"], path: str, body: dict[str, Any] | None = None
    ) -> Answer:
        """Makes one request that carries no mail; never raises for a failed one.

        Args:
            method: The HTTP method.
            path: Below `/v3/`.
            body: Sent as JSON.
        """
        _keep_quiet()
        try:
            with self._deadline.running():
                response = getattr(self._client._(path), method)(request_body=body)
        except HTTPError as error:
            problem = f"HTTP {error.status_code}"
            wait = _until_reset(dict(error.headers or {})) if error.status_code == 429 else 0.0
            return Answer(error.status_code, _json(error.body), problem, wait)
        except URLError as error:
            return Answer(None, None, f"the mail API can not be reached ({_name(error.reason)})")
        except Exception as error:
            return Answer(None, None, f"no answer: {_name(error)}")
        status = int(response.status_code)
        return Answer(status, _json(response.body), "" if 200 <= status < 300 else f"HTTP {status}")


class _Client(python_http_client.Client):  # type: ignore[misc]
    """The library's client, except that it goes where it was sent and nowhere else, and in time."""

    def __init__(self, deadline: RequestDeadline, **options: Any) -> None:
        super().__init__(**options)
        self.deadline = deadline

    def _build_client(self, name: str | None = None) -> _Client:
        return _Client(
            self.deadline,
            host=self.host,
            version=self._version,
            request_headers=self.request_headers,
            url_path=[*self._url_path, name] if name else self._url_path,
            timeout=self.timeout,
        )

    def _make_request(self, opener: Any, request: Any, timeout: float | None = None) -> Any:
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect(), *self.deadline.handlers()]
        if is_loopback(self.host):
            # what is meant for the sandbox must not leave this machine by a proxy
            handlers.append(urllib.request.ProxyHandler({}))
        return super()._make_request(urllib.request.build_opener(*handlers), request, timeout)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key elsewhere, and its answer would say nothing about the mail."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def request_body(
    mail: Mail, recipients: Sequence[Recipient], sender: Sender, campaign: str
) -> dict[str, Any]:
    """The request: one body, and per recipient the address, our id, headers and values.

    Args:
        mail: Composed, with tags.
        recipients: All of one shape.
        sender: Who writes.
        campaign: The category that the provider's statistics use; nothing personal.
    """
    return request_frame(sender, campaign) | {
        "personalizations": [
            {
                "to": [{"email": recipient.address}],
                "custom_args": {"message_id": str(recipient.message_id)},
                "headers": headers(recipient),
                "substitutions": personal_values(recipient),
            }
            for recipient in recipients
        ],
        "subject": mail.subject,
        "content": [
            {"type": "text/plain", "value": mail.text},
            {"type": "text/html", "value": mail.html},
        ],
    }


def request_frame(sender: Sender, campaign: str) -> dict[str, Any]:
    """What every request has, wherever its text stands."""
    return {
        "from": {"email": sender.email, "name": sender.name},
        "reply_to": {"email": sender.email, "name": sender.name},
        "categories": [campaign],
        # following what people open and click would need their consent
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
            "ganalytics": {"enable": False},
        },
    }


def mend(detail: str) -> str:
    """What to do about a request that the provider refused."""
    if detail.startswith("HTTP 401") or detail.startswith("HTTP 403"):
        return (
            "set WINBACK_SENDGRID_API_KEY to a key that may send mail, and let the provider verify"
            " sender_email"
        )
    if detail.startswith("HTTP 400") or detail.startswith("HTTP 413"):
        return "mend what it names in the campaign's template or in the sender settings"
    return "check sendgrid_url and the account"


def _keep_quiet() -> None:
    # At DEBUG the library's HTTP client logs the authorization header and every address. Somebody
    # may have set the level since the last request.
    for name in ("python_http_client", "python_http_client.client"):
        logger = logging.getLogger(name)
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)


_keep_quiet()


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return None


def _name(error: object) -> str:
    return type(error).__name__


def _answered(status: int, body: bytes, answer_headers: dict[str, str]) -> Outcome:
    if status == 202:
        return Outcome("accepted", _by_name(answer_headers).get("x-message-id", "")[:200])
    if status == 429:
        return Outcome("rate_limited", "the mail API's rate limit", _until_reset(answer_headers))
    if status in (400, 413):
        fields = _fields(body)
        detail = f"HTTP {status}{' in ' if fields else ''}{', '.join(sorted(fields))}"
        # what is not said about a recipient holds for everybody: no halving would find the culprit
        is_everybodys = any(not field.startswith("personalizations") for field in fields)
        return Outcome("refused" if is_everybodys else "rejected", detail)
    if 400 <= status < 500 and status != 408:
        return Outcome("refused", f"HTTP {status}")
    return Outcome("unknown", f"HTTP {status}")


def _by_name(answer_headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in answer_headers.items()}


def _until_reset(answer_headers: dict[str, str]) -> float:
    try:
        wait = float(_by_name(answer_headers)["x-ratelimit-reset"]) - time.time()
    except (KeyError, ValueError):
        return 60.0
    return 60.0 if math.isnan(wait) else max(SHORTEST_WAIT_SECONDS, wait)


def _fields(body: bytes) -> set[str]:
    """Which fields were wrong, without positions; texts may quote an address and are left out."""
    try:
        named = [str(error.get("field") or "") for error in json.loads(body)["errors"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    known = "abcdefghijklmnopqrstuvwxyz_."
    paths = (".".join(part for part in name.split(".") if not part.isdigit()) for name in named)
    return {path[:60] for path in paths if path and set(path.lower()) <= set(known)}
