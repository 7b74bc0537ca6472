"""Turns a source's dates and times into instants in UTC, or says which are none.

Pure, like `parsing.py`, whose kind `timestamp` this is. Arrow does the usual cases; what it can not
read, or what a clock change makes doubtful, is read again by pandas, value by value.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from winback.extract.mapping.column_mapping import ColumnMapping

_TIME = r"[T ]\d{1,2}(?::?\d{2}(?::?\d{2}(?:[.,]\d*)?)?)?"
_OFFSET = r" ?(?:[Zz]|[+-]\d{2}(?::?\d{2})?)"
ISO_DATE = rf"^\d{{4}}(?:-\d{{2}}-\d{{2}}|\d{{4}})(?:{_TIME}(?:{_OFFSET})?)?$"
OFFSET = rf"{_TIME}{_OFFSET}$"
# Arrow knows no daylight saving time from here on
ARROW_ZONES_END = pa.scalar(datetime(2037, 1, 1), pa.timestamp("us"))
# what pandas takes for the present moment, whatever the format
PRESENT = ("now", "today")
EARLIEST, LATEST = pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC")
# in any zone; a value further off is none, and would wrap around as another day in finer units
REACH = (datetime(1969, 12, 30), datetime(2100, 1, 3))
INSTANT = pa.timestamp("us", "UTC")


def instants(values: pa.Array, how: ColumnMapping, timezone: str) -> tuple[pa.Array, pa.Array]:
    """Parses dates and times.

    Args:
        values: Timestamps or dates of the source, or text (trimmed, empty ones null).
        how: How the source writes them.
        timezone: Zone of times without an offset.

    Returns:
        The instants, null where there is none, and beside them whether a value was given that is
        no instant between 1970 and 2099.
    """
    if pa.types.is_string(values.type):
        parsed = _of_text(values, how, timezone)
    else:
        parsed = _of_typed(values, timezone)
    is_inside = pc.and_(
        pc.greater_equal(parsed, pa.scalar(EARLIEST, INSTANT)),
        pc.less(parsed, pa.scalar(LATEST, INSTANT)),
    )
    if pc.all(is_inside).as_py() is not True:
        parsed = pc.if_else(pc.fill_null(is_inside, True), parsed, pa.scalar(None, INSTANT))
    return parsed, pc.and_(pc.is_valid(values), pc.is_null(parsed))


def _of_typed(values: pa.Array, timezone: str) -> pa.Array:
    if pa.types.is_timestamp(values.type) and values.type.tz is not None:
        return pc.cast(_in_reach(values), INSTANT, safe=False)
    values = _in_reach(values)
    try:
        return _local(pc.cast(values, pa.timestamp("us"), safe=False), timezone)
    except pa.ArrowInvalid:
        given = pd.to_datetime(values.to_pandas(), errors="coerce")
        return _to_arrow(_in_utc(given, timezone))


def _in_reach(values: pa.Array) -> pa.Array:
    """The values without those so far off that they would come around as another day."""
    first, last = (pc.cast(pa.scalar(day, pa.timestamp("us")), values.type) for day in REACH)
    is_near = pc.and_(pc.greater(values, first), pc.less(values, last))
    if pc.all(is_near).as_py() is not False:
        return values
    return pc.if_else(pc.fill_null(is_near, False), values, pa.scalar(None, values.type))


def _of_text(values: pa.Array, how: ColumnMapping, timezone: str) -> pa.Array:
    if how.format is None:
        parsed = _of_iso_text(values, timezone)
        if parsed is not None:
            return parsed
    # the same days come again and again: read each once
    encoded = values.dictionary_encode()
    series = cast("pd.Series[str]", encoded.dictionary.to_pandas(types_mapper=pd.ArrowDtype))
    return _to_arrow(_parse_each(series, how, timezone)).take(encoded.indices)


def _of_iso_text(texts: pa.Array, timezone: str) -> pa.Array | None:
    """All of them at once, or None when only one is written or lies otherwise."""
    # an attempt in vain costs as much as ten that succeed, so the first text says which to make
    is_given = pc.is_valid(texts)
    first = texts.slice(pc.index(is_given, True).as_py(), 1) if pc.any(is_given).as_py() else texts
    has_offset = bool(pc.any(pc.match_substring_regex(first, OFFSET)).as_py())
    try:
        if has_offset:
            return pc.cast(texts, INSTANT)
        return _local(_in_reach(pc.cast(texts, pa.timestamp("us"))), timezone)
    except pa.ArrowInvalid:
        return None


def _local(values: pa.Array, timezone: str) -> pa.Array:
    if timezone == "UTC":
        return pc.cast(values, INSTANT)
    if pc.greater(pc.max(values), ARROW_ZONES_END).as_py():
        return _to_arrow(_in_utc(values.to_pandas(), timezone))
    # a time that the clock change repeats is taken as the first of the two
    zoned = pc.assume_timezone(values, timezone, ambiguous="earliest", nonexistent="raise")
    return pc.cast(zoned, INSTANT)


def _parse_each(text: pd.Series[str], how: ColumnMapping, timezone: str) -> pd.Series[pd.Timestamp]:
    if how.format is not None:
        is_utc = "%z" in how.format
        text = text.where(~text.str.lower().isin(PRESENT))
        return _in_utc(_to_datetime(text, how.format, is_utc=is_utc), timezone)
    text = text.where(text.str.contains(ISO_DATE, regex=True).fillna(False).astype(bool))
    has_offset = text.str.contains(OFFSET, regex=True).fillna(False).astype(bool)
    parsed = _in_utc(_to_datetime(text.where(~has_offset), "ISO8601", is_utc=False), timezone)
    if has_offset.any():
        with_offset = _to_datetime(text.where(has_offset).str.upper(), "ISO8601", is_utc=True)
        parsed = parsed.where(~has_offset, with_offset)
    return parsed


def _to_datetime(text: pd.Series[str], form: str, *, is_utc: bool) -> pd.Series[pd.Timestamp]:
    given = pd.to_datetime(text.astype(object), format=form, errors="coerce", utc=is_utc)
    # one with nanoseconds would leave no room for the year 9999 of another
    return given.dt.as_unit("us")


def _to_arrow(given: pd.Series[pd.Timestamp]) -> pa.Array:
    is_outside = ((given < EARLIEST) | (given >= LATEST)).fillna(False)
    return pa.array(given.mask(is_outside).dt.as_unit("us"), INSTANT)


def _in_utc(given: pd.Series[pd.Timestamp], timezone: str) -> pd.Series[pd.Timestamp]:
    if given.dt.tz is not None:
        return given.dt.tz_convert("UTC")
    # one that the clock change skips does not exist and is refused, except for a mere date: some
    # zones skip midnight itself
    is_first = np.full(len(given), True)
    local = given.dt.tz_localize(timezone, ambiguous=is_first, nonexistent="NaT")
    is_date = given.notna() & (given == given.dt.normalize())
    if (is_date & local.isna()).any():
        shifted = given.dt.tz_localize(timezone, ambiguous=is_first, nonexistent="shift_forward")
        local = local.where(~is_date, shifted)
    return local.dt.tz_convert("UTC")
