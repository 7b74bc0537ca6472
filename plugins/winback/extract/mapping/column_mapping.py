"""Where one column of a feed comes from, as the sources file says, and what is wrong with that.

The feed around it belongs to `mapping.py`; turning values into types to `parsing.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

from winback.errors import DeclarationError
from winback.extract.feeds import Column

ORIGINS = ("column", "constant", "template", "generate")
# which further key makes sense for which kinds of columns; none: for all
DETAILS: dict[str, tuple[str, ...]] = {
    "format": ("timestamp",),
    "timezone": ("timestamp",),
    "unit": ("cents",),
    "decimal": ("cents", "number"),
    "values": (),
}
CHOICES = {"unit": ("minor", "major"), "decimal": (".", ","), "generate": ("file_row",)}


@dataclass(frozen=True)
class ColumnMapping:
    """Where one column of a feed comes from; exactly one of the first four is set.

    Attributes:
        column: Name of a column at the source.
        constant: The same text for every row.
        template: A text with `{column}` in it, filled from the source's columns.
        generate: `file_row`: file name and row number, for sources without an id.
        format: How a date is written (strptime); ISO 8601 when left out.
        unit: `major` for amounts in euros or dollars; minor units when left out.
        decimal: `,` where amounts are written as 12,34.
        timezone: Zone of times without an offset; business time when left out.
        values: The source's words and what they are called in the feed, such as Ja: true. A word
            that is not listed goes on as it is.
    """

    column: str | None = None
    constant: str | None = None
    template: str | None = None
    generate: str | None = None
    format: str | None = None
    unit: str = "minor"
    decimal: str = "."
    timezone: str | None = None
    values: dict[str, str] = field(default_factory=dict)

    @property
    def source_columns(self) -> set[str]:
        """The columns of the source that it reads."""
        if self.template is not None:
            return {name for _, name, _, _ in Formatter().parse(self.template) if name}
        return {self.column} if self.column else set()


def read_column(where: str, column: Column, entry: Any) -> ColumnMapping:
    """Reads and checks the mapping of one column.

    Args:
        where: File, dataset, feed and column, for messages.
        column: The declaration.
        entry: A column's name, or an object of the keys above.

    Raises:
        DeclarationError: The entry can not work; the message says what to write.
    """
    if not isinstance(entry, dict):
        return ColumnMapping(column=_text(where, "the column", entry))
    refuse_unknown(where, entry, {*ORIGINS, *DETAILS})
    if len([key for key in ORIGINS if key in entry]) != 1:
        raise DeclarationError(f"{where}: write exactly one of {names(ORIGINS)}")
    given = {
        key: _text(where, f"`{key}`", value) for key, value in entry.items() if key != "values"
    }
    for key, allowed in CHOICES.items():
        if given.get(key, allowed[0]) not in allowed:
            raise DeclarationError(f"{where}: `{key}` is one of {names(allowed)}")
    for key in given:
        kinds = DETAILS.get(key, ())
        if kinds and column.kind not in kinds:
            raise DeclarationError(
                f"{where}: `{key}` belongs to columns of kind {' and '.join(kinds)}, and this is of"
                f" kind {column.kind}; leave it out"
            )
    if column.kind == "cents" and "decimal" in given and given.get("unit") != "major":
        raise DeclarationError(f"{where}: `decimal` needs `unit: major` beside it")
    check_expressions(where, given)
    return ColumnMapping(**given, values=_values(where, entry))


def _values(where: str, entry: dict[str, Any]) -> dict[str, str]:
    if "values" not in entry:
        return {}
    listed = entry["values"]
    if not isinstance(listed, dict) or not listed:
        raise DeclarationError(
            f"{where}: `values` lists the source's words with the feed's, such as "
            "{Ja: true, Nein: false}"
        )
    if "column" not in entry and "template" not in entry:
        raise DeclarationError(f"{where}: `values` needs `column` beside it")
    found = {}
    for word, meaning in listed.items():
        # as people write a truth value, not as Python does
        said = str(meaning).lower() if isinstance(meaning, bool) else meaning
        found[_text(where, "a word of `values`", word)] = _text(where, f"`values` {word}", said)
    return found


def names(values: Iterable[str]) -> str:
    """Some names for a message, each in backquotes."""
    return ", ".join(f"`{value}`" for value in values)


def refuse_unknown(where: str, entry: dict[str, Any], known: set[str]) -> None:
    """Refuses keys that nothing reads.

    Raises:
        DeclarationError: There is one.
    """
    unknown = sorted({str(key) for key in entry} - known)
    if unknown:
        raise DeclarationError(
            f"{where}: unknown {names(unknown)}; possible are {names(sorted(known))}"
        )


def _text(where: str, what: str, value: Any) -> str:
    # YAML reads the country NO and an empty value as something else than text
    is_text = isinstance(value, str | int | date) and not isinstance(value, bool)
    if not is_text or value == "":
        raise DeclarationError(
            f"{where}: {what} is {value!r}: write a text, in quotes where YAML reads it otherwise"
        )
    return str(value)


def check_expressions(where: str, given: dict[str, str]) -> None:
    """Refuses a `template`, `format` or `timezone` that can not work.

    Raises:
        DeclarationError: There is one; the message says what to write.
    """
    if "template" in given:
        try:
            fields = [
                field for field in Formatter().parse(given["template"]) if field[1] is not None
            ]
        except ValueError:
            fields = []
        if not fields or any(not name or form or how for _, name, form, how in fields):
            raise DeclarationError(
                f"{where}: `template` is {given['template']!r}: write each column of the source in "
                "braces, such as `customer-{id}@example.com`"
            )
    if "format" in given:
        _check_date_format(where, given["format"])
    if "timezone" in given:
        try:
            ZoneInfo(given["timezone"])
        except (KeyError, ValueError, OSError) as error:
            raise DeclarationError(
                f"{where}: there is no `timezone` {given['timezone']!r}: write one such as "
                "Europe/Berlin"
            ) from error


def _check_date_format(where: str, form: str) -> None:
    try:
        # only a format that can be one gets as far as missing its date
        datetime.strptime("", form)
        is_format = False
    except ValueError as error:
        is_format = "does not match format" in str(error)
    if not is_format or not re.search("%[yYG]", form) or not re.search("%[dju]", form):
        raise DeclarationError(
            f"{where}: `format` is {form!r}: write year, month and day as strptime does, such as "
            "%d.%m.%Y or %Y-%m-%d %H:%M:%S"
        )
