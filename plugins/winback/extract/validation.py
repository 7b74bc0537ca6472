"""Turns a batch of source columns into a batch of the declared feed, and says which rows may not pass.

Pure: Arrow in, Arrow out. Every value is either what the declaration says or has a reason why not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from winback.errors import SourceError
from winback.extract.feeds import Column
from winback.extract.file_source import ROW_NUMBER
from winback.extract.mapping import ColumnMapping, FeedMapping
from winback.privacy import keyed_hash

EMAIL = r"^[^@\s\"<>(),;:\\]+@[^@\s\"<>(),;:\\.]+(\.[^@\s\"<>(),;:\\.]+)+$"
OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})$"
EARLIEST, LATEST = pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC")


@dataclass(frozen=True)
class Rejected:
    """A row that may not pass."""

    row_number: int
    reasons: list[str]
    content: str


@dataclass(frozen=True)
class Checked:
    """What became of a batch.

    Attributes:
        passed: The good rows in the declared types, `ROW_NUMBER` last.
        rejected: The other rows.
    """

    passed: pa.RecordBatch
    rejected: list[Rejected]


def check(
    batch: pa.RecordBatch,
    mapping: FeedMapping,
    dataset: str,
    business_timezone: str,
    known_until: datetime | None = None,
) -> Checked:
    """Applies the mapping and the declaration to a batch.

    Args:
        batch: Source columns plus `ROW_NUMBER`.
        mapping: The feed's mapping.
        dataset: Part of every customer key.
        business_timezone: Zone of times without an offset where the mapping names none.
        known_until: Rows whose event time is this instant or later are left out altogether.

    Raises:
        SourceError: The source lacks a column that the mapping names.
    """
    source = {column.name: _from_source(batch, column, mapping) for column in mapping.feed.columns}
    values: dict[str, pa.Array] = {}
    problems: dict[str, pa.Array] = {}
    for column in mapping.feed.columns:
        how = mapping.columns.get(column.name, ColumnMapping())
        parsed, problem = _parse(source[column.name], column, how, business_timezone)
        values[column.name] = parsed
        problems[column.name] = problem
    # one mask for the usual case that every row is good
    flags = [pc.is_valid(problem) for problem in problems.values()]
    is_bad = flags[0]
    for flag in flags[1:]:
        is_bad = pc.or_(is_bad, flag)
    good = pc.invert(is_bad)
    if known_until is not None:
        is_known = pc.fill_null(pc.less(values[mapping.feed.event_time], known_until), True)
        is_bad, good = pc.and_(is_bad, is_known), pc.and_(good, is_known)
    rejected = _rejected(batch.filter(is_bad), source, problems, is_bad, mapping)
    arrays, names = [], []
    for column in mapping.feed.columns:
        for name, array in _stored(column, values[column.name].filter(good), dataset, mapping):
            names.append(name)
            arrays.append(array)
    arrays.append(batch.column(ROW_NUMBER).filter(good))
    return Checked(pa.record_batch(arrays, names=[*names, ROW_NUMBER]), rejected)


def _from_source(batch: pa.RecordBatch, column: Column, mapping: FeedMapping) -> pa.Array:
    how = mapping.columns.get(column.name)
    if how is None:
        return pa.nulls(batch.num_rows, pa.string())
    if how.constant is not None:
        return pa.array([how.constant] * batch.num_rows, pa.string())
    if how.generate is not None:
        numbers = pc.cast(batch.column(ROW_NUMBER), pa.string())
        return pc.binary_join_element_wise(f"{mapping.source}:", numbers, "")
    if how.template is not None:
        return _fill_template(batch, how.template, mapping)
    return _source_column(batch, str(how.column), mapping)


def _source_column(batch: pa.RecordBatch, name: str, mapping: FeedMapping) -> pa.Array:
    if name not in batch.schema.names:
        present = ", ".join(n for n in batch.schema.names if n != ROW_NUMBER)
        raise SourceError(
            f"{mapping.source} has no column {name!r} (it has: {present}): "
            f"mend the source or the mapping of feed {mapping.feed.name}"
        )
    return batch.column(name)


def _fill_template(batch: pa.RecordBatch, template: str, mapping: FeedMapping) -> pa.Array:
    parts: list[pa.Array | str] = []
    rest = template
    while "{" in rest:
        text, _, after = rest.partition("{")
        name, _, rest = after.partition("}")
        parts += [text, pc.cast(_source_column(batch, name, mapping), pa.string())]
    return pc.binary_join_element_wise(*parts, rest, "", null_handling="emit_null")


def _parse(
    values: pa.Array, column: Column, how: ColumnMapping, business_timezone: str
) -> tuple[pa.Array, pa.Array]:
    """The typed values, and beside them a reason wherever a value may not pass (else null)."""
    if column.kind == "timestamp":
        parsed, problem = _timestamps(values, how, how.timezone or business_timezone)
    else:
        if not pa.types.is_string(values.type):
            values = pc.cast(values, pa.string())
        values = pc.utf8_trim_whitespace(values)
        values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
        parsed, problem = PARSERS[column.kind](values, how)
    if column.minimum is not None:
        too_small = pc.fill_null(pc.less(parsed, column.minimum), False)
        reason = "is negative" if column.minimum == 0 else f"is below {column.minimum}"
        problem = pc.if_else(too_small, reason, problem)
    if column.is_required:
        is_missing = pc.and_(pc.is_null(parsed), pc.is_null(problem))
        problem = pc.if_else(is_missing, "is missing", problem)
    return parsed, problem


def _matching(values: pa.Array, pattern: str, reason: str) -> tuple[pa.Array, pa.Array]:
    is_bad = pc.invert(pc.fill_null(pc.match_substring_regex(values, pattern), True))
    nothing = pa.scalar(None, pa.string())
    return pc.if_else(is_bad, nothing, values), pc.if_else(is_bad, reason, nothing)


def _text(values: pa.Array, _: ColumnMapping) -> tuple[pa.Array, pa.Array]:
    return _matching(values, r"^[^\x00]*$", "holds a NUL character")


def _integers(values: pa.Array, _: ColumnMapping) -> tuple[pa.Array, pa.Array]:
    good, problem = _matching(values, r"^[+-]?\d{1,18}$", "is no whole number")
    return pc.cast(pc.utf8_ltrim(good, "+"), pa.int64()), problem


def _cents(values: pa.Array, how: ColumnMapping) -> tuple[pa.Array, pa.Array]:
    if how.unit == "minor":
        return _integers(values, how)
    good, problem = _matching(
        values, r"^[+-]?\d{1,15}(\.\d{1,2}0*)?$", "is no amount such as 12.34"
    )
    amount = pc.cast(pc.utf8_ltrim(good, "+"), pa.decimal128(20, 2))
    return pc.cast(pc.multiply(amount, pa.scalar(100, pa.int32())), pa.int64()), problem


def _currency(values: pa.Array, _: ColumnMapping) -> tuple[pa.Array, pa.Array]:
    return _matching(pc.utf8_upper(values), r"^[A-Z]{3}$", "is no currency code such as EUR")


def _email(values: pa.Array, _: ColumnMapping) -> tuple[pa.Array, pa.Array]:
    return _matching(values, EMAIL, "is no e-mail address")


PARSERS: dict[str, Callable[[pa.Array, ColumnMapping], tuple[pa.Array, pa.Array]]] = {
    "customer": _text,
    "text": _text,
    "integer": _integers,
    "cents": _cents,
    "currency": _currency,
    "email": _email,
}


def _timestamps(values: pa.Array, how: ColumnMapping, timezone: str) -> tuple[pa.Array, pa.Array]:
    if pa.types.is_string(values.type):
        text = values.to_pandas(types_mapper=pd.ArrowDtype).str.strip()
        text = text.where(text != "")
        has_offset = text.str.contains(OFFSET, regex=True).fillna(False).astype(bool)
        parsed = _parse_text(text.where(~has_offset), how, timezone)
        if has_offset.any():
            parsed = parsed.where(~has_offset, _parse_text(text.where(has_offset), how, None))
        is_given = text.notna()
    else:
        given = pd.to_datetime(values.to_pandas(), errors="coerce")
        parsed = _in_utc(given, timezone)
        is_given = given.notna()
    is_outside = ((parsed < EARLIEST) | (parsed >= LATEST)).fillna(False)
    parsed = parsed.mask(is_outside)
    expected = how.format or "2024-12-31 or 2024-12-31T18:30:00+01:00"
    is_bad = pa.array((is_given & parsed.isna()).to_numpy(bool))
    problem = pc.if_else(is_bad, f"is no date written as {expected}", pa.scalar(None, pa.string()))
    return pa.array(parsed.dt.as_unit("us"), pa.timestamp("us", "UTC")), problem


def _parse_text(text: pd.Series, how: ColumnMapping, timezone: str | None) -> pd.Series:
    given = pd.to_datetime(
        text.astype(object), format=how.format or "ISO8601", errors="coerce", utc=timezone is None
    )
    return given if timezone is None else _in_utc(given, timezone)


def _in_utc(given: pd.Series, timezone: str) -> pd.Series:
    if given.dt.tz is not None:
        return given.dt.tz_convert("UTC")
    # a time that the clock change skips does not exist and is refused; one that it repeats is
    # taken as the first of the two
    local = given.dt.tz_localize(timezone, ambiguous=[True] * len(given), nonexistent="NaT")
    return local.dt.tz_convert("UTC")


def _stored(
    column: Column, values: pa.Array, dataset: str, mapping: FeedMapping
) -> list[tuple[str, pa.Array]]:
    """What is loaded of a column: personal values and, in their place elsewhere, a keyed hash."""
    if column.kind == "customer":
        keys = _hash_each(values, lambda text: keyed_hash.customer_key(dataset, text))
        is_own_id = column.name in mapping.feed.key and mapping.feed.personal_columns
        return [("customer_key", keys)] + ([(f"source_{column.name}", values)] if is_own_id else [])
    if column.kind == "email":
        hashes = _hash_each(values, lambda text: keyed_hash.address_hash("email", text))
        return [(f"{column.name}_hash", hashes), (column.name, values)]
    return [(column.name, values)]


def _hash_each(values: pa.Array, hashed: Callable[[str], str]) -> pa.Array:
    # a customer comes many times in a batch of orders: hash each value once
    encoded = values.dictionary_encode()
    hashes = [None if text is None else hashed(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(hashes, pa.string()).take(encoded.indices)


def _rejected(
    bad: pa.RecordBatch,
    source: dict[str, pa.Array],
    problems: dict[str, pa.Array],
    is_bad: pa.Array,
    mapping: FeedMapping,
) -> list[Rejected]:
    if bad.num_rows == 0:
        return []
    row_numbers = bad.column(ROW_NUMBER).to_pylist()
    reasons = {name: problem.filter(is_bad).to_pylist() for name, problem in problems.items()}
    contents = {
        name: pc.cast(values.filter(is_bad), pa.string()).to_pylist()
        for name, values in source.items()
    }
    personal = {
        column.name: column
        for column in mapping.feed.columns
        if column.is_personal or column.kind == "customer"
    }
    rejected = []
    for i, row_number in enumerate(row_numbers):
        content = {
            name: keyed_hash.keyed_hash(name, values[i])
            if name in personal and values[i] is not None
            else values[i]
            for name, values in contents.items()
        }
        rejected.append(
            Rejected(
                row_number=row_number,
                reasons=[f"{name} {texts[i]}" for name, texts in reasons.items() if texts[i]],
                content=json.dumps(content, ensure_ascii=True).replace("\\u0000", ""),
            )
        )
    return rejected
