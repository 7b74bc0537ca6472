"""A message as its recipient would see it: template and personalization put together.

Runs when the inbox opens a message and, for the subject alone, when a message is accepted.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_INNERMOST = re.compile(
    r"\{\{#(if|unless)\s+(\w+)\s*\}\}((?:(?!\{\{#).)*?)(?:\{\{else\}\}((?:(?!\{\{#).)*?))?\{\{/\1\}\}",
    re.DOTALL,
)
_VALUE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


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


def fill_template(text: str, data: Mapping[str, Any]) -> str:
    """A part of a template as one recipient reads it; values are escaped, as Handlebars does.

    Knows values, `if`, `unless` and `else`: all that winback lets through.
    """

    def choose(found: re.Match[str]) -> str:
        is_there = bool(data.get(found[2]))
        return (found[3] if is_there == (found[1] == "if") else found[4]) or ""

    while (chosen := _INNERMOST.sub(choose, text)) != text:
        text = chosen
    return _VALUE.sub(lambda found: html.escape(str(data.get(found[1], ""))), text)


def render(
    payload: Mapping[str, Any], position: int, version: Mapping[str, str] | None = None
) -> Rendered:
    """Renders one personalization of an accepted request.

    Args:
        payload: The request's JSON body.
        position: Index of the personalization.
        version: The active version of its template, if it names one that is known.
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
        if version is not None:
            parts["text/html"] = fill_template(version["html_content"], data)
            parts["text/plain"] = fill_template(version["plain_content"], data)
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
