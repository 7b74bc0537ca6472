"""Turns the values of one source column into the type that a feed declares, or says why not.

Pure: an Arrow array in, and two out: the typed values, and a reason wherever a value may not pass.
Which columns make up a row, and what becomes of a bad one, belongs to `validation.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from babel.numbers import list_currencies

from winback.extract.feeds import Column
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.rows import amounts
from winback.extract.rows.timestamps import instants

# values that may pass, and beside them a text wherever one may not (else null)
Parsed: TypeAlias = tuple[pa.Array, pa.Array]

# no blank of any script, and nothing unseen: a line break, a joiner, a change of direction
_PART = r"[^@\pZ\pC\"<>(),;:\\.]+"
EMAIL = rf"^{_PART}(\.{_PART})*@{_PART}(\.{_PART})+$"
NOTHING = pa.scalar(None, pa.string())
TRUE = pa.array(["true", "t", "yes", "y", "1"])
FALSE = pa.array(["false", "f", "no", "n", "0"])
# that Arrow reads as a decimal number, with a sign and a point to spare
MOST_DIGITS = 36
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
    if how.values:
        values = _translated(values, how.values)
    if column.kind == "timestamp":
        parsed, problem = _timestamps(values, how, how.timezone or business_timezone)
    elif column.kind in ("integer", "cents") and _is_whole(values, how):
        parsed, problem = pc.cast(values, pa.int64()), pa.nulls(len(values), pa.string())
    else:
        parsed, problem = _PARSERS[column.kind](_trimmed(as_text(values)), how)
    parsed, problem = _within_limits(parsed, problem, column)
    if column.is_required:
        is_missing = pc.and_(pc.is_null(parsed), pc.is_null(problem))
        problem = pc.if_else(is_missing, "is missing", problem)
    return parsed, problem


def _is_whole(values: pa.Array, how: ColumnMapping) -> bool:
    # an unsigned one may be too large, which its text will show
    return pa.types.is_signed_integer(values.type) and how.unit == "minor"


def _within_limits(parsed: pa.Array, problem: pa.Array, column: Column) -> Parsed:
    if column.minimum is not None:
        too_small = pc.fill_null(pc.less(parsed, column.minimum), False)
        reason = "is negative" if column.minimum == 0 else f"is below {column.minimum}"
        problem = pc.if_else(too_small, reason, problem)
    if column.maximum is not None:
        too_large = pc.fill_null(pc.greater(parsed, column.maximum), False)
        problem = pc.if_else(too_large, f"is above {column.maximum}", problem)
    if column.allowed:
        reason = f"is none of {', '.join(column.allowed)}"
        is_other = pc.and_(
            pc.is_valid(parsed), pc.invert(pc.is_in(parsed, pa.array(column.allowed)))
        )
        problem = pc.if_else(is_other, reason, problem)
    return parsed, problem


def _translated(values: pa.Array, words: Mapping[str, str]) -> pa.Array:
    texts = _trimmed(as_text(values))
    place = pc.index_in(texts, pa.array(list(words), pa.string()))
    return pc.coalesce(pa.array(list(words.values()), pa.string()).take(place), texts)


def as_text(values: pa.Array) -> pa.Array:
    """Any source's values as text, UUIDs as people write them."""
    if pa.types.is_string(values.type):
        return values
    if values.type == pa.uuid():
        texts = [None if value is None else str(value) for value in values.to_pylist()]
        return pa.array(texts, pa.string())
    texts = pc.cast(values, pa.string())
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return _without_exponents(texts)
    return texts


def _without_exponents(numbers: pa.Array) -> pa.Array:
    # Arrow writes the id 12345678901 of a float column with one, and a zero of many decimals
    has_exponent = pc.match_substring(numbers, "e", ignore_case=True)
    if not pc.any(has_exponent).as_py():
        return numbers
    plain = [format(Decimal(n), "f") for n in numbers.filter(has_exponent).to_pylist()]
    return pc.replace_with_mask(numbers, pc.fill_null(has_exponent, False), pa.array(plain))


def _trimmed(values: pa.Array) -> pa.Array:
    values = pc.utf8_trim_whitespace(values)
    is_empty = pc.equal(values, "")
    return pc.if_else(is_empty, NOTHING, values) if pc.any(is_empty).as_py() else values


def _matching(values: pa.Array, pattern: str, reason: str) -> Parsed:
    return _where(pc.match_substring_regex(values, pattern), values, reason)


def _where(is_good: pa.Array, values: pa.Array, reason: str) -> Parsed:
    if pc.all(is_good).as_py() is not False:
        return values, pa.nulls(len(values), pa.string())
    is_bad = pc.invert(pc.fill_null(is_good, True))
    return pc.if_else(is_bad, NOTHING, values), pc.if_else(is_bad, reason, NOTHING)


