"""Which send requests the provider refuses, and in which words.

Pure functions over the decoded body. Sources: the provider's public pages "Mail Send: Errors",
"Mail Send: Limitations" and "Personalizations". Where the pages contradict each other (size of
substitutions: 10,000 or 50,000 bytes; the same address in two personalizations: refused or not)
the stricter reading holds, so that winback runs well under either. Rules about single values
(sizes, types, reserved names) are in `value_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from winback.sandbox.value_rules import (
    Problem,
    arguments,
    categories,
    headers,
    optional,
    send_at,
    strings,
    substitutions,
    unsubscribe_group,
    wrong_type,
)

MAX_BODY_BYTES = 30 * 1024 * 1024
MAX_PERSONALIZATIONS = 1000
MAX_RECIPIENTS = 1000

_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+"
)
_ROOT_FIELDS = frozenset(
    {
        *("personalizations", "from", "reply_to", "reply_to_list", "subject", "content"),
        *("attachments", "template_id", "sections", "headers", "categories", "custom_args"),
        *("send_at", "batch_id", "asm", "ip_pool_name", "mail_settings", "tracking_settings"),
    }
)


def problems(payload: Any) -> list[Problem]:
    """Every reason to refuse a decoded request body; an empty list means it is accepted."""
    if not isinstance(payload, dict) or not payload.keys() <= _ROOT_FIELDS:
        return [Problem("Bad Request", None)]
    return [
        *_personalizations(payload),
        *_sender(payload),
        *_reply_to(payload),
        *_subject(payload),
        *_content(payload),
        *categories(payload.get("categories")),
        *arguments({}, payload.get("custom_args"), "custom_args"),
        *headers(payload.get("headers"), "headers"),
        *strings(payload.get("sections"), "sections"),
        *send_at(payload.get("send_at"), "send_at"),
        *optional(payload, "batch_id", str, "string"),
        *unsubscribe_group(payload.get("asm")),
        *_settings(payload, "mail_settings"),
        *_settings(payload, "tracking_settings"),
    ]


def is_address(value: Any) -> bool:
    """Whether the provider would take `value` for an e-mail address."""
    return isinstance(value, str) and len(value) <= 254 and _ADDRESS.fullmatch(value) is not None


def invalid_address(field: str) -> Problem:
    """The refusal of the recipient that `field` names."""
    return Problem("Does not contain a valid address.", field, "message.personalizations.to")


def _personalizations(payload: dict[str, Any]) -> Iterator[Problem]:
    blocks = payload.get("personalizations")
    if not isinstance(blocks, list) or not blocks:
        yield Problem(
            "The personalizations field is required and must have at least one personalization.",
            "personalizations",
            "-Personalizations-Errors",
        )
        return
    if len(blocks) > MAX_PERSONALIZATIONS:
        yield Problem(
            "The personalization block is limited to 1000 personalizations per API request. You "
            f"have provided {len(blocks)} personalizations. Please consider splitting this into "
            "multiple requests and resending your request.",
            "personalizations",
            "-Personalizations-Errors",
        )
        return
    is_dynamic = str(payload.get("template_id") or "").startswith("d-")
    shared = payload.get("custom_args")
    seen: set[str] = set()
    recipients = 0
    for number, block in enumerate(blocks):
        field = f"personalizations.{number}"
        if not isinstance(block, dict):
            yield wrong_type(block, "object", field)
            continue
        recipients += sum(
            len(block[kind]) for kind in ("to", "cc", "bcc") if isinstance(block.get(kind), list)
        )
        yield from _recipients(block, field, seen)
        yield from arguments(shared, block.get("custom_args"), f"{field}.custom_args")
        yield from headers(block.get("headers"), f"{field}.headers")
        yield from substitutions(block.get("substitutions"), f"{field}.substitutions", is_dynamic)
        yield from send_at(block.get("send_at"), f"{field}.send_at")
        yield from optional(block, "subject", str, "string", field)
        yield from optional(block, "dynamic_template_data", dict, "object", field)
        if "from" in block:
            yield from _sender(block, f"{field}.")
    if recipients > MAX_RECIPIENTS:
        yield Problem(
            "There is a limit of 1000 total recipients (to + cc + bcc) per request.",
            "personalizations",
            "-Personalizations-Errors",
        )


def _recipients(block: dict[str, Any], field: str, seen: set[str]) -> Iterator[Problem]:
    if not isinstance(block.get("to"), list) or not block["to"]:
        yield Problem(
            "The to array is required for all personalization objects, and must have at least one "
            "email object with a valid email address.",
            f"{field}.to",
            "message.personalizations.to",
        )
    for kind in ("to", "cc", "bcc"):
        people = block.get(kind)
        if not isinstance(people, list):
            yield from optional(block, kind, list, "array", field)
            continue
        for number, person in enumerate(people):
            email = person.get("email") if isinstance(person, dict) else None
            if not is_address(email):
                yield invalid_address(f"{field}.{kind}.{number}.email")
                continue
            folded = str(email).lower()
            if folded in seen:
                yield Problem(
                    "Each email address in the personalization block should be unique between to, "
                    f"cc, and bcc. We found the first duplicate instance of [{email}] in the "
                    f"{field}.{kind} field.",
                    field,
                    "message.recipient-errors",
                )
            seen.add(folded)


def _sender(payload: dict[str, Any], prefix: str = "") -> Iterator[Problem]:
    sender = payload.get("from")
    email = sender.get("email") if isinstance(sender, dict) else None
    if not email:
        yield Problem(
            "The from object must be provided for every email send. It is an object that requires "
            "the email parameter, but may also contain a name parameter.",
            f"{prefix}from.email",
            "message.from",
        )
    elif not is_address(email):
        yield Problem(
            "The from email does not contain a valid address.",
            f"{prefix}from.email",
            "message.from",
        )


def _reply_to(payload: dict[str, Any]) -> Iterator[Problem]:
    reply_to = payload.get("reply_to")
    if reply_to is not None and not (
        isinstance(reply_to, dict) and is_address(reply_to.get("email"))
    ):
        yield Problem(
            "The reply_to email does not contain a valid address.",
            "reply_to.email",
            "message.reply_to",
        )


def _subject(payload: dict[str, Any]) -> Iterator[Problem]:
    yield from optional(payload, "subject", str, "string")
    yield from optional(payload, "template_id", str, "string")
    blocks = payload.get("personalizations")
    if payload.get("subject") or payload.get("template_id"):
        return
    if isinstance(blocks, list) and all(isinstance(b, dict) and b.get("subject") for b in blocks):
        return
    yield Problem(
        "The subject is required. You can get around this requirement if you use a template with "
        "a subject defined or if every personalization has a subject defined.",
        "subject",
        "message.subject",
    )


def _content(payload: dict[str, Any]) -> Iterator[Problem]:
    content = payload.get("content")
    if not content:
        if not payload.get("template_id"):
            yield Problem(
                "Unless a valid template_id is provided, the content parameter is required. There "
                "must be at least one defined content block. We typically suggest both text/plain "
                "and text/html blocks are included, but only one block is required.",
                "content",
                "message.content",
            )
        return
    if not isinstance(content, list):
        yield wrong_type(content, "array", "content")
        return
    types = [part.get("type") if isinstance(part, dict) else None for part in content]
    for number, part in enumerate(content):
        if "/" not in str(types[number]):
            yield Problem(
                "The content type must be a string at least one character in length.",
                f"content.{number}.type",
                "message.content.type",
            )
        value = part.get("value") if isinstance(part, dict) else None
        if not isinstance(value, str) or not value:
            yield Problem(
                "The content value must be a string at least one character in length.",
                f"content.{number}.value",
                "message.content.value",
            )
    order = [types.index(name) for name in ("text/plain", "text/html") if name in types]
    if order != list(range(len(order))) or len(set(map(str, types))) < len(types):
        yield Problem(
            "If present, text/plain and text/html may only be provided once, and in this order: "
            "text/plain, text/html, then any other type.",
            "content",
            "message.content.type",
        )


def _settings(payload: dict[str, Any], name: str) -> Iterator[Problem]:
    yield from optional(payload, name, dict, "object")
    group = payload.get(name)
    if isinstance(group, dict):
        for setting in group:
            yield from optional(group, setting, dict, "object", name)
