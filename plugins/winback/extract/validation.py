"""Turns a batch of source columns into a batch of the declared feed, and says which may not pass.

Pure: Arrow in, Arrow out. Single values are parsed in `parsing.py`; here they become rows, personal
values move behind keyed hashes, and rows with a problem are set aside with all their reasons.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from string import Formatter

import pyarrow as pa
import pyarrow.compute as pc

from winback.errors import SourceError
from winback.extract.column_mapping import ColumnMapping
from winback.extract.feeds import Column
from winback.extract.file_source import ROW_NUMBER
from winback.extract.mapping import FeedMapping
from winback.extract.parsing import as_text, parse
from winback.privacy import keyed_hash


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
        n_not_yet: Rows that were left out because they are not known yet.
    """

    passed: pa.RecordBatch
    rejected: list[Rejected]
    n_not_yet: int


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
    source, values, problems = apply_mapping(batch, mapping, business_timezone)
    # one mask for the usual case that every row is good
    flags = [pc.is_valid(problem) for problem in problems.values()]
    is_bad = flags[0]
    for flag in flags[1:]:
        is_bad = pc.or_(is_bad, flag)
    good = pc.invert(is_bad)
    n_not_yet = 0
    if known_until is not None:
        is_known = pc.fill_null(pc.less(values[mapping.feed.event_time], known_until), True)
        is_bad, good = pc.and_(is_bad, is_known), pc.and_(good, is_known)
        n_not_yet = batch.num_rows - pc.sum(is_known).as_py() if batch.num_rows else 0
    rejected = _rejected(batch.filter(is_bad), source, problems, is_bad, mapping)
    arrays, names = [], []
    for column in mapping.feed.columns:
        for name, array in _stored(column, values[column.name].filter(good), dataset, mapping):
            names.append(name)
            arrays.append(array)
    arrays.append(batch.column(ROW_NUMBER).filter(good))
    return Checked(pa.record_batch(arrays, names=[*names, ROW_NUMBER]), rejected, n_not_yet)


def apply_mapping(
    batch: pa.RecordBatch, mapping: FeedMapping, business_timezone: str
) -> tuple[dict[str, pa.Array], dict[str, pa.Array], dict[str, pa.Array]]:
    """Brings a batch into the feed's columns, without judging rows.

    Args:
        batch: Source columns plus `ROW_NUMBER`.
        mapping: The feed's mapping.
        business_timezone: Zone of times without an offset where the mapping names none.

    Returns:
        By column of the feed: the source's values, the parsed values, and the reason why a value
        may not pass (null where it may).

    Raises:
        SourceError: The source lacks a column that the mapping names.
    """
    source = {column.name: _from_source(batch, column, mapping) for column in mapping.feed.columns}
    values: dict[str, pa.Array] = {}
    problems: dict[str, pa.Array] = {}
    for column in mapping.feed.columns:
        how = mapping.columns.get(column.name, ColumnMapping())
        parsed, problem = parse(source[column.name], column, how, business_timezone)
        values[column.name] = parsed
        problems[column.name] = problem
    return source, values, problems


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
        raise SourceError(f"{mapping.source} has no column {name!r} {_mend(batch, mapping)}")
    return batch.column(name)


def _mend(batch: pa.RecordBatch, mapping: FeedMapping) -> str:
    present = [name for name in batch.schema.names if name != ROW_NUMBER]
    if mapping.source_columns.isdisjoint(present):
        # a file without a header: its first row holds a person's data, which no log may show
        return (
            "nor any other that the mapping names: its first line must hold the column names "
            f"of feed {mapping.feed.name}"
        )
    return (
        f"(it has: {', '.join(present)}): mend the source or the mapping of feed "
        f"{mapping.feed.name}"
    )


def _fill_template(batch: pa.RecordBatch, template: str, mapping: FeedMapping) -> pa.Array:
    parts: list[pa.Array | str] = []
    for text, name, _, _ in Formatter().parse(template):
        parts.append(text)
        if name is not None:
            parts.append(pc.utf8_trim_whitespace(as_text(_source_column(batch, name, mapping))))
    return pc.binary_join_element_wise(*parts, "", "", null_handling="emit_null")


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
    contents = {name: as_text(values.filter(is_bad)).to_pylist() for name, values in source.items()}
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
