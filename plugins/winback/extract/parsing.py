"""Turns the values of one source column into the type that a feed declares, or says why not.

Pure: an Arrow array in, and two out: the typed values, and a reason wherever a value may not pass.
Which columns make up a row, and what becomes of a bad one, belongs to `validation.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from babel.numbers import list_currencies

from winback.extract.column_mapping import ColumnMapping
from winback.extract.feeds import Column

# values that may pass, and beside them a text wherever one may not (else null)
Parsed: TypeAlias = tuple[pa.Array, pa.Array]

_PART = r"[^@\x00-\x20\x7f\"<>(),;:\\.]+"
EMAIL = rf"^{_PART}(\.{_PART})*@{_PART}(\.{_PART})+$"
ISO_DATE = r"^\d{4}(?:-\d{2}-\d{2}|\d{4})(?:[T ].+)?$"
OFFSET = r"[T ]\d{2}(?::?\d{2}(?::?\d{2}(?:[.,]\d+)?)?)? ?(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"
EARLIEST, LATEST = pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC")
NOTHING = pa.scalar(None, pa.string())
CURRENCIES = pa.array(sorted(list_currencies()), pa.string())


def parse(
    values: pa.Array, column: Column, how: ColumnMapping, business_timezone: str
) -> tuple[pa.Array, pa.Array]:
    """Parses the values of one column.

    Args:
        values: As they come from the source, text or not.
        column: What the feed declares.
        how: How the source writes them.
        business_timezone: Zone of times without an offset where the mapping names none.

    Returns:
        The typed values, and beside them a reason wherever a value may not pass (else null).
    """
    if column.kind == "timestamp":
        parsed, problem = _timestamps(values, how, how.timezone or business_timezone)
    else:
        parsed, problem = _PARSERS[column.kind](_trimmed(as_text(values)), how)
    if column.minimum is not None:
        too_small = pc.fill_null(pc.less(parsed, column.minimum), False)
        reason = "is negative" if column.minimum == 0 else f"is below {column.minimum}"
        problem = pc.if_else(too_small, reason, problem)
    if column.is_required:
        is_missing = pc.and_(pc.is_null(parsed), pc.is_null(problem))
        problem = pc.if_else(is_missing, "is missing", problem)
    return parsed, problem


def as_text(values: pa.Array) -> pa.Array:
    """Any source's values as text, UUIDs as people write them."""
    if pa.types.is_string(values.type):
        return values
    if values.type == pa.uuid():
        texts = [None if value is None else str(value) for value in values.to_pylist()]
        return pa.array(texts, pa.string())
    return pc.cast(values, pa.string())


def _trimmed(values: pa.Array) -> pa.Array:
    values = pc.utf8_trim_whitespace(values)
    return pc.if_else(pc.equal(values, ""), NOTHING, values)


def _matching(values: pa.Array, pattern: str, reason: str) -> Parsed:
    return _where(pc.match_substring_regex(values, pattern), values, reason)


def _where(is_good: pa.Array, values: pa.Array, reason: str) -> Parsed:
    is_bad = pc.invert(pc.fill_null(is_good, True))
    return pc.if_else(is_bad, NOTHING, values), pc.if_else(is_bad, reason, NOTHING)


def _text(values: pa.Array, _: ColumnMapping) -> Parsed:
    return _matching(values, r"^[^\x00]*$", "holds a NUL character")


def _integers(values: pa.Array, _: ColumnMapping) -> Parsed:
    # databases and spreadsheets write whole numbers as 2.00
    good, problem = _matching(values, r"^[+-]?\d{1,18}(\.0*)?$", "is no whole number")
    digits = pc.replace_substring_regex(pc.utf8_ltrim(good, "+"), r"\..*$", "")
    return pc.cast(digits, pa.int64()), problem