def _text(values: pa.Array, _: ColumnMapping) -> Parsed:
    if _holds_no_zero_byte(values):
        return values, pa.nulls(len(values), pa.string())
    return _where(pc.invert(pc.match_substring(values, "\x00")), values, "holds a NUL character")


def _holds_no_zero_byte(values: pa.Array) -> bool:
    # 40 times as fast as a search text by text; of a slice it also sees what lies around
    characters = values.buffers()[-1]
    return not characters or bool(np.frombuffer(characters, np.uint8).min())


def _integers(values: pa.Array, _: ColumnMapping) -> Parsed:
    plain = _plain_integers(values)
    if plain is not None:
        return plain, pa.nulls(len(values), pa.string())
    # databases and spreadsheets write whole numbers as 2.00
    good, problem = _matching(values, r"^[+-]?0*\d{1,18}(\.0*)?$", "is no whole number")
    digits = pc.replace_substring_regex(pc.utf8_ltrim(good, "+"), r"\..*$", "")
    return pc.cast(digits, pa.int64()), problem


def _plain_integers(values: pa.Array) -> pa.Array | None:
    """All of them at once, or None when only one is written otherwise."""
    try:
        parsed = pc.cast(values, pa.int64())
    except pa.ArrowInvalid:
        return None
    # Arrow also reads hexadecimal numbers
    is_hexadecimal = any(pc.any(pc.match_substring(values, x)).as_py() for x in "xX")
    limits = pc.min_max(parsed).as_py()
    is_too_long = limits["max"] is not None and max(limits["max"], -limits["min"]) >= 10**18
    return None if is_hexadecimal or is_too_long else parsed


def _numbers(values: pa.Array, how: ColumnMapping) -> Parsed:
    if how.decimal == ",":
        values = pc.replace_substring(pc.replace_substring(values, ".", "?"), ",", ".")
    reason = f"is no number such as 12{how.decimal}34 of at most 4 decimals"
    good, problem = _matching(values, r"^[+-]?\d{1,14}(\.\d{1,4}0*)?$", reason)
    return _decimals(good, pa.decimal128(18, 4)), problem


def _decimals(texts: pa.Array, kind: pa.Decimal128Type) -> pa.Array:
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest > MOST_DIGITS:
        # only zeros stand further behind
        texts = pc.replace_substring_regex(texts, rf"(\.\d{{{kind.scale}}})0+$", r"\1")
    return pc.cast(pc.utf8_ltrim(texts, "+"), kind)


def _booleans(values: pa.Array, _: ColumnMapping) -> Parsed:
    lower = pc.utf8_lower(values)
    is_true, is_false = pc.is_in(lower, TRUE), pc.is_in(lower, FALSE)
    _, problem = _where(
        pc.if_else(pc.is_valid(values), pc.or_(is_true, is_false), None),
        values,
        "is neither true nor false",
    )
    return pc.if_else(pc.or_(is_true, is_false), is_true, pa.scalar(None, pa.bool_())), problem


def _cents(values: pa.Array, how: ColumnMapping) -> Parsed:
    if how.unit == "minor":
        return _integers(values, how)
    if how.decimal == ",":
        # a point then marks thousands, or is a mistake: either way no amount such as 12,34
        values = pc.replace_substring(pc.replace_substring(values, ".", "?"), ",", ".")
    elif (plain := amounts.plain_cents(values)) is not None:
        return plain, pa.nulls(len(values), pa.string())
    pattern = r"^[+-]?\d{1,15}(\.\d{1,2}0*)?$"
    good, problem = _matching(values, pattern, f"is no amount such as 12{how.decimal}34")
    return amounts.cents(_decimals(good, amounts.DECIMAL)), problem


def _currency(values: pa.Array, _: ColumnMapping) -> Parsed:
    encoded = values.dictionary_encode()
    # of other letters some have an I or an S as their capital
    codes = pc.ascii_upper(encoded.dictionary)
    is_known = pc.is_in(codes, CURRENCIES).take(encoded.indices)
    return _where(is_known, codes.take(encoded.indices), "is no currency code such as EUR")


def _email(values: pa.Array, _: ColumnMapping) -> Parsed:
    return _matching(values, EMAIL, "is no e-mail address")


_PARSERS: dict[str, Callable[[pa.Array, ColumnMapping], Parsed]] = {
    "customer": _text,
    "text": _text,
    "integer": _integers,
    "number": _numbers,
    "boolean": _booleans,
    "cents": _cents,
    "currency": _currency,
    "email": _email,
}


def _timestamps(values: pa.Array, how: ColumnMapping, timezone: str) -> Parsed:
    is_typed = pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)
    parsed, is_none = instants(values if is_typed else _trimmed(as_text(values)), how, timezone)
    expected = how.format or "2024-12-31 or 2024-12-31T18:30:00+01:00"
    return parsed, pc.if_else(is_none, f"is no date written as {expected}", NOTHING)
