"""Looks at every source as a load would: what is there, what is mapped, what is wrong.

Reads the first batch of each and writes nothing anywhere. Loading is `snapshot.py`; how the
findings look on the screen is `sources_cli.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa

from winback.errors import SourceError
from winback.extract.feeds import Column
from winback.extract.file_source import ROW_NUMBER, BrokenRows
from winback.extract.mapping import Dataset, FeedMapping
from winback.extract.reading import read_source
from winback.extract.validation import apply_mapping

SAMPLE_ROWS = 3


@dataclass
class FeedCheck:
    """What was found about one feed.

    Attributes:
        mapping: The feed's mapping.
        problem: Why the source can not be read, with the mend; None when it can.
        source_columns: The columns of the source with their types, in its order.
        n_looked_at: Rows of the first batch.
        reasons: Why rows would be quarantined, and how many of those looked at.
        sample: The first source rows, personal values masked, by source column.
    """

    mapping: FeedMapping
    problem: str | None = None
    source_columns: dict[str, str] = field(default_factory=dict)
    n_looked_at: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    sample: list[dict[str, str]] = field(default_factory=list)

    @property
    def unmapped_columns(self) -> list[str]:
        """Columns of the feed that the mapping leaves out; all of them optional."""
        return [c.name for c in self.mapping.feed.columns if c.name not in self.mapping.columns]

    @property
    def unused_columns(self) -> list[str]:
        """Columns of the source that the mapping does not read."""
        return [name for name in self.source_columns if name not in self.mapping.source_columns]


def check_sources(dataset: Dataset, business_timezone: str) -> list[FeedCheck]:
    """Checks every mapped feed; one that can not be read does not hide the others.

    Args:
        dataset: The checked mapping.
        business_timezone: Zone of times without an offset.
    """
    return [_check_feed(mapping, business_timezone) for mapping in dataset.feeds.values()]


def _check_feed(mapping: FeedMapping, business_timezone: str) -> FeedCheck:
    found = FeedCheck(mapping)
    broken = BrokenRows()
    try:
        batch = next(read_source(mapping, broken), None)
        if batch is None:
            return found
        found.source_columns = {
            column.name: str(column.type) for column in batch.schema if column.name != ROW_NUMBER
        }
        found.n_looked_at = batch.num_rows + len(broken.rows)
        found.sample = _masked(batch.slice(0, SAMPLE_ROWS), mapping)
        _, _, problems = apply_mapping(batch, mapping, business_timezone)
        for name, reasons in problems.items():
            found.reasons.update(f"{name} {text}" for text in reasons.drop_null().to_pylist())
        if broken.rows:
            reason = "the row does not have as many columns as the header"
            found.reasons[reason] += len(broken.rows)
    except SourceError as error:
        found.problem = str(error)
    return found


def _masked(batch: pa.RecordBatch, mapping: FeedMapping) -> list[dict[str, str]]:
    shown = _harmless_columns(mapping)
    rows = batch.drop_columns([ROW_NUMBER]).to_pylist()
    return [
        {
            name: "" if value is None else str(value) if name in shown else _mask(str(value))
            for name, value in row.items()
        }
        for row in rows
    ]


def _harmless_columns(mapping: FeedMapping) -> set[str]:
    """Source columns that are known to hold nothing personal: those of such feed columns alone."""
    declared: dict[str, Column] = {column.name: column for column in mapping.feed.columns}
    personal: set[str] = set()
    harmless: set[str] = set()
    for name, how in mapping.columns.items():
        column = declared[name]
        is_harmless = column.kind in ("integer", "cents", "currency", "timestamp")
        (harmless if is_harmless else personal).update(how.source_columns)
    return harmless - personal


def _mask(value: str) -> str:
    return f"{value[:1]}…" if value else ""
