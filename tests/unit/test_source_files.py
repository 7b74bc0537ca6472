"""Which files a mapping means: patterns, links, packed files."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winback.errors import SourceError
from winback.extract.feeds import FEEDS
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.reading import describe_source, read_source
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE, BrokenRows

COLUMNS = {"order_id": ColumnMapping("id"), "channel": ColumnMapping("name")}
PLAIN = "id,name\n1,Ada\n2,Bob\n"


def orders(file: Path | str, **how: Any) -> FeedMapping:
    return FeedMapping(FEEDS["orders"], COLUMNS, file=str(file), **how)


def rows(mapping: FeedMapping) -> list[tuple[Any, ...]]:
    return [
        (row[SOURCE], row[ROW_NUMBER], row["id"], row["name"])
        for batch in read_source(mapping, BrokenRows())
        for row in batch.to_pylist()
    ]


def refusal(mapping: FeedMapping) -> str:
    with pytest.raises(SourceError) as error:
        rows(mapping)
    assert "\n" not in str(error.value)
    assert "Ada" not in str(error.value)
    return str(error.value)


def write(folder: Path, **contents: str) -> None:
    for name, content in contents.items():
        path = folder / name.replace("__", "/").replace("_csv", ".csv")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)


# Patterns


@pytest.mark.parametrize("pattern", ["o-*.csv", "o-?.csv", "o-[ab].csv", "[!x]-*.csv"])
def test_files_of_a_pattern_are_read_in_the_order_of_their_names(
    tmp_path: Path, pattern: str
) -> None:
    write(tmp_path, **{"o-b_csv": "id,name\n3,Cid\n", "o-a_csv": PLAIN, "x-a_csv": "no,header\n"})
    assert rows(orders(tmp_path / pattern)) == [
        ("o-a.csv", 1, "1", "Ada"),
        ("o-a.csv", 2, "2", "Bob"),
        ("o-b.csv", 1, "3", "Cid"),
    ]


def test_a_pattern_may_name_folders(tmp_path: Path) -> None:
    write(tmp_path, day2__o_csv="id,name\n2,Bob\n", day1__o_csv="id,name\n1,Ada\n", o_csv="x\n")
    assert [row[:2] for row in rows(orders(f"{tmp_path}/day*/o.csv"))] == [
        ("day1/o.csv", 1),
        ("day2/o.csv", 1),
    ]


def test_what_is_still_being_written_is_hidden(tmp_path: Path) -> None:
    write(tmp_path, o_csv=PLAIN, **{".o2_csv": "half"})
    (tmp_path / "folder.csv").mkdir()
    assert {row[0] for row in rows(orders(tmp_path / "*.csv"))} == {"o.csv"}


@pytest.mark.parametrize("pattern", ["o-*.csv", "none/*.csv", "*/o.csv"])
def test_a_pattern_without_a_file_is_named_with_its_folder(tmp_path: Path, pattern: str) -> None:
    said = refusal(orders(tmp_path / pattern))
    folder, _, name = str(tmp_path / pattern).rpartition("/")
    if "*" in folder:
        folder, name = str(tmp_path), "*/o.csv"
    assert f"no file in {folder} matches '{name}': check the path of feed orders" in said


def test_every_file_of_a_pattern_must_have_the_columns(tmp_path: Path) -> None:
    write(tmp_path, o1_csv=PLAIN, o2_csv="id,title\n3,Cid\n")
    said = refusal(orders(tmp_path / "o*.csv"))
    assert f"{tmp_path}/o2.csv has no column 'name' (it has: id, title)" in said


def test_an_empty_file_among_others_is_named(tmp_path: Path) -> None:
    write(tmp_path, o1_csv=PLAIN, o2_csv="")
    assert f"{tmp_path}/o2.csv is empty (0 bytes)" in refusal(orders(tmp_path / "o*.csv"))


# Links


def test_a_link_that_is_named_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    write(tmp_path, there__o_csv=PLAIN)
    (tmp_path / "link.csv").symlink_to(tmp_path / "there" / "o.csv")
    assert [row[0] for row in rows(orders(tmp_path / "link.csv"))] == ["link.csv", "link.csv"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_pattern_follows_no_link_that_leads_out(tmp_path: Path, is_folder: bool) -> None:
    (tmp_path / "shop").mkdir()
    write(tmp_path, private__o_csv=PLAIN, shop__a_csv=PLAIN)
    if is_folder:
        (tmp_path / "shop" / "sub").symlink_to(tmp_path / "private")
        pattern, link = "shop/*/*.csv", "shop/sub/o.csv"
    else:
        (tmp_path / "shop" / "b.csv").symlink_to(tmp_path / "private" / "o.csv")
        pattern, link = "shop/*.csv", "shop/b.csv"
    said = refusal(orders(tmp_path / pattern))
    assert f"{tmp_path}/{link} is a link that leads out of {tmp_path}/shop" in said


def test_a_link_to_another_file_of_the_pattern_brings_no_row_twice(tmp_path: Path) -> None:
    write(tmp_path, o2_csv=PLAIN)
    (tmp_path / "o1-latest.csv").symlink_to("o2.csv")
    assert [row[0] for row in rows(orders(tmp_path / "o*.csv"))] == ["o2.csv", "o2.csv"]


def test_a_link_to_a_file_beside_the_pattern_is_read(tmp_path: Path) -> None:
    write(tmp_path, data_csv=PLAIN)
    (tmp_path / "o1.csv").symlink_to("data.csv")
    (tmp_path / "o2.csv").symlink_to("data.csv")
    assert {row[0] for row in rows(orders(tmp_path / "o*.csv"))} == {"o1.csv"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, o_csv=PLAIN)
    (tmp_path / "o.csv").chmod(0)
    assert "can not be read" in refusal(orders(tmp_path / "o.csv"))


def test_a_thing_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "o.csv")
    assert "is not a file: name one file" in refusal(orders(tmp_path / "o.csv"))


# Packed files

WIDE = {"encoding": "utf-16", "delimiter": ";"}


@pytest.mark.parametrize(
    ("name", "content", "how"),
    [
        ("o.csv.gz", PLAIN.encode(), {}),
        ("o.csv.gz", PLAIN.replace(",", ";").encode("utf-16"), WIDE),
        ("o.CSV.GZ", PLAIN.rstrip().encode(), {"final_newline": "optional"}),
        ("o.txt.gz", PLAIN.replace(",", "  ").encode(), {"format": "whitespace"}),
        ("o.jsonl.gz", b'{"id":"1","name":"Ada"}\n{"id":"2","name":"Bob"}\n', {"format": "jsonl"}),
    ],
)
def test_a_packed_file_is_unpacked_while_it_is_read(
    tmp_path: Path, name: str, content: bytes, how: dict[str, Any]
) -> None:
    # as programs do that append to a packed file
    cut = content.index(b"\n") + (2 if b"\0" in content else 1)
    (tmp_path / name).write_bytes(gzip.compress(content[:cut]) + gzip.compress(content[cut:]))
    assert rows(orders(tmp_path / name, **how)) == [(name, 1, "1", "Ada"), (name, 2, "2", "Bob")]


def broken(content: bytes) -> bytes:
    return content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]


@pytest.mark.parametrize("form", ["csv", "whitespace", "jsonl"])
@pytest.mark.parametrize(
    ("damage", "mend"),
    [
        (lambda packed: packed[:-20], "is no whole gzip file (stopped after"),
        (lambda packed: packed[: len(packed) // 2], "is no whole gzip file (stopped after"),
        (broken, "is no whole gzip file (stopped after"),
        (gzip.decompress, "is called .gz and is no gzip file: rename it, or pack it"),
    ],
    ids=["cut at its end", "cut in the middle", "damaged", "not packed"],
)
def test_a_broken_packed_file_is_refused(
    tmp_path: Path, form: str, damage: Callable[[bytes], bytes], mend: str
) -> None:
    line = '{{"id":"{0}","name":"Ada"}}\n' if form == "jsonl" else "{0},Ada\n"
    lines = [line.format(n) for n in range(50_000)]
    content = "".join(lines if form == "jsonl" else ["id,name\n", *lines])
    content = content.replace(",", " ") if form == "whitespace" else content
    path = tmp_path / "o.gz"
    path.write_bytes(damage(gzip.compress(content.encode())))
    assert mend in refusal(orders(path, format=form))


def test_a_packed_file_that_was_half_written_before_is_refused(tmp_path: Path) -> None:
    for form in ("csv", "whitespace"):
        content = PLAIN.rstrip() if form == "csv" else PLAIN.rstrip().replace(",", " ")
        (tmp_path / "o.gz").write_bytes(gzip.compress(content.encode()))
        assert "probably half written" in refusal(orders(tmp_path / "o.gz", format=form))


# Columns without rows


def test_columns_are_told_without_the_rows(tmp_path: Path) -> None:
    write(tmp_path, o1_csv=PLAIN, o2_csv="id,name,new\n1,2,3\n")
    text = dict.fromkeys(("id", "name"), "text")
    assert describe_source(orders(tmp_path / "o1.csv")) == text
    assert describe_source(orders(tmp_path / "o*.csv")) == text | {"new": "text"}
    (tmp_path / "o.jsonl").write_text('{"id": 1, "name": "Ada", "at": "2024-01-01"}\n')
    assert describe_source(orders(tmp_path / "o.jsonl", format="jsonl")) == {
        "id": "int64",
        "name": "string",
        "at": "string",
    }
    pq.write_table(pa.table({"id": pa.array([1], pa.int32())}), tmp_path / "o.parquet")
    assert describe_source(orders(tmp_path / "o.parquet", format="parquet")) == {"id": "int32"}
    (tmp_path / "o.parquet").write_text(PLAIN)
    with pytest.raises(SourceError, match="is no whole parquet file"):
        describe_source(orders(tmp_path / "o.parquet", format="parquet"))


def test_text_of_parquet_that_is_no_text_is_refused(tmp_path: Path) -> None:
    names = pa.array([b"Ada", b"J\xfcrgen"]).view(pa.string())
    pq.write_table(pa.table({"id": pa.array([1, 2]), "name": names}), tmp_path / "o.parquet")
    said = refusal(orders(tmp_path / "o.parquet", format="parquet"))
    assert "is no whole parquet file (stopped after 0 rows)" in said
