"""The mail provider's events, translated into a closed vocabulary: pure functions.

What is not in the vocabulary is counted as `other`. No event is ever left out, and nothing personal
comes through. What an event brings about is `events.py`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

from winback.privacy.keyed_hash import address_hash
from winback.record.suppression import Scope

Kind = Literal[
    "processed", "deferred", "delivered", "bounced", "blocked", "dropped", "spam_report",
    "unsubscribed", "opened", "clicked", "other",
]  # fmt: skip
VOCABULARY: dict[str, Kind] = {
    "processed": "processed",
    "deferred": "deferred",
    "delivered": "delivered",
    "bounce": "bounced",
    "blocked": "blocked",
    "dropped": "dropped",
    "spamreport": "spam_report",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
    "open": "opened",
    "click": "clicked",
}
# Why the provider drops a message it took. Other reasons (a quota, its spam checker) say nothing
# about the recipient.
DROPPED_BECAUSE: dict[str, tuple[Scope, str]] = {
    "bounced address": ("address", "dropped"),
    "invalid": ("address", "dropped"),
    "unsubscribed address": ("person", "unsubscribe"),
    "spam reporting address": ("person", "spam_report"),
}
SUPPRESSING: dict[Kind, tuple[Scope, str]] = {
    "bounced": ("address", "bounce"),
    "spam_report": ("person", "spam_report"),
    "unsubscribed": ("person", "unsubscribe"),
}
# stands for what was no text
_REPLACED = "\ufffd"
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.:=+/-]{1,100}")
_STATUS = re.compile(r"\d\.\d{1,3}\.\d{1,3}")


@dataclass(frozen=True)
class Event:
    """One event, without anything personal.

    Attributes:
        event_id: The provider's, or made from the event when it has none.
        message_id: Our own id, if the event carries one.
        kind: What happened.
        occurred_at: When, as the provider says, or when it arrived.
        detail: The mail status of a bounce, or the provider's word for what we do not know.
        suppresses: Whom it suppresses and why, if anybody.
        objector: Hash of the address of somebody who objects, for events without our id, or of
            a message that is nobody's any more.
    """

    event_id: str
    message_id: UUID | None
    kind: Kind
    occurred_at: datetime
    detail: str | None = None
    suppresses: tuple[Scope, str] | None = None
    objector: str | None = None


def read_batch(body: bytes, received_at: datetime) -> tuple[list[Event], int]:
    """Reads one batch; a byte that is no text or a number too long to be one spoils no other entry.

    Args:
        body: As it arrived.
        received_at: The time of events that have none.

    Returns:
        The events, and how many entries could not be read: they are no events, or object for an
        address in which a byte is no text, so that nobody knows whose it is.

    Raises:
        ValueError: The body is no list, or is nested too deeply.
    """
    text = body.decode(json.detect_encoding(body), errors="replace")
    try:
        entries = json.loads(text, parse_int=_number)
        if not isinstance(entries, list):
            raise ValueError("the batch is not a list of events")
        read = [(each, read_event(each, received_at)) for each in entries if isinstance(each, dict)]
    except RecursionError as error:
        # what could just be parsed may still be too deep to be written again
        raise ValueError("the batch is nested too deeply") from error
    n_unread = len(entries) - len(read) + sum(_objects_for_nobody(*each) for each in read)
    return [event for _, event in read], n_unread


def read_event(entry: dict[str, Any], received_at: datetime) -> Event:
    """Translates one entry of a batch; whatever is missing in it, it stays an event."""
    word = str(entry.get("event"))
    kind = VOCABULARY.get(word, "other")
    if kind == "bounced" and entry.get("type") == "blocked":
        # a refusal for now, by a server that does not like the sender; the address is alive
        kind = "blocked"
    suppresses = SUPPRESSING.get(kind)
    if kind == "dropped":
        suppresses = DROPPED_BECAUSE.get(str(entry.get("reason")).strip().lower())
    try:
        message_id = UUID(str(entry.get("message_id")))
    except ValueError:
        message_id = None
    email = entry.get("email")
    is_objection = suppresses is not None and suppresses[0] == "person"
    return Event(
        event_id=_event_id(entry),
        message_id=message_id,
        kind=kind,
        occurred_at=_occurred_at(entry, received_at),
        detail=_detail(entry, kind, word),
        suppresses=suppresses,
        objector=_hash(email) if is_objection and isinstance(email, str) else None,
    )


def _objects_for_nobody(entry: dict[str, Any], event: Event) -> bool:
    return (
        event.message_id is None
        and event.objector is not None
        and _REPLACED in str(entry.get("email"))
    )


def _number(digits: str) -> int | str:
    # of thousands of digits Python makes no number, and none of ours has as many as these
    return int(digits) if len(digits) <= 100 else digits


def _event_id(entry: dict[str, Any]) -> str:
    given = entry.get("sg_event_id")
    if isinstance(given, str) and _PLAIN_ID.fullmatch(given):
        return given
    # Without an id, or with one that is none, and that others may have as well: the same event
    # gives the same id again.
    text = json.dumps(entry, sort_keys=True)
    return f"sha256:{sha256(text.encode()).hexdigest()}"


def _occurred_at(entry: dict[str, Any], received_at: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(float(entry["timestamp"]), UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return received_at


def _detail(entry: dict[str, Any], kind: Kind, word: str) -> str | None:
    if kind in ("bounced", "blocked", "dropped"):
        status = _STATUS.match(str(entry.get("status")))
        return status.group() if status else None
    # an unknown word is kept, if it is a word at all and not, say, an address
    return word if kind == "other" and re.fullmatch(r"[a-z][a-z_]{0,39}", word) else None


def _hash(email: str) -> str | None:
    try:
        return address_hash("email", email)
    except UnicodeEncodeError:
        return None
