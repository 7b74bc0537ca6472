"""What a template kept at the provider must hold before anything is sent by it: pure functions.

Its text is written in Handlebars and only the provider ever fills it, so nothing can be checked in
the message itself. Who fetches the template is `sendgrid_templates.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from winback.outreach.required_parts import lacking

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
    """A value in a template, with the conditions that it stands under, and its place."""

    name: str
    conditions: tuple[str, ...]
    place: tuple[int, int]


def problems(part: str, kind: str) -> list[str]:
    """What is wrong with one part of a template.

    Args:
        part: Its text.
        kind: `subject`, `text` or `html`.
    """
    found: list[str] = []
    # comments of HTML as well: the provider fills what stands in them
    written = list(_written(part, found))
    for each in written:
        if each.name == MAYBE and f"if {MAYBE}" not in each.conditions:
            found.append(
                f"not everybody has a {MAYBE}: write {{{{{MAYBE}}}}} between"
                f" {{{{#if {MAYBE}}}}} and {{{{/if}}}}"
            )
    if kind != "subject":
        as_read = [_filled(part, written, has_name=has_name) for has_name in (True, False)]
        for name, what in REQUIRED.items():
            for filled in as_read:
                if problem := _lacks(filled, kind, name, what):
                    found.append(problem)
    return list(dict.fromkeys(found))


def _lacks(filled: str, kind: str, name: str, what: str) -> str | None:
    words = {name: _value(name)}
    links = words if name in _LINKS else {}
    if lacking(filled, kind, links, {} if links else words) is None:
        return None
    if links and lacking(filled, kind, {}, words) is None:
        return f'{what} is no link: write <a href="{{{{{name}}}}}"> around some words'
    return (
        f"it lacks {what}: write {{{{{name}}}}} in it, outside of any condition and where it is"
        " read"
    )


def _filled(part: str, written: Sequence[_Written], *, has_name: bool) -> str:
    """A part as somebody reads it who has a first name, or none; every other value is there."""
    values = {each.place: _value(each.name) for each in written}
    filled, end = [], 0
    for tag, conditions in _tags(part):
        if _is_met(conditions, has_name=has_name):
            filled += [part[end : tag.start()], values.get(tag.span(), "")]
        end = tag.end()
    filled.append(part[end:])
    return "".join(filled)


def _is_met(conditions: Iterable[str], *, has_name: bool) -> bool:
    return all(
        (word == "if") == (has_name or name != MAYBE)
        for word, _, name in (each.partition(" ") for each in conditions)
    )


def _value(name: str) -> str:
    # what no template has
    return f"\u27e6{name}\u27e7"


def _tags(text: str) -> Iterator[tuple[re.Match[str], tuple[str, ...]]]:
    """Every tag, with the conditions that it, and the text before it, stands under."""
    conditions: list[str] = []
    for tag in _TAG.finditer(text):
        yield tag, tuple(conditions)
        sign, inside = tag["sign"], tag["inside"]
        if sign == "#":
            word, _, name = (each.strip() for each in inside.partition(" "))
            conditions.append(f"{word} {name}")
        elif sign == "/":
            del conditions[-1:]
        elif inside == "else" and conditions:
            word, _, name = conditions.pop().partition(" ")
            conditions.append(f"{_OPPOSITE.get(word, word)} {name}")


def _written(text: str, found: list[str]) -> Iterator[_Written]:
    """Every value that is written; what is wrong on the way is added to `found`."""
    begun: list[tuple[str, str]] = []
    for tag, conditions in _tags(text):
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
            begun.append((word, name))
        elif sign == "/":
            if not begun or begun.pop()[0] != inside:
                found.append(f"{{{{/{inside[:60]}}}}} ends nothing that was begun")
        elif inside == "else" and conditions:
            continue
        elif sign or inside not in NAMES:
            found.append(
                f"{{{{{sign}{inside[:60]}}}}} is no value: the values are {', '.join(NAMES)}"
            )
        else:
            yield _Written(inside, conditions, tag.span())
    if begun:
        found.append(f"{{{{#{' '.join(begun[-1])[:60]}}}}} is never ended")