def _cents(values: pa.Array, how: ColumnMapping) -> Parsed:
    if how.unit == "minor":
        return _integers(values, how)
    if how.decimal == ",":
        # a point then marks thousands, or is a mistake: either way no amount such as 12,34
        values = pc.replace_substring(pc.replace_substring(values, ".", "?"), ",", ".")
    pattern = r"^[+-]?\d{1,15}(\.\d{1,2}0*)?$"
    good, problem = _matching(values, pattern, f"is no amount such as 12{how.decimal}34")
    amount = pc.cast(pc.utf8_ltrim(good, "+"), pa.decimal128(20, 2))
    return pc.cast(pc.multiply(amount, pa.scalar(100, pa.int32())), pa.int64()), problem


def _currency(values: pa.Array, _: ColumnMapping) -> Parsed:
    codes = pc.utf8_upper(values)
    is_known = pc.or_(pc.is_null(codes), pc.is_in(codes, CURRENCIES))
    return _where(is_known, codes, "is no currency code such as EUR")


def _email(values: pa.Array, _: ColumnMapping) -> Parsed:
    return _matching(values, EMAIL, "is no e-mail address")


_PARSERS: dict[str, Callable[[pa.Array, ColumnMapping], Parsed]] = {
    "customer": _text,
    "text": _text,
    "integer": _integers,
    "cents": _cents,
    "currency": _currency,
    "email": _email,
}


def _timestamps(values: pa.Array, how: ColumnMapping, timezone: str) -> Parsed:
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        given = pd.to_datetime(values.to_pandas(), errors="coerce")
        parsed = _in_utc(given, timezone)
        is_given = given.notna()
    else:
        text = as_text(values).to_pandas(types_mapper=pd.ArrowDtype).str.strip()
        text = text.where(text != "")
        parsed = _parse_text(text, how, timezone)
        is_given = text.notna()
    is_outside = ((parsed < EARLIEST) | (parsed >= LATEST)).fillna(False)
    parsed = parsed.mask(is_outside)
    expected = how.format or "2024-12-31 or 2024-12-31T18:30:00+01:00"
    is_bad = pa.array((is_given & parsed.isna()).to_numpy(bool))
    problem = pc.if_else(is_bad, f"is no date written as {expected}", NOTHING)
    return pa.array(parsed.dt.as_unit("us"), pa.timestamp("us", "UTC")), problem


def _parse_text(text: pd.Series[str], how: ColumnMapping, timezone: str) -> pd.Series[pd.Timestamp]:
    if how.format is not None:
        is_utc = "%z" in how.format
        return _in_utc(_to_datetime(text, how.format, is_utc=is_utc), timezone)
    text = text.where(text.str.contains(ISO_DATE, regex=True).fillna(False).astype(bool))
    has_offset = text.str.contains(OFFSET, regex=True).fillna(False).astype(bool)
    parsed = _in_utc(_to_datetime(text.where(~has_offset), "ISO8601", is_utc=False), timezone)
    if has_offset.any():
        with_offset = _to_datetime(text.where(has_offset).str.upper(), "ISO8601", is_utc=True)
        parsed = parsed.where(~has_offset, with_offset)
    return parsed


def _to_datetime(text: pd.Series[str], form: str, *, is_utc: bool) -> pd.Series[pd.Timestamp]:
    return pd.to_datetime(text.astype(object), format=form, errors="coerce", utc=is_utc)


def _in_utc(given: pd.Series[pd.Timestamp], timezone: str) -> pd.Series[pd.Timestamp]:
    if given.dt.tz is not None:
        return given.dt.tz_convert("UTC")
    # a time that the clock change repeats is taken as the first of the two; one that it skips does
    # not exist and is refused, except for a mere date: some zones skip midnight itself
    is_first = np.full(len(given), True)
    local = given.dt.tz_localize(timezone, ambiguous=is_first, nonexistent="NaT")
    is_date = given.notna() & (given == given.dt.normalize())
    if (is_date & local.isna()).any():
        shifted = given.dt.tz_localize(timezone, ambiguous=is_first, nonexistent="shift_forward")
        local = local.where(~is_date, shifted)
    return local.dt.tz_convert("UTC")
