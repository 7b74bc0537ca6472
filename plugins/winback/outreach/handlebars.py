"""What a template kept at the provider must hold before anything is sent by it: pure functions.

Its text is written in Handlebars and only the provider ever fills it, so nothing can be checked in
the message itself. Who fetches the template is `sendgrid_templates.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# what every message must carry, by the name of the value; and what it is, for errors
REQUIRED = {
    "unsubscribe_url": "the stop link",
    "preferences_url": "the link to one's wishes",
    "why": "the reason why it comes",
    "sender_name": "the sender",
    "sender_postal_address": "the sender's address",
}
NAMES = (*REQUIRED, "first_name", "last_purchase_on", "grounded_on", "language")
# not everybody has one, so it may only be written where it was asked for
MAYBE = "first_name"
_OPPOSITE = {"if": "unless", "unless": "if"}
_LINKS = ("unsubscribe_url", "preferences_url")
_TAG = re.compile(
    r"\{\{!--.*?--\}\}|\{\{!.*?\}\}|\{\{\{\s*(?P<raw>.*?)\s*\}\}\}"
    r"|\{\{~?(?P<sign>[#/&^>]?)\s*(?P<inside>[^{}]*?)\s*~?\}\}",
    re.DOTALL,
)


@dataclass(frozen=True)
class _Written:
    """A value in a template, with the conditions that it stands under."""

    name: str
    conditions: tuple[str, ...]


def problems(part: str, kind: str) -> list[str]:
    """What is wrong with one part of a template.

    Args:
        part: Its text.
        kind: `subject`, `text` or `html`.
    """
    # what stands in a comment is read by nobody
    seen = re.sub(r"<!--.*?-->", "", part, flags=re.DOTALL) if kind == "html" else part
    found: list[str] = []
    written = list(_written(seen, found))
    for each in written:
        if each.name == MAYBE and f"if {MAYBE}" not in each.conditions:
            found.append(
                f"not everybody has a {MAYBE}: write {{{{{MAYBE}}}}} between"
                f" {{{{#if {MAYBE}}}}} and {{{{/if}}}}"
            )
    always = {each.name for each in written if not each.conditions}
    for name, what in REQUIRED.items() if kind != "subject" else ():
        if name not in always:
            found.append(f"it lacks {what}: write {{{{{name}}}}} in it, outside of any condition")
        elif kind == "html" and name in _LINKS and not _is_link(seen, name):
            found.append(f'{what} is no link: write href="{{{{{name}}}}}"')
    return list(dict.fromkeys(found))


def _is_link(text: str, name: str) -> bool:
    return (
        re.search(rf'<a\b[^>]*\bhref="\{{\{{\s*{name}\s*\}}\}}"', text, re.IGNORECASE) is not None
    )


def _written(text: str, found: list[str]) -> Iterator[_Written]:
    """Every value that is written; what is wrong on the way is added to `found`."""
    blocks: list[str] = []
    conditions: list[str] = []
    for tag in _TAG.finditer(text):
        raw, sign, inside = tag["raw"], tag["sign"], tag["inside"]
        if raw is not None or sign == "&":
            name = (raw if raw is not None else inside)[:60]
            found.append(f"{{{{{{{name}}}}}}} writes HTML as it comes: write {{{{{name}}}}}")
        elif inside is None:
            continue
        elif sign == "#":
            word, _, name = (each.strip() for each in inside.partition(" "))
            if word not in _OPPOSITE or name not in NAMES:
                found.append(
                    f"{{{{#{inside[:60]}}}}} can not be checked: write {{{{#if NAME}}}} or"
                    f" {{{{#unless NAME}}}} with one of {', '.join(NAMES)}"
                )
            blocks.append(word)
            conditions.append(f"{word} {name}")
        elif sign == "/":
            if not blocks or blocks.pop() != inside:
                found.append(f"{{{{/{inside[:60]}}}}} ends nothing that was begun")
            conditions = conditions[: len(blocks)]
        elif inside == "else" and conditions:
            word, _, name = conditions.pop().partition(" ")
            conditions.append(f"{_OPPOSITE.get(word, word)} {name}")
        elif sign or inside not in NAMES:
            found.append(
                f"{{{{{sign}{inside[:60]}}}}} is no value: the values are {', '.join(NAMES)}"
            )
        else:
            yield _Written(inside, tuple(conditions))
    if blocks:
        found.append(f"{{{{#{conditions[-1][:60]}}}}} is never ended")
