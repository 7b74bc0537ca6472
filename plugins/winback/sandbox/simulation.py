"""What becomes of each accepted message: pure functions from a recipient to its events.

The fate follows from a hash of the address and the campaign, so that every installation that
writes to the same people gets the same answers; ids are drawn anew in each. No event is ever a
purchase. Posting the events belongs to `answering`.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from winback.sandbox.journal import Unanswered

_IP = "127.0.0.1"
_USER_AGENT = "Mozilla/5.0 (winback sandbox)"
# What each event carries beside the fields that all of them have.
_DETAILS: dict[str, dict[str, Any]] = {
    "delivered": {"response": "250 2.0.0 OK", "ip": _IP, "tls": 1},
    "deferred": {"response": "451 4.7.1 Please try again later", "attempt": "1", "ip": _IP},
    "dropped": {"reason": "Bounced Address", "status": "5.0.0"},
    "bounce": {
        "type": "bounce",
        "reason": "550 5.1.1 The email account that you tried to reach does not exist",
        "status": "5.1.1",
        "bounce_classification": "Invalid Address",
        "ip": _IP,
        "tls": 1,
    },
    "open": {"useragent": _USER_AGENT, "ip": _IP, "sg_machine_open": False},
    "click": {
        "useragent": _USER_AGENT,
        "ip": _IP,
        "url": "https://example.com/",
        "url_offset": {"index": 0, "type": "html"},
    },
}


@dataclass(frozen=True)
class Rates:
    """Shares of the recipients, in per cent.

    `open_pct` and `click_pct` matter only where the request switches that tracking on. The
    others are fates of which a recipient meets at most one, except that an unsubscriber is
    drawn on his own among those whose message was delivered.
    """

    bounce_pct: float = 1.0
    spamreport_pct: float = 0.02
    deferred_pct: float = 0.3
    dropped_pct: float = 0.2
    unsubscribe_pct: float = 0.5
    open_pct: float = 20.0
    click_pct: float = 4.0


@dataclass(frozen=True)
class Fate:
    """What happens to one message: its events in order, its final state, a click on unsubscribe."""

    events: list[dict[str, Any]]
    state: str
    is_unsubscribing: bool


def fate(recipient: Unanswered, rates: Rates, now: int) -> Fate:
    """Decides what happens to one message.

    Args:
        recipient: The accepted recipient.
        rates: How common each fate is.
        now: Seconds since 1970, the time stamp of the events.
    """
    key = " ".join((recipient.address.lower(), *sorted(recipient.categories)))
    names = _names(_draw(key, "fate"), rates)
    is_delivered = names[-1] in ("delivered", "spamreport")
    if is_delivered and recipient.has_open_tracking and _draw(key, "open") < rates.open_pct:
        names.append("open")
    if is_delivered and recipient.has_click_tracking and _draw(key, "click") < rates.click_pct:
        names.append("click")
    state = "spamreport" if "spamreport" in names else names[-1]
    return Fate(
        events=[_event(recipient, name, now) for name in names],
        state="delivered" if state in ("open", "click") else state,
        is_unsubscribing=is_delivered and _draw(key, "unsubscribe") < rates.unsubscribe_pct,
    )


def _names(draw: float, rates: Rates) -> list[str]:
    fates = (
        (rates.bounce_pct, ["processed", "bounce"]),
        (rates.spamreport_pct, ["processed", "delivered", "spamreport"]),
        (rates.deferred_pct, ["processed", "deferred", "delivered"]),
        (rates.dropped_pct, ["dropped"]),
    )
    threshold = 0.0
    for share, names in fates:
        threshold += share
        if draw < threshold:
            return names
    return ["processed", "delivered"]


def _draw(key: str, purpose: str) -> float:
    digest = hashlib.sha256(f"{purpose}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 * 100


def _event(recipient: Unanswered, name: str, now: int) -> dict[str, Any]:
    # The same event always has the same id, also when a killed sandbox posts it again.
    digest = hashlib.sha256(f"{name}:{recipient.sg_message_id}".encode()).digest()
    event: dict[str, Any] = {
        # The provider lays custom arguments beside its own fields, which win a clash of names.
        **recipient.custom_args,
        "email": recipient.address,
        "timestamp": now,
        "event": name,
        "sg_event_id": base64.urlsafe_b64encode(digest[:16]).decode().rstrip("="),
        "sg_message_id": recipient.sg_message_id,
        **_DETAILS.get(name, {}),
    }
    if name not in ("open", "click"):
        event["smtp-id"] = f"<{recipient.provider_id}@geopod-ismtpd-sandbox>"
    if recipient.categories:
        event["category"] = recipient.categories
    return event
