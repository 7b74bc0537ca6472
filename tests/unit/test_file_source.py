"""Files as they arrive: other encodings, half written, broken rows; each refusal says the mend."""

from __future__ import annotations

import gc
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from winback.errors import SourceError
from winback.extract.feeds import FEEDS
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources import file_source
from winback.extract.sources.reading import read_source
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE, BrokenRows

GOOD = "id;name\n1;Ada\n2;Jürgen\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.csv"


COLUMNS = {"order_id": ColumnMapping("id"), "channel": ColumnMapping("name")}


def orders(path: Path, **how: Any) -> FeedMapping:
    return FeedMapping(FEEDS["orders"], COLUMNS, file=str(path), **{"delimiter": ";"} | how)


def read(path: Path, content: bytes | str, **how: Any) -> tuple[list[Any], list[Any]]:
    """All rows, and the broken ones as (number, text)."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    broken = BrokenRows()
    rows = []
    for batch in read_source(orders(path, **how), broken):
        for row in batch.to_pylist():
            assert row.pop(SOURCE) == path.name
            rows.append(row)
    assert {row.source for row in broken.rows} <= {path.name}
    return rows, [(row.row_number, row.text) for row in broken.rows]


def refusal(path: Path, content: bytes | str, **how: Any) -> str:
    with pytest.raises(SourceError) as error:
        read(path, content, **how)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (GOOD.encode(), {}),
        (b"\xef\xbb\xbf" + GOOD.encode(), {}),
        (GOOD.replace("\n", "\r\n").encode(), {}),
        (GOOD.replace("2;", "\n2;").encode(), {}),
        (GOOD.encode("latin-1"), {"encoding": "latin-1"}),
        (GOOD.encode("utf-16"), {"encoding": "utf-16"}),
        (GOOD.encode("utf-16-be"), {"encoding": "utf-16-be"}),
        (GOOD.rstrip().encode(), {"final_newline": "optional"}),
        (b'"id";"name"\n1;"Ada"\n2;' + '"Jürgen"\n'.encode(), {}),
        (GOOD.replace(";", "   ").encode(), {"format": "whitespace"}),
        (GOOD.replace(";", " ").replace("\n", "  \r\n").encode(), {"format": "whitespace"}),
        (GOOD.replace(";", " ").replace("2 ", "\n2 ").encode(), {"format": "whitespace"}),
    ],
    ids=["plain", "BOM", "CRLF", "blank line", "latin-1", "utf-16", "utf-16-be", "no final newline",
         "quoted", "whitespace", "padded", "whitespace blank line"],
)  # fmt: skip
def test_a_good_file_is_read_as_text_with_row_numbers(
    path: Path, content: bytes, how: dict[str, Any]
) -> None:
    assert read(path, content, **how) == (
        [{"id": "1", "name": "Ada", ROW_NUMBER: 1}, {"id": "2", "name": "Jürgen", ROW_NUMBER: 2}],
        [],
    )


@pytest.mark.parametrize(
    ("content", "how", "message"),
    [
        ("", {}, "is empty (0 bytes): its export failed"),
        ("id;name\n", {}, "has a header but no rows"),
        ("id name\n", {"format": "whitespace"}, "has a header but no rows"),
        ("\n1;Ada\n", {}, "the first line is empty"),
        ("id;id\n1;2\n", {}, "the header names id twice"),
        ("id;title\n1;2\n", {}, "has no column 'name' (it has: id, title): mend the source"),
        ("1;Ada\n2;Bob\n", {}, "has no column 'id' nor any other that the mapping names: its"),
        (GOOD, {"delimiter": ","}, "has no column 'id' nor any other that the mapping names: set"
         " `delimiter: ';'`"),
        ("id;name\n1;Ada\n2;Jü", {}, "does not end with a line break, so it is probably half"),
        ("id name\n1 Ada\n2", {"format": "whitespace"}, "probably half written"),
        (GOOD.encode("utf-16")[:-2], {"encoding": "utf-16"}, "probably half written"),
        (GOOD.encode("latin-1"), {}, "is not written in utf-8 (line 3, byte 17): write its"),
        (GOOD.encode("latin-1").replace(b";", b" "), {"format": "whitespace"},
         "is not written in utf-8 (line 3, byte 17)"),
        ("id;näme\n1;2\n".encode("latin-1"), {}, "is not written in utf-8 (line 1, byte 4)"),
        (GOOD, {"encoding": "ascii"}, "is not written in ascii: write its encoding"),
        (GOOD, {"encoding": "latin-99"}, "is not written in latin-99"),
        ('id;name\n1;"Ada\n2;Bob\n3;Cid\n', {}, "row 1: a quoted value goes on over lines"),
        ('id;name\n1;Ada\n"2;Bob\n3;Cid\n', {}, "row 2: a quoted value goes on over lines"),
        ('id;name\n1;"Ada\n2;Bob\n3;"Cid"\n', {}, "row 1: a quoted value goes on over lines"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_the_mend(
    path: Path, content: bytes | str, how: dict[str, Any], message: str
) -> None:
    assert message in refusal(path, content, **how)


def test_a_missing_file_and_a_folder_are_named(path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist: check the path of feed orders"):
        next(read_source(orders(path), BrokenRows()))
    path.mkdir()
    with pytest.raises(SourceError, match="is not a file: name one file for feed orders"):
        next(read_source(orders(path), BrokenRows()))


@pytest.mark.parametrize("form", ["csv", "whitespace"])
def test_broken_rows_are_set_aside_and_the_others_keep_their_numbers(path: Path, form: str) -> None:
    content = "id;name\n1;a\n2\n3;c\n4;d;e\n\n5;e\n6\n"
    if form == "whitespace":
        content = content.replace(";", " ")
    rows, broken = read(path, content, format=form)
    assert [(row["id"], row[ROW_NUMBER]) for row in rows] == [("1", 1), ("3", 3), ("5", 5)]
    assert [number for number, _ in broken] == [2, 4, 6]


@pytest.mark.parametrize("form", ["csv", "whitespace"])
@pytest.mark.parametrize("is_emptied", [False, True])
def test_row_numbers_hold_across_blocks(
    path: Path, monkeypatch: pytest.MonkeyPatch, form: str, is_emptied: bool
) -> None:
    monkeypatch.setattr(file_source, "BLOCK_BYTES", 512)
    n = 2_000
    lines = [f"{i}" if i % 7 == 0 else f"{i};x" for i in range(1, n + 1)]
    content = "\n".join(["id;name", *lines, ""])
    path.write_text(content if form == "csv" else content.replace(";", " "))
    broken, seen = BrokenRows(), []
    numbers, batches = [], []
    for batch in read_source(orders(path, format=form), broken):
        batches.append(batch.num_rows)
        numbers += [(int(row["id"]), row[ROW_NUMBER]) for row in batch.to_pylist()]
        if is_emptied:
            seen += [row.row_number for row in broken.rows]
            broken.rows.clear()
    seen += [row.row_number for row in broken.rows]
    assert len(batches) > 10, "the file was read as one block"
    assert numbers == [(i, i) for i in range(1, n + 1) if i % 7]
    assert seen == [i for i in range(1, n + 1) if i % 7 == 0]


@pytest.mark.parametrize("form", ["csv", "whitespace"])
def test_a_file_of_broken_rows_alone_is_no_empty_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for n_good in (0, 100):
        monkeypatch.setattr(file_source, "BLOCK_BYTES", 512)
        lines = [*(f"{n};x" for n in range(n_good)), *(str(n) for n in range(1000))]
        content = "\n".join(["id;name", *lines, ""])
        content = content if form == "csv" else content.replace(";", " ")
        rows, broken = read(path, content, format=form)
        assert len(rows) == n_good
        assert [number for number, _ in broken] == list(range(n_good + 1, n_good + 1001))


def test_a_quoted_line_break_is_kept(path: Path) -> None:
    rows, broken = read(path, 'id;name\n1;"Ada\nLovelace"\n2;Bob\n')
    assert [row["name"] for row in rows] == ["Ada\nLovelace", "Bob"]
    assert broken == []


@pytest.mark.parametrize("how", ["a refusal that is kept", "closed before its end"])
def test_arrow_has_let_go_of_a_file_that_is_left(
    path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A process that ends while a thread of Arrow's gives a function back is aborted."""
    gc.collect()
    monkeypatch.setattr(file_source, "BLOCK_BYTES", 512)
    path.write_text("id;name\n" + "1;x\n" * 1000 + '2;"' + "y" * 2000 + "\n")
    batches = read_source(orders(path), BrokenRows())
    next(batches)
    assert functions_of_a_reader() == 1
    if how == "a refusal that is kept":
        with pytest.raises(SourceError) as kept:
            list(batches)
        assert "never closed" in str(kept.value)
    else:
        batches.close()
    assert functions_of_a_reader() == 0


def functions_of_a_reader() -> int:
    name = "_read_csv.<locals>.keep_broken"
    return sum(type(x) is FunctionType and x.__qualname__ == name for x in gc.get_objects())
