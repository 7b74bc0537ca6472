"""Rules of the provider about single values of a send request: types, sizes, reserved names.

How the parts of a request must fit together is in `request_rules`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

MAX_CUSTOM_ARGS_BYTES = 10_000
MAX_SUBSTITUTIONS_BYTES = 10_000
MAX_CATEGORIES = 10
MAX_CATEGORY_LENGTH = 255
MAX_SCHEDULE_SECONDS = 72 * 3600

_HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#"
_RESERVED_HEADERS = frozenset(
    {
        *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type"),
        *("content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc"),
    }
)
_TYPE_NAMES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


class Problem(NamedTuple):
    """One reason for a refusal: the provider's sentence and the field it names."""

    message: str
    field: str | None
    anchor: str = ""

    def as_json(self) -> dict[str, str | None]:
        """The entry in the `errors` list of the answer."""
        help_link = f"{_HELP}{self.anchor}" if self.anchor else None
        return {"message": self.message, "field": self.field, "help": help_link}


def wrong_type(value: Any, expected: str, field: str) -> Problem:
    """The refusal of a value whose JSON type is not `expected`."""
    return Problem(f"Invalid type. Expected: {expected}, given: {_TYPE_NAMES[type(value)]}.", field)


def optional(
    holder: dict[str, Any], name: str, kind: type, expected: str, field: str = ""
) -> Iterator[Problem]:
    """Refuses `holder[name]` if it is there with another type than `kind`."""
    value = holder.get(name)
    if value is not None and not isinstance(value, kind):
        yield wrong_type(value, expected, f"{field}.{name}" if field else name)


def strings(value: Any, field: str) -> Iterator[Problem]:
    """Refuses anything but an object whose values are all strings."""
    if value is None:
        return
    if not isinstance(value, dict):
        yield wrong_type(value, "object", field)
        return
    for name, entry in value.items():
        if not isinstance(entry, str):
            yield wrong_type(entry, "string", f"{field}.{name}")


def arguments(shared: Any, own: Any, field: str) -> Iterator[Problem]:
    """Refuses custom arguments that are no strings, or too large.

    Args:
        shared: The arguments of the whole request; their types are checked with the request.
        own: The arguments of one personalization.
        field: Where `own` stands.
    """
    yield from strings(own, field)
    merged = {**shared, **own} if isinstance(shared, dict) and isinstance(own, dict) else own
    if merged and len(json.dumps(merged, ensure_ascii=False).encode()) > MAX_CUSTOM_ARGS_BYTES:
        yield Problem(
            f"The custom_args may not exceed {MAX_CUSTOM_ARGS_BYTES} bytes.",
            field,
            "message.custom_args",
        )


def substitutions(value: Any, field: str, is_dynamic: bool) -> Iterator[Problem]:
    """Refuses substitutions that are no strings, too large, or combined with a dynamic template."""
    yield from strings(value, field)
    if not isinstance(value, dict) or not value:
        return
    if is_dynamic:
        yield Problem(
            "Substitutions may not be used with dynamic templating.",
            field,
            "message.personalizations.substitutions",
        )
    size = sum(len(str(tag).encode()) + len(str(text).encode()) for tag, text in value.items())
    if size > MAX_SUBSTITUTIONS_BYTES:
        yield Problem(
            f"The substitutions may not exceed {MAX_SUBSTITUTIONS_BYTES} bytes per personalization "
            "block.",
            field,
            "message.personalizations.substitutions",
        )


def headers(value: Any, field: str) -> Iterator[Problem]:
    """Refuses reserved headers, and values that would break out of their header line."""
    yield from strings(value, field)
    for name, text in value.items() if isinstance(value, dict) else ():
        if name.lower() in _RESERVED_HEADERS:
            yield Problem(
                f"The header {name} is reserved and may not be set.",
                f"{field}.{name}",
                "message.headers",
            )
        elif not name.isascii() or any(mark in f"{name}{text}" for mark in "\r\n"):
            yield Problem(
                "Headers must be a single line, and their names ASCII.",
                f"{field}.{name}",
                "message.headers",
            )


def categories(value: Any) -> Iterator[Problem]:
    """Refuses more than ten, repeated, overlong or non-string categories."""
    if value is None:
        return
    if not isinstance(value, list):
        yield wrong_type(value, "array", "categories")
        return
    if len(value) > MAX_CATEGORIES:
        yield Problem(
            f"You cannot have more than {MAX_CATEGORIES} categories per request.",
            "categories",
            "message.categories",
        )
    for number, category in enumerate(value):
        if not isinstance(category, str):
            yield wrong_type(category, "string", f"categories.{number}")
        elif len(category) > MAX_CATEGORY_LENGTH:
            yield Problem(
                f"Each category may not exceed {MAX_CATEGORY_LENGTH} characters.",
                f"categories.{number}",
                "message.categories",
            )
    if len({str(category) for category in value}) < len(value):
        yield Problem("Each category must be unique.", "categories", "message.categories")


def send_at(value: Any, field: str) -> Iterator[Problem]:
    """Refuses a schedule that is no timestamp or lies more than 72 hours ahead."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        yield wrong_type(value, "integer", field)
    elif value > time.time() + MAX_SCHEDULE_SECONDS:
        yield Problem(
            "The send_at parameter may not be more than 72 hours in the future.",
            field,
            "message.send_at",
        )


def unsubscribe_group(value: Any) -> Iterator[Problem]:
    """Refuses an `asm` that is no object with the number of a group."""
    if value is None:
        return
    if not isinstance(value, dict):
        yield wrong_type(value, "object", "asm")
        return
    group = value.get("group_id")
    if not isinstance(group, int) or isinstance(group, bool):
        yield wrong_type(group, "integer", "asm.group_id")
