"""Looks at every source as a load would: what is there, what is mapped, what is wrong.

Reads the beginning of each and writes nothing anywhere. Loading is `snapshot.py`; how the findings
look on the screen is `source_report.py`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from winback.errors import SourceError
from winback.extract.feeds import Column
from winback.extract.mapping.dataset import Dataset, FeedMapping
from winback.extract.proposal.likeness import likely_columns
from winback.extract.proposal.proposal import CONSTANTS, choices
from winback.extract.rows.parsing import as_text
from winback.extract.rows.validation import apply_mapping
from winback.extract.sources.cursor_filter import cursor_values
from winback.extract.sources.reading import describe_source, read_source
from winback.extract.sources.source_files import source_files
from winback.extract.sources.source_rows import BrokenRows, refuse_missing_columns

SAMPLE_ROWS = 3
# the first to look at, the second to see whether there is one
BATCHES = 2
# kinds whose values say nothing about a person
HARMLESS = ("integer", "number", "boolean", "cents", "currency", "timestamp")


@dataclass(frozen=True)
class Sample:
    """The first values of one column, personal ones masked.

    Attributes:
        at_source: As the source gives them.
        loaded: What becomes of the first; empty where it stays as it is.
    """

    at_source: list[str]
    loaded: str


@dataclass
class FeedCheck:
    """What was found about one feed.

    Attributes:
        mapping: The feed's mapping.
        problem: Why the source can not be read, with the mend; None when it can.
        missing: Required columns that are not mapped, and what to write.
        absent: Mapped columns that the source does not have, and what may be meant.
        n_files: How many files the source is.
        source_columns: The columns of the source with their types, in its order.
        likely: Optional columns that are not mapped, and the source columns they may be.
        samples: The first values by column of the feed.
        n_looked_at: Rows of the source that were looked at.
        is_whole: Those are all.
        n_bad: How many of them would be quarantined.
        reasons: Why, and how often.
        n_without_cursor: How many of them have no cursor that can be read.
    """

    mapping: FeedMapping
    problem: str | None = None
    missing: dict[str, str] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)
    n_files: int = 0
    source_columns: dict[str, str] = field(default_factory=dict)
    likely: dict[str, str] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)
    n_looked_at: int = 0
    is_whole: bool = False
    n_bad: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    n_without_cursor: int = 0

    @property
    def unused_columns(self) -> list[str]:
        """Columns of the source that nothing reads."""
        return [name for name in self.source_columns if name not in self.mapping.read_columns]


def check_sources(dataset: Dataset, business_timezone: str) -> list[FeedCheck]:
    """Checks every mapped feed; one that can not be read does not hide the others.

    Args:
        dataset: The mapping, which may still lack required columns.
        business_timezone: Zone of times without an offset.
    """
    return [_check_feed(mapping, business_timezone) for mapping in dataset.feeds.values()]


def _check_feed(mapping: FeedMapping, business_timezone: str) -> FeedCheck:
    found = FeedCheck(mapping)
    try:
        found.n_files = len(source_files(mapping)) if mapping.kind == "file" else 0
        present = describe_source(mapping)
        if not mapping.read_columns or not set(present).isdisjoint(mapping.read_columns):
            # else the first line may be a person's data, which is not to be shown
            found.source_columns = present
            _compare(found, present)
        refuse_missing_columns(list(present), mapping.source, mapping)
        if mapping.read_columns:
            _look_at_rows(found, business_timezone)
    except SourceError as error:
        found.problem = str(error)
    return found


def _compare(found: FeedCheck, present: dict[str, str]) -> None:
    mapping, feed = found.mapping, found.mapping.feed
    is_text = mapping.kind == "file" and mapping.format in ("csv", "whitespace")
    free = {name: kind for name, kind in present.items() if name not in mapping.read_columns}
    for column in feed.columns:
        how = mapping.columns.get(column.name)
        likely = likely_columns(column, feed, free, is_text=is_text)
        if how is not None:
            found.absent |= {name: likely for name in how.source_columns if name not in present}
        elif column.is_required:
            found.missing[column.name] = _what_to_write(column, found, free, likely, is_text)
        elif likely:
            found.likely[column.name] = likely[0]


def _what_to_write(
    column: Column, found: FeedCheck, free: dict[str, str], likely: list[str], is_text: bool
) -> str:
    if likely:
        return f"`{column.name}: {likely[0]}`"
    if column.name in CONSTANTS:
        return f"`{column.name}: {{constant: {CONSTANTS[column.name][0]}}}`, or what it always is"
    return choices(column, found.mapping.feed, free, is_text=is_text)


def _look_at_rows(found: FeedCheck, business_timezone: str) -> None:
    mapping, broken = found.mapping, BrokenRows()
    batches = list(itertools.islice(read_source(mapping, broken, is_sample=True), BATCHES))
    found.is_whole = len(batches) < BATCHES
    for batch in batches[:1]:
        source, values, problems = apply_mapping(batch, mapping, business_timezone)
        judged = {name: reasons for name, reasons in problems.items() if name not in found.missing}
        is_bad = pa.array([False] * batch.num_rows)
        for name, reasons in judged.items():
            is_bad = pc.or_(is_bad, pc.is_valid(reasons))
            found.reasons.update(f"{name} {text}" for text in reasons.drop_null().to_pylist())
        found.n_looked_at = batch.num_rows
        found.n_bad = pc.sum(is_bad).as_py() or 0
        harmless = _harmless_columns(mapping)
        for name in mapping.columns:
            found.samples[name] = _sample(
                source[name], values[name], problems[name], is_shown=name in harmless
            )
        if mapping.cursor is not None:
            found.n_without_cursor = cursor_values(
                batch, mapping.cursor, business_timezone
            ).null_count
    if broken.rows:
        found.reasons["the row does not have as many columns as the header"] += len(broken.rows)
        found.n_bad += len(broken.rows)
        found.n_looked_at += len(broken.rows)


def _sample(source: pa.Array, values: pa.Array, problems: pa.Array, *, is_shown: bool) -> Sample:
    texts = as_text(source.slice(0, SAMPLE_ROWS))
    if _is_time(source):
        texts = pc.utf8_slice_codeunits(texts, 0, len("2024-12-31 18:30"))
    first = [text or "" for text in texts.to_pylist()]
    if not is_shown:
        return Sample([_mask(text) for text in first], "")
    is_good = pc.is_null(problems.slice(0, SAMPLE_ROWS)).to_pylist()
    # a value that is not what it should be may be anything
    shown = [text if good else _mask(text) for text, good in zip(first, is_good, strict=True)]
    value = values[0].as_py() if is_good[:1] == [True] else None
    loaded = "" if value is None else f"{value:%Y-%m-%d %H:%M}Z" if _is_time(values) else str(value)
    return Sample(shown, "" if loaded == first[0] else loaded)


def _is_time(values: pa.Array) -> bool:
    return bool(pa.types.is_timestamp(values.type))


def _harmless_columns(mapping: FeedMapping) -> set[str]:
    """Columns whose values may be shown, as nothing personal is made of the same source column."""
    declared = {column.name: column for column in mapping.feed.columns}
    personal = {
        name
        for feed_column, how in mapping.columns.items()
        for name in how.source_columns
        if not _is_harmless(declared[feed_column])
    }
    return {
        name
        for name, how in mapping.columns.items()
        if _is_harmless(declared[name]) and personal.isdisjoint(how.source_columns)
    }


def _is_harmless(column: Column) -> bool:
    return not column.is_personal and (column.kind in HARMLESS or bool(column.allowed))


def _mask(value: str) -> str:
    return f"{value[:1]}…" if value else ""
