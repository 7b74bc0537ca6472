"""Parquet and JSON lines through the whole load, and what is wrong with them when something is."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.conftest import Warehouse
from tests.small_shop import SOURCES, SmallShop, small_shop
from winback.errors import DeclarationError, SourceError
from winback.extract.mapping.dataset import read_dataset
from winback.extract.snapshot import extract

AS_OF = date(2025, 3, 1)


@pytest.fixture
def shop(warehouse: Warehouse) -> SmallShop:
    shop = small_shop(warehouse.data, AS_OF, n_lapsed=3, n_active=1)
    shop.write()
    return shop


def map_orders_from(warehouse: Warehouse, name: str, form: str, **more: object) -> None:
    sources = yaml.safe_load(yaml.safe_dump(SOURCES))
    orders = sources["datasets"]["shop"]["feeds"]["orders"]
    orders |= {"file": f"{{data}}/{name}", "format": form, **more}
    path = warehouse.data / "sources.yaml"
    path.write_text(yaml.safe_dump(sources))
    warehouse.configure(sources=path, dataset="shop", replay=True)


ROWS = [
    ("a", "lapsed-00", datetime(2025, 2, 1, 12, tzinfo=UTC), Decimal("12.34")),
    ("b", "lapsed-01", datetime(2025, 2, 2, 12, tzinfo=UTC), Decimal("-1.00")),
    ("c", "lapsed-02", None, Decimal("5.00")),
    ("d", "active-00", datetime(2025, 3, 1, 0, tzinfo=UTC), Decimal("5.00")),
]
NAMES = ["number", "customer", "date", "total"]


def parquet(path: Path) -> None:
    columns = [list(column) for column in zip(*ROWS, strict=True)]
    types = [pa.string(), pa.string(), pa.timestamp("us", "UTC"), pa.decimal128(10, 2)]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    pq.write_table(pa.table(arrays, names=NAMES), path)


def json_lines(path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number, customer, at, total in ROWS:
            values = (number, customer, at and at.isoformat(), str(total))
            file.write(json.dumps(dict(zip(NAMES, values, strict=True))) + "\n")


@pytest.mark.parametrize(("form", "write"), [("parquet", parquet), ("jsonl", json_lines)])
def test_rows_pass_wait_or_are_quarantined(
    warehouse: Warehouse, shop: SmallShop, form: str, write: object
) -> None:
    assert callable(write)
    write(shop.folder / f"orders.{form}")
    map_orders_from(warehouse, f"orders.{form}", form)
    extract(AS_OF, "live")
    assert warehouse.execute("select order_id, ordered_at, amount_cents from raw.orders") == [
        ("a", ROWS[0][2], 1234)
    ]
    assert warehouse.execute(
        "select row_number, reasons from quarantine.rejected_row order by 1"
    ) == [(2, ["amount_cents is negative"]), (3, ["ordered_at is missing"])]
    # the order of the as-of date itself is left at the source
    assert warehouse.execute(
        "select n_received, n_passed, n_quarantined from ops.extract_run where feed = 'orders'"
    ) == [(3, 1, 2)]


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("form", "damage", "mend"),
    [
        ("parquet", cut, "is no whole parquet file"),
        ("jsonl", cut, "is no whole jsonl file"),
        ("parquet", lambda path: path.write_text("number,customer\n1,2\n"), "is no whole parquet"),
        ("jsonl", lambda path: path.write_text("number,customer\n1,2\n"), "is no whole jsonl"),
        ("parquet", lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
        ("jsonl", lambda path: path.unlink(), "does not exist"),
        ("jsonl", lambda path: (path.unlink(), path.mkdir()), "is not a file"),
        ("jsonl", lambda path: path.write_text('{"number": {"a": 1}}\n'), "struct<a: int64> now"),
        ("jsonl", lambda path: path.write_text('{"number": "1"}\n'), "has no column"),
        (
            "parquet",
            lambda path: pq.write_table(pq.read_table(path).slice(0, 0), path),
            "has no rows",
        ),
    ],
)
def test_a_broken_file_is_an_error_and_nothing_is_lost(
    warehouse: Warehouse, shop: SmallShop, form: str, damage: object, mend: str
) -> None:
    path = shop.folder / f"orders.{form}"
    (parquet if form == "parquet" else json_lines)(path)
    map_orders_from(warehouse, path.name, form)
    extract(AS_OF, "live")
    before = warehouse.execute("select * from raw.orders")
    assert len(before) == 1
    assert callable(damage)
    damage(path)
    with pytest.raises(SourceError) as error:
        extract(AS_OF, "live")
    assert mend in str(error.value)
    assert "lapsed-0" not in str(error.value)
    assert warehouse.execute("select * from raw.orders") == before


def test_keys_of_text_files_do_not_apply(warehouse: Warehouse, shop: SmallShop) -> None:
    map_orders_from(warehouse, "orders.parquet", "parquet", encoding="latin-1")
    with pytest.raises(DeclarationError, match="`encoding` belongs to text files; leave it out"):
        read_dataset(warehouse.data / "sources.yaml", "shop", warehouse.data)
