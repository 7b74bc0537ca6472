"""Reading only what is new: every source gives the same rows, and none vanishes for its cursor."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winback.extract.feeds import FEEDS
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.cursor import Cursor, CursorValue
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.cursor_filter import cursor_values
from winback.extract.sources.reading import read_source
from winback.extract.sources.source_rows import ROW_NUMBER, BrokenRows

SINCE = datetime(2025, 3, 10, 12, tzinfo=UTC)


def orders(file: Path, cursor: Cursor, **how: Any) -> FeedMapping:
    columns = {"order_id": ColumnMapping("id")}
    return FeedMapping(FEEDS["orders"], columns, file=str(file), cursor=cursor, **how)


def read(mapping: FeedMapping, since: CursorValue | None) -> list[tuple[int, str]]:
    return [
        (row[ROW_NUMBER], str(row["id"]))
        for batch in read_source(mapping, BrokenRows(), since)
        for row in batch.to_pylist()
    ]


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_BUSINESS_TIMEZONE", "Europe/Berlin")


# one hour before, exactly then (in Berlin), later, missing, and unreadable
TEXTS = ["2025-03-10 12:00:00", "2025-03-10 13:00:00", "2025-03-11", "", "soon"]
LEFT = [(2, "b"), (3, "c"), (4, "d"), (5, "e")]


def text_file(path: Path, texts: list[str]) -> None:
    lines = [f"{id_},{at}" for id_, at in zip("abcdefgh", texts, strict=False)]
    path.write_text("\n".join(["id,at", *lines, ""]))


def test_rows_without_a_readable_cursor_are_never_left_behind(tmp_path: Path) -> None:
    text_file(tmp_path / "o.csv", TEXTS)
    mapping = orders(tmp_path / "o.csv", Cursor("at"))
    assert read(mapping, SINCE) == LEFT
    assert read(mapping, None) == [(1, "a"), *LEFT]
    rows = [{"id": id_, "at": at or None} for id_, at in zip("abcde", TEXTS, strict=True)]
    (tmp_path / "o.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read(orders(tmp_path / "o.jsonl", Cursor("at"), format="jsonl"), SINCE) == LEFT


def test_a_cursor_has_a_format_and_a_zone_of_its_own(tmp_path: Path) -> None:
    text_file(tmp_path / "o.csv", ["10.03.2025 11:59", "10.03.2025 12:00", "2025-03-01"])
    cursor = Cursor("at", format="%d.%m.%Y %H:%M", timezone="UTC")
    assert read(orders(tmp_path / "o.csv", cursor), SINCE) == [(2, "b"), (3, "c")]


def test_a_number_counts_as_a_number(tmp_path: Path) -> None:
    text_file(tmp_path / "o.csv", ["9", "10", "+100", "", "x"])
    cursor = Cursor("at", kind="number")
    mapping = orders(tmp_path / "o.csv", cursor)
    assert read(mapping, 10) == LEFT
    [batch] = read_source(mapping, BrokenRows())
    assert cursor_values(batch, cursor, "UTC").to_pylist() == [9, 10, 100, None, None]


def test_row_numbers_are_those_of_the_whole_file(tmp_path: Path) -> None:
    texts = ["2025-03-11" if n % 5 == 0 else "2025-03-01" for n in range(1, 10_001)]
    lines = [f"{n},{at}" for n, at in enumerate(texts, start=1)]
    (tmp_path / "o.csv").write_text("\n".join(["id,at", *lines, ""]))
    found = read(orders(tmp_path / "o.csv", Cursor("at")), SINCE)
    assert found == [(n, str(n)) for n in range(5, 10_001, 5)]


@pytest.mark.parametrize(
    ("kind", "values", "since", "cursor"),
    [
        (pa.timestamp("us", "UTC"), [datetime(2025, 3, d, tzinfo=UTC) for d in (1, 11)], SINCE,
         Cursor("at")),
        (pa.timestamp("ns"), [datetime(2025, 3, d) for d in (1, 11)], SINCE, Cursor("at")),
        (pa.date32(), [date(2025, 3, 1), date(2025, 3, 11)], SINCE, Cursor("at")),
        (pa.int32(), [9, 11], 10, Cursor("at", kind="number")),
        (pa.string(), ["2025-03-01", "2025-03-11"], SINCE, Cursor("at")),
    ],
    ids=["instant", "local time", "date", "number", "text"],
)  # fmt: skip
def test_of_parquet_only_the_groups_that_may_hold_new_rows_are_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: pa.DataType,
    values: list[Any],
    since: CursorValue,
    cursor: Cursor,
) -> None:
    old, new = values
    # groups of two rows: old, with a new row, old with one that is missing, old
    at = [old, old, old, new, old, None, old, old]
    table = pa.table({"id": pa.array(range(1, 9)), "at": pa.array(at, kind)})
    pq.write_table(table, tmp_path / "o.parquet", row_group_size=2)
    groups: list[int] = []
    read_groups = pq.ParquetFile.iter_batches

    def noticed(self: pq.ParquetFile, size: int, row_groups: list[int], columns: Any) -> Any:
        groups.extend(row_groups)
        return read_groups(self, size, row_groups, columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noticed)
    mapping = orders(tmp_path / "o.parquet", cursor, format="parquet")
    assert read(mapping, since) == [(4, "4"), (6, "6")]
    assert groups == ([0, 1, 2, 3] if kind == pa.string() else [1, 2])
    groups.clear()
    assert len(read(mapping, None)) == 8
    assert groups == [0, 1, 2, 3]
