"""What is kept of a row that may not pass: its place, all its reasons, and its content.

Personal values are hashed. Which rows may not pass is decided in `validation.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa

from winback.extract.feeds import Feed
from winback.extract.feeds.declaration import CUSTOMER_ID
from winback.extract.rows.parsing import as_text
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE
from winback.privacy import keyed_hash


@dataclass(frozen=True)
class Rejected:
    """A row that may not pass.

    Attributes:
        source: The file or table it came from.
        row_number: Its position there.
        reasons: All that is wrong with it.
        content: The row as received, as JSON; personal values as keyed hashes.
        key: Its key as it would be loaded, as a JSON array; None where that can not be told.
        customer_key: Whose it is; None where that can not be told, and of a feed without customers.
    """

    source: str
    row_number: int
    reasons: list[str]
    content: str
    key: str | None
    customer_key: str | None


def rejected_rows(
    batch: pa.RecordBatch,
    feed: Feed,
    dataset: str,
    columns: tuple[dict[str, pa.Array], dict[str, pa.Array], dict[str, pa.Array]],
    is_bad: pa.Array,
) -> list[Rejected]:
    """The rows of a batch that may not pass, with all their reasons.

    Args:
        batch: Source columns plus `SOURCE` and `ROW_NUMBER`.
        feed: The declaration.
        dataset: Part of every customer key.
        columns: By column of the feed: the source's values, the parsed ones, and the reasons.
        is_bad: Which rows may not pass.
    """
    source, values, problems = (
        {name: array.filter(is_bad) for name, array in arrays.items()} for arrays in columns
    )
    bad = batch.filter(is_bad)
    places = zip(bad.column(SOURCE).to_pylist(), bad.column(ROW_NUMBER).to_pylist(), strict=True)
    reasons = {name: texts.to_pylist() for name, texts in problems.items()}
    contents = {name: as_text(given).to_pylist() for name, given in source.items()}
    personal = {
        column.name: column
        for column in feed.columns
        if column.is_personal or column.kind == "customer"
    }
    keys = _keys(feed, values, dataset)
    whose = _whose(feed, values, dataset, bad.num_rows)
    rejected = []
    for i, (place, row_number) in enumerate(places):
        content = {
            name: keyed_hash.keyed_hash(name, given[i])
            if name in personal and given[i] is not None
            # PostgreSQL keeps no such character
            else given[i] and given[i].replace("\x00", "")
            for name, given in contents.items()
        }
        rejected.append(
            Rejected(
                source=place,
                row_number=row_number,
                reasons=[f"{name} {texts[i]}" for name, texts in reasons.items() if texts[i]],
                content=json.dumps(content, ensure_ascii=True),
                key=keys[i],
                customer_key=whose[i],
            )
        )
    return rejected


def _keys(feed: Feed, values: dict[str, pa.Array], dataset: str) -> list[str | None]:
    """The keys that rows would be loaded under, where all of their parts could be read."""
    parts = []
    for name in feed.key:
        given = values[name].to_pylist()
        if feed.column(name).kind == "customer":
            given = [v if v is None else keyed_hash.customer_key(dataset, v) for v in given]
        elif feed.column(name).kind == "timestamp":
            # PostgreSQL and Python write one instant in several ways
            given = [None for _ in given]
        parts.append(given)
    return [None if None in key else json.dumps(key) for key in map(list, zip(*parts, strict=True))]


def _whose(feed: Feed, values: dict[str, pa.Array], dataset: str, n_rows: int) -> list[str | None]:
    if CUSTOMER_ID not in feed.columns:
        return [None] * n_rows
    hashed = keyed_hash.customer_hasher(dataset)
    given = values[CUSTOMER_ID.name].to_pylist()
    return [None if each is None else hashed(each) for each in given]
