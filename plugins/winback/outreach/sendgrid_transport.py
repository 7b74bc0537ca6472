"""SendGrid: the only file that knows its API, its library and its errors.

Turns a mail and its recipients into one request and every possible answer into one `Outcome`. What
follows from an outcome is decided in `dispatch.py`. The sandbox speaks the same API.
"""

from __future__ import annotations

import http.client
import json
import logging
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.error import URLError

import sendgrid
from python_http_client.exceptions import HTTPError

from winback.outreach.message import Mail, Recipient, Sender, headers, personal_values

# At DEBUG the library's HTTP client logs the authorization header and every address.
logging.getLogger("python_http_client").setLevel(logging.INFO)

Kind = Literal["accepted", "not_sent", "rate_limited", "rejected", "account_refused", "unknown"]


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Attributes:
        kind: `not_sent`: no byte left, `rate_limited`: nothing taken, try after `retry_after`
            seconds; `rejected`: the request is wrong, so at least one message in it; `unknown`:
            nobody knows whether it was taken.
        detail: The provider's message id, or what went wrong, without personal data.
        retry_after: Seconds.
    """

    kind: Kind
    detail: str
    retry_after: float = 0.0


class SendGridTransport:
    """Sends one composed mail to up to 1,000 recipients per request."""

    def __init__(self, url: str, api_key: str, timeout_seconds: float) -> None:
        self._client = sendgrid.SendGridAPIClient(api_key=api_key, host=url.rstrip("/"))
        # the library itself waits for ever
        self._client.client.timeout = timeout_seconds

    def send(
        self, mail: Mail, recipients: Sequence[Recipient], sender: Sender, campaign: str
    ) -> Outcome:
        """Makes one request and reports what became of it; never raises for a failed one."""
        body = request_body(mail, recipients, sender, campaign)
        try:
            response = self._client.client.mail.send.post(request_body=body)
        except HTTPError as error:
            return _answered(error.status_code, error.body, dict(error.headers or {}))
        except URLError as error:
            # urllib wraps what failed up to the end of sending; only these two mean that
            # no connection came about
            if isinstance(error.reason, ConnectionRefusedError | socket.gaierror):
                return Outcome("not_sent", f"the mail API can not be reached: {error.reason}")
            return Outcome("unknown", f"the connection broke: {type(error.reason).__name__}")
        except (OSError, http.client.HTTPException) as error:
            return Outcome("unknown", f"no answer: {type(error).__name__}")
        return _answered(response.status_code, response.body, dict(response.headers))


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
    return {
        "personalizations": [
            {
                "to": [{"email": recipient.address}],
                "custom_args": {"message_id": str(recipient.message_id)},
                "headers": headers(recipient),
                "substitutions": personal_values(recipient),
            }
            for recipient in recipients
        ],
        "from": {"email": sender.email, "name": sender.name},
        "reply_to": {"email": sender.email, "name": sender.name},
        "subject": mail.subject,
        "content": [
            {"type": "text/plain", "value": mail.text},
            {"type": "text/html", "value": mail.html},
        ],
        "categories": [campaign],
        # following what people open and click would need their consent
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
        },
    }


def _answered(status: int, body: bytes, answer_headers: dict[str, str]) -> Outcome:
    by_name = {name.lower(): value for name, value in answer_headers.items()}
    if status == 202:
        return Outcome("accepted", by_name.get("x-message-id", ""))
    if status == 429:
        return Outcome("rate_limited", "the mail API's rate limit", _until_reset(by_name))
    if status in (401, 403):
        return Outcome("account_refused", f"the mail API refuses the key (HTTP {status})")
    if status in (400, 413):
        return Outcome("rejected", f"HTTP {status}{_fields(body)}")
    return Outcome("unknown", f"HTTP {status}")


def _until_reset(by_name: dict[str, str]) -> float:
    try:
        return max(0.0, float(by_name["x-ratelimit-reset"]) - time.time())
    except (KeyError, ValueError):
        return 60.0


def _fields(body: bytes) -> str:
    """Which fields were wrong; the provider's texts may quote an address and are left out."""
    try:
        errors = json.loads(body)["errors"]
        fields = sorted({str(error.get("field") or "").split(".")[-1] for error in errors} - {""})
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f" in {', '.join(fields)}" if fields else ""
