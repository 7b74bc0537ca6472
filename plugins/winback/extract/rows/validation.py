"""Turns a batch of source columns into a batch of the declared feed, and says which may not pass.

Pure: Arrow in, Arrow out. Single values are parsed in `parsing.py`; here they become rows, and
personal values move behind keyed hashes. What is kept of a bad row is `rejected_rows.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from string import Formatter

import pyarrow as pa
import pyarrow.compute as pc

from winback.extract.feeds import Column, Feed, Kind
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.rows.known_hashes import KnownHashes
from winback.extract.rows.parsing import as_text, parse
from winback.extract.rows.rejected_rows import Rejected, rejected_rows
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE, SOURCE_TYPE
from winback.privacy import keyed_hash

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "customer": pa.string(),
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.decimal128(18, 4),
    "boolean": pa.bool_(),
    "cents": pa.int64(),
    "currency": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
    "email": pa.string(),
}
# two such parts of a key still fit into an index of PostgreSQL
LONGEST_KEY_BYTES = 1000


@dataclass(frozen=True)
class Checked:
    """What became of a batch.

    Attributes:
        passed: The good rows in the declared types, columns as in `stored_schema`.
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
    hashes: dict[str, KnownHashes] | None = None,
) -> Checked:
    """Applies the mapping and the declaration to a batch.

    Args:
        batch: Source columns plus `SOURCE` and `ROW_NUMBER`.
        mapping: The feed's mapping.
        dataset: Part of every customer key.
        business_timezone: Zone of times without an offset where the mapping names none.
        known_until: Rows whose event time is this instant or later are left out altogether.
        hashes: Keyed hashes of earlier batches of the same feed; those of this one are added.

    Raises:
        SourceError: The source lacks a column that the mapping names.
    """
    source, values, problems = apply_mapping(batch, mapping, business_timezone)
    is_bad = _is_bad(list(problems.values()), batch.num_rows)
    n_not_yet = 0
    if known_until is not None:
        is_known = pc.fill_null(pc.less(values[mapping.feed.event_time], known_until), True)
        n_not_yet = batch.num_rows - (pc.sum(is_known).as_py() or 0)
        batch, is_bad = batch.filter(is_known), is_bad.filter(is_known)
        source, values, problems = (
            {name: array.filter(is_known) for name, array in arrays.items()}
            for arrays in (source, values, problems)
        )
    hashes = {} if hashes is None else hashes
    rejected: list[Rejected] = []
    provenance = batch.select([SOURCE, ROW_NUMBER])
    if pc.any(is_bad).as_py():
        rejected = rejected_rows(batch, mapping.feed, dataset, (source, values, problems), is_bad)
        is_good = pc.invert(is_bad)
        provenance = provenance.filter(is_good)
        values = {name: array.filter(is_good) for name, array in values.items()}
    stored = [
        array
        for column in mapping.feed.columns
        for array in _stored(column, values[column.name], dataset, mapping.feed, hashes)
    ]
    passed = pa.record_batch([*stored, *provenance.columns], schema=stored_schema(mapping.feed))
    return Checked(passed, rejected, n_not_yet)


def stored_schema(feed: Feed) -> pa.Schema:
    """The columns of checked batches: those of the raw table and of `pii`, then the provenance."""
    stored = [
        (name, ARROW_TYPES[column.kind])
        for column in feed.columns
        for name in _stored_names(column, feed)
    ]
    return pa.schema([*stored, (SOURCE, SOURCE_TYPE), (ROW_NUMBER, pa.int64())])


def _is_bad(problems: list[pa.Array], n_rows: int) -> pa.Array:
    is_bad = pa.repeat(pa.scalar(False), n_rows)
    for problem in problems:
        if problem.null_count < n_rows:
            is_bad = pc.or_(is_bad, pc.is_valid(problem))
    return is_bad


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
        if column.kind == "text" and column.name in mapping.feed.key:
            parsed, problem = _short(parsed, problem)
        values[column.name] = parsed
        problems[column.name] = problem
    return source, values, problems


def _short(texts: pa.Array, problem: pa.Array) -> tuple[pa.Array, pa.Array]:
    is_long = pc.fill_null(pc.greater(pc.binary_length(texts), LONGEST_KEY_BYTES), False)
    if not pc.any(is_long).as_py():
        return texts, problem
    reason = f"is longer than {LONGEST_KEY_BYTES} bytes"
    none = pa.scalar(None, pa.string())
    return pc.if_else(is_long, none, texts), pc.if_else(is_long, reason, problem)


def _from_source(batch: pa.RecordBatch, column: Column, mapping: FeedMapping) -> pa.Array:
    how = mapping.columns.get(column.name)
    if how is None:
        return pa.nulls(batch.num_rows, pa.string())
    if how.constant is not None:
        return pa.array([how.constant] * batch.num_rows, pa.string())
    if how.generate is not None:
        files = pc.cast(batch.column(SOURCE), pa.string())
        numbers = pc.cast(batch.column(ROW_NUMBER), pa.string())
        return pc.binary_join_element_wise(files, numbers, ":")
    if how.template is not None:
        return _fill_template(batch, how.template)
    return batch.column(how.column)


def _fill_template(batch: pa.RecordBatch, template: str) -> pa.Array:
    parts: list[pa.Array | str] = []
    for text, name, _, _ in Formatter().parse(template):
        parts.append(text)
        if name is not None:
            parts.append(pc.utf8_trim_whitespace(as_text(batch.column(name))))
    return pc.binary_join_element_wise(*parts, "", "", null_handling="emit_null")


def _stored_names(column: Column, feed: Feed) -> list[str]:
    """What a column is called where it is loaded."""
    if column.kind == "customer":
        is_own_id = column.name in feed.key and feed.personal_columns
        return [str(column.raw_name), *([f"source_{column.name}"] if is_own_id else [])]
    if column.kind == "email":
        return [str(column.raw_name), column.name]
    return [column.name]


def _stored(
    column: Column, values: pa.Array, dataset: str, feed: Feed, hashes: dict[str, KnownHashes]
) -> list[pa.Array]:
    """What is loaded of a column: personal values and, in their place elsewhere, a keyed hash."""
    if column.kind == "customer":
        if column.kind not in hashes:
            hashes[column.kind] = KnownHashes(keyed_hash.customer_hasher(dataset))
        keys = hashes[column.kind].of(values)
        return [keys, values][: len(_stored_names(column, feed))]
    if column.kind == "email":
        if column.kind not in hashes:
            hashes[column.kind] = KnownHashes(lambda text: keyed_hash.address_hash("email", text))
        return [hashes[column.kind].of(values), values]
    return [values]
