"""A message as its recipient would see it: template and personalization put together.

Runs when the inbox opens a message and, for the subject alone, when a message is accepted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rendered:
    """The parts of one message; a part that was not sent is None."""

    sender: str
    reply_to: str | None
    html: str | None
    text: str | None
    template: str | None


def fill(text: str, substitutions: Mapping[str, str], sections: Mapping[str, str]) -> str:
    """Replaces every tag, and then the section tags that the replacements brought in.

    Values go in as they are, like the provider does it: escaping is the sender's duty.
    """
    for tags in (substitutions, sections):
        for tag, value in tags.items():
            if tag:
                text = text.replace(tag, value)
    return text


def render(payload: Mapping[str, Any], position: int) -> Rendered:
    """Renders one personalization of an accepted request.

    Args:
        payload: The request's JSON body.
        position: Index of the personalization.
    """
    personalization = payload["personalizations"][position]
    substitutions = personalization.get("substitutions") or {}
    sections = payload.get("sections") or {}
    parts = {
        part["type"]: fill(part["value"], substitutions, sections)
        for part in payload.get("content") or []
    }
    reply_to = payload.get("reply_to")
    template = payload.get("template_id")
    if template:
        data = personalization.get("dynamic_template_data") or {}
        template = f"{template} {json.dumps(data, ensure_ascii=False, indent=2)}"
    return Rendered(
        sender=_mailbox(personalization.get("from") or payload["from"]),
        reply_to=fill(_mailbox(reply_to), substitutions, sections) if reply_to else None,
        html=parts.get("text/html"),
        text=parts.get("text/plain"),
        template=template,
    )


def _mailbox(address: Mapping[str, str]) -> str:
    name = address.get("name")
    return f"{name} <{address['email']}>" if name else address["email"]
