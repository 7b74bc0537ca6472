"""JSON lines whose rows do not all look alike: what Arrow settles by the first ones must not stop,
change or lose the later ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from winback.errors import SourceError
from winback.extract.feeds import FEEDS
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.rows.parsing import as_text
from winback.extract.sources import json_source
from winback.extract.sources.reading import describe_source, read_source
from winback.extract.sources.source_rows import ROW_NUMBER, BrokenRows

COLUMNS = {"order_id": ColumnMapping("id"), "channel": ColumnMapping("value")}
FIRST = [json.dumps({"id": n, "value": n, "unread": {"a": [n]}}) for n in range(1, 101)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_source, "BLOCK_BYTES", 512)
    monkeypatch.setattr(json_source, "LINES", 16)


def orders(path: Path, lines: list[str]) -> FeedMapping:
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return FeedMapping(FEEDS["orders"], COLUMNS, file=str(path), format="jsonl")


def values(mapping: FeedMapping) -> list[Any]:
    found = []
    for batch in read_source(mapping, BrokenRows()):
        texts = as_text(batch.column("value")).to_pylist()
        found += zip(batch.column(ROW_NUMBER).to_pylist(), texts, strict=True)
    return found


@pytest.mark.parametrize(
    ("last", "text"),
    [
        ('{"id": 101, "value": 12.50}', "12.50"),
        ('{"id": 101, "value": "12,50"}', "12,50"),
        ('{"id": 101, "value": true}', "true"),
        ('{"id": 101, "value": null}', None),
        ('{"id": 101}', None),
        ('{"id": 101, "value": 12345678901234567890123}', "12345678901234567890123"),
        ('{"id": 101, "value": 7, "new": 1}', "7"),
        ('\n \n{"id": 101, "value": 7}', "7"),
        ('{"id": 101, "value": "\u2028ü"}', "\u2028ü"),
    ],
)
def test_a_later_row_may_look_otherwise(tmp_path: Path, last: str, text: str | None) -> None:
    found = values(orders(tmp_path / "o.jsonl", [*FIRST, last]))
    assert found == [*((n, str(n)) for n in range(1, 101)), (101, text)]


def test_a_time_keeps_its_fraction_and_its_offset(tmp_path: Path) -> None:
    times = ["2024-01-01 10:00:00", "2024-01-01T10:00:00.5+02:00", "2024-01-01T10:00:00Z"]
    lines = [json.dumps({"id": n, "value": time}) for n, time in enumerate(times)]
    assert values(orders(tmp_path / "o.jsonl", lines)) == list(enumerate(times, start=1))


def test_a_key_may_come_late(tmp_path: Path) -> None:
    lines = [*(f'{{"id": {n}}}' for n in range(100)), '{"id": 100, "value": "late"}']
    found = values(orders(tmp_path / "o.jsonl", lines))
    assert found == [*((n, None) for n in range(1, 101)), (101, "late")]


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert values(orders(tmp_path / "o.jsonl", ['\ufeff{"id": 1, "value": "x"}'])) == [(1, "x")]


@pytest.mark.parametrize(
    ("lines", "mend"),
    [
        ([*FIRST, '{"id": 101, "val'], "is no whole jsonl file (stopped after 9"),
        ([*FIRST, "Ada;Lovelace"], "is no whole jsonl file (stopped after 9"),
        ([*FIRST, '["Ada"]'], "is no whole jsonl file (stopped after 9"),
        ([FIRST[0], '{"id": 1, "value": {"name": "Ada"}}'], "'value' holds lists or objects"),
        (['{"id": 1, "value": ["Ada"]}'], "'value' holds list<"),
        (['{"id": 1, "name": "Ada"}'], "has no column 'value' (it has: id, name)"),
        (['{"name": "Ada"}'], "has no column 'id' nor any other"),
        (["", " "], "has no rows: export it again"),
    ],
)
def test_a_broken_file_is_refused_without_its_values(
    tmp_path: Path, lines: list[str], mend: str
) -> None:
    with pytest.raises(SourceError) as error:
        values(orders(tmp_path / "o.jsonl", lines))
    assert mend in str(error.value)
    assert "Ada" not in str(error.value)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    mapping = orders(tmp_path / "o.jsonl", FIRST)
    (tmp_path / "o.jsonl").write_bytes('{"id": 1, "value": "Jürgen"}\n'.encode("latin-1"))
    with pytest.raises(SourceError, match="is no whole jsonl file"):
        values(mapping)


def test_keys_are_told_even_where_rows_differ(tmp_path: Path) -> None:
    lines = ['{"id": 1, "value": 1}', '{"id": 2, "value": "x", "new": 1}']
    assert describe_source(orders(tmp_path / "o.jsonl", lines)) == dict.fromkeys(
        ("id", "value", "new"), "text"
    )
