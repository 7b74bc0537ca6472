"""What may stand where a file should: folders, pipes, links, devices, odd names, many files."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hostile.file_cases import FAIR, parquet_bytes
from tests.hostile.passing import ZONE, good_rows, orders, outcome
from winback.errors import SourceError
from winback.extract.rows.validation import check
from winback.extract.sources.reading import read_source
from winback.extract.sources.source_rows import BrokenRows

COLUMNS = {"id": ["g1"], "customer": ["k1"], "day": ["2024-01-02"], "total": ["1.00"]}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_KEY", "test key")


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as error:
        outcome(orders(path))
    return str(error.value)


def test_a_folder(tmp_path: Path) -> None:
    assert "is not a file: name one file" in refusal(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "orders.csv")
    assert "is not a file" in refusal(tmp_path / "orders.csv")
    assert "no file in" in refusal(tmp_path / "*.csv")


def test_a_device_without_end(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").symlink_to("/dev/zero")
    assert "is not a file" in refusal(tmp_path / "orders.csv")


@pytest.mark.parametrize("target", ["orders.csv", "nowhere"])
def test_a_link_to_itself_or_to_nowhere(tmp_path: Path, target: str) -> None:
    (tmp_path / "orders.csv").symlink_to(target)
    assert "does not exist" in refusal(tmp_path / "orders.csv")


def test_a_link_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text(FAIR)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "orders.csv").symlink_to(tmp_path / "secret.csv")
    assert "is a link that leads out of" in refusal(tmp_path / "in" / "*.csv")
    assert outcome(orders(tmp_path / "in" / "orders.csv")).passed == good_rows(1, 2)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(FAIR)
    (tmp_path / "orders.csv").chmod(0)
    assert "can not be read" in refusal(tmp_path / "orders.csv")


@pytest.mark.parametrize(
    "name",
    ["möbel & söhne.csv", "a b.csv", "'; drop table x; --.csv", "=1+1.csv", "注文.csv", "%s.csv"],
)
def test_an_odd_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FAIR)
    assert outcome(orders(tmp_path / name)).passed == good_rows(1, 2)


def test_a_second_file_with_other_types(tmp_path: Path) -> None:
    """Texts in the first file, numbers and days in the second: each is taken as what it is."""
    rest = {"customer": ["k1"], "note": ["fine"]}
    first = pa.table({"id": ["1"], "day": ["2024-01-02"], "total": ["1.00"]} | rest)
    second = pa.table({"id": [2], "day": pa.array([19_724], pa.date32()), "total": [1.0]} | rest)
    for name, table in (("a", first), ("b", second)):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    mapping = orders(tmp_path / "*.parquet", format="parquet")
    found = []
    for batch in read_source(mapping, BrokenRows()):
        found += check(batch, mapping, "shop", ZONE).passed.to_pylist()
    assert [(row["order_id"], row["amount_cents"]) for row in found] == [("1", 100), ("2", 100)]
    assert found[0]["ordered_at"] == found[1]["ordered_at"]


def test_a_second_file_without_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(FAIR)
    (tmp_path / "b.csv").write_text(FAIR.replace("total", "sum"))
    assert "b.csv has no column 'total'" in refusal(tmp_path / "*.csv")


def test_flipped_bits_in_parquet_are_refused_or_read(tmp_path: Path) -> None:
    """What Parquet's own checks let pass is a file like another; nothing may end the process."""
    n = 500
    columns = {name: values * n for name, values in (COLUMNS | {"note": ["fine"]}).items()}
    whole = parquet_bytes(pa.table(columns | {"id": [f"g{i}" for i in range(n)]}))
    chance = random.Random(7)  # noqa: S311
    path, n_refused = tmp_path / "orders.parquet", 0
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        mapping = orders(path, format="parquet")
        try:
            for batch in read_source(mapping, BrokenRows()):
                check(batch, mapping, "shop", ZONE)
        except SourceError:
            n_refused += 1
    assert n_refused > 100
