"""The cursor of a feed: the column that tells which of its rows are new or changed.

Only what the sources file says about it; filtering rows by it is `cursor_filter.py`, and which
value was reached is kept by whoever loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from winback.errors import DeclarationError
from winback.extract.mapping.column_mapping import check_expressions, names, refuse_unknown

CursorValue: TypeAlias = datetime | int
CURSOR_KEYS = ("column", "kind", "overlap_days", "overlap", "format", "timezone")


@dataclass(frozen=True)
class Cursor:
    """The column that grows with every new or changed row.

    Attributes:
        column: Its name at the source.
        kind: `time` for a time or date, `number` for a whole number.
        overlap_days: How far before the newest time reached rows are read again, because some
            are committed later than their time says.
        overlap: The same for numbers.
        format: How a time in a text file is written (strptime); ISO 8601 when left out.
        timezone: Zone of times without an offset; business time when left out.
    """

    column: str
    overlap_days: int = 3
    kind: Literal["time", "number"] = "time"
    overlap: int = 1000
    format: str | None = None
    timezone: str | None = None

    def since(self, reached: CursorValue) -> CursorValue:
        """Where to begin reading, given the newest value that was loaded."""
        if isinstance(reached, datetime):
            return reached - timedelta(days=self.overlap_days)
        return reached - self.overlap


def read_cursor(where: str, entry: Any) -> Cursor:
    """Reads and checks the key `cursor` of a feed.

    Args:
        where: File, dataset and feed, for messages.
        entry: A column's name, or an object of `CURSOR_KEYS`.

    Raises:
        DeclarationError: The entry can not work; the message says what to write.
    """
    if isinstance(entry, str) and entry:
        return Cursor(entry)
    if not isinstance(entry, dict):
        raise DeclarationError(f"{where} is {entry!r}: name a column of the source")
    refuse_unknown(where, entry, set(CURSOR_KEYS))
    for key in ("column", "format", "timezone"):
        if key in entry and not (isinstance(entry[key], str) and entry[key]):
            raise DeclarationError(f"{where}: `{key}` is {entry[key]!r}: write a text, in quotes")
    if "column" not in entry:
        raise DeclarationError(f"{where}: name the source's `column`")
    kind = entry.get("kind", "time")
    if kind not in ("time", "number"):
        raise DeclarationError(f"{where}: `kind` is one of {names(('time', 'number'))}")
    for key in ("overlap",) if kind == "time" else ("overlap_days", "format", "timezone"):
        if key in entry:
            other = "number" if kind == "time" else "time"
            raise DeclarationError(f"{where}: `{key}` belongs to `kind: {other}`; leave it out")
    for key in ("overlap_days", "overlap"):
        value = entry.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise DeclarationError(f"{where}: `{key}` is {value!r}: write a whole number from 0")
    check_expressions(where, {key: entry[key] for key in ("format", "timezone") if key in entry})
    return Cursor(**entry)
