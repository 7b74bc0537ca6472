"""Loading a shop's files: every row accounted for, all or nothing, names in `pii` alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
import yaml
from adbc_driver_manager import Error as AdbcError
from psycopg import sql

from tests.conftest import Warehouse
from winback.errors import DeclarationError, SourceError, WinbackError
from winback.extract.loading import load_statements
from winback.extract.loading.load import load_feed
from winback.extract.loading.load_records import Batch
from winback.extract.mapping.dataset import read_dataset
from winback.extract.rows.checked_rows import CheckedRows
from winback.extract.rows.rejected_rows import Rejected
from winback.extract.snapshot import extract, newest_live, purpose_of
from winback.privacy.keyed_hash import address_hash, customer_key

AS_OF = date(2024, 2, 1)
CANARY = "Quirlina Zwetschgenkamp"
CANARY_EMAIL = "quirlina.zwetschgenkamp@example.com"
CUSTOMERS = f"""\
id,email,name,since
c1,{CANARY_EMAIL},{CANARY},2024-01-01
c2,bob@example.com,Bob,2024-01-01
"""
ORDERS = """\
number,customer,day,total
o1,c1,2024-01-02,10.00
o2,c2,2024-01-03,20.00
"""
FEEDS: dict[str, Any] = {
    "customers": {
        "file": "{data}/customers.csv",
        "columns": {
            "customer_id": "id",
            "email": "email",
            "last_name": "name",
            "registered_at": "since",
        },
    },
    "orders": {
        "file": "{data}/orders.csv",
        "columns": {
            "order_id": "number",
            "customer_id": "customer",
            "ordered_at": "day",
            "amount_cents": {"column": "total", "unit": "major"},
            "currency": {"constant": "EUR"},
        },
    },
}


class Shop:
    """A dataset of two files next to a warehouse."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.folder = warehouse.data
        self.folder.mkdir()
        self.declare(FEEDS)
        self.write(CUSTOMERS, ORDERS)
        warehouse.configure(dataset="shop", sources=self.folder / "sources.yaml")

    def declare(self, feeds: dict[str, Any]) -> None:
        text = yaml.safe_dump({"datasets": {"shop": {"feeds": feeds}}})
        (self.folder / "sources.yaml").write_text(text)

    def write(self, customers: str | None = None, orders: str | None = None) -> None:
        for name, content in (("customers", customers), ("orders", orders)):
            if content is not None:
                (self.folder / f"{name}.csv").write_text(content)

    def orders(self) -> list[tuple[Any, ...]]:
        return self.warehouse.execute(
            "select order_id, customer_key, amount_cents from raw.orders order by 1"
        )

    def counts(self, feed: str) -> tuple[Any, ...]:
        return self.warehouse.execute(
            "select n_received, n_passed, n_quarantined from ops.extract_run where feed = %s"
            " order by extract_run_id desc limit 1",
            (feed,),
        )[0]

    def quarantined(self) -> list[tuple[Any, ...]]:
        return self.warehouse.execute(
            "select row_number, reasons from quarantine.rejected_row order by 1"
        )


@pytest.fixture
def shop(warehouse: Warehouse) -> Shop:
    return Shop(warehouse)


def test_a_shop_is_loaded(shop: Shop) -> None:
    extract(AS_OF, "live")
    assert shop.orders() == [
        ("o1", customer_key("shop", "c1"), 1000),
        ("o2", customer_key("shop", "c2"), 2000),
    ]
    assert shop.counts("orders") == shop.counts("customers") == (2, 2, 0)
    people = shop.warehouse.execute(
        "select source_customer_id, email, last_name from pii.customers order by 1"
    )
    assert people[0] == ("c1", CANARY_EMAIL, CANARY)
    hashes = shop.warehouse.execute("select email_hash from raw.customers")
    assert (address_hash("email", CANARY_EMAIL),) in hashes


def test_bad_rows_are_quarantined_and_the_others_load(shop: Shop) -> None:
    shop.write(
        orders=ORDERS + "o3,c1,tomorrow,-1.00\n,c1,2024-01-04,1.00\no5,c1\no1,c2,2024-01-05,5.00\n"
        "o6,c1,2024-01-06,NaN\n"
    )
    extract(AS_OF, "live")
    assert [row[0] for row in shop.orders()] == ["o1", "o2"]
    assert shop.counts("orders") == (7, 2, 5)
    assert shop.quarantined() == [
        (3, ["ordered_at is no date written as 2024-12-31 or 2024-12-31T18:30:00+01:00",
             "amount_cents is negative"]),
        (4, ["order_id is missing"]),
        (5, ["the row does not have as many columns as the header"]),
        (6, ["order_id repeats the key of row 1"]),
        (7, ["amount_cents is no amount such as 12.34"]),
    ]  # fmt: skip
    assert shop.orders()[0][2] == 1000, "the first row of a key counts"


def test_a_repeated_load_leaves_the_same_rows(shop: Shop) -> None:
    extract(AS_OF, "live")
    before = shop.warehouse.execute("select * from raw.orders order by order_id")
    extract(AS_OF, "live")
    assert shop.warehouse.execute("select * from raw.orders order by order_id") == before
    assert shop.counts("orders") == (2, 2, 0)


def test_a_row_that_comes_again_replaces_the_old_one(shop: Shop) -> None:
    extract(AS_OF, "live")
    shop.write(CUSTOMERS.replace("bob@", "robert@"), ORDERS.replace("20.00", "25.00"))
    second = extract(AS_OF, "live")
    assert [row[2] for row in shop.orders()] == [1000, 2500]
    changed = shop.warehouse.execute(
        "select order_id from raw.orders where snapshot_id = %s", (second,)
    )
    assert changed == [("o2",)]
    assert ("robert@example.com",) in shop.warehouse.execute("select email from pii.customers")


def test_no_name_leaves_the_schema_pii(shop: Shop) -> None:
    broken = f"c3,{CANARY_EMAIL},{CANARY},never\n{CANARY},{CANARY_EMAIL}\nc1,{CANARY},{CANARY},x\n"
    shop.write(CUSTOMERS + broken, ORDERS + f"o9,{CANARY},2024-01-02,free\n")
    extract(AS_OF, "live")
    assert len(shop.quarantined()) == 4
    tables = shop.warehouse.execute(
        "select table_schema, table_name from information_schema.tables"
        " where table_schema in ('raw', 'quarantine', 'ops', 'staging', 'intermediate', 'marts',"
        " 'pii')"
    )
    found = set()
    with psycopg.connect(shop.warehouse.url) as connection:
        for schema, table in tables:
            query = sql.SQL("select count(*) from {} as t where t::text ilike {}").format(
                sql.Identifier(schema, table), sql.Literal("%zwetschgenkamp%")
            )
            if connection.execute(query).fetchall()[0][0]:
                found.add(f"{schema}.{table}")
    assert found == {"pii.customers"}


def test_a_load_that_fails_in_the_middle_changes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(AS_OF, "live")
    before = shop.orders(), shop.warehouse.execute("select count(*) from ops.extract_run")
    shop.write(orders=ORDERS.replace("20.00", "25.00") + "o3,c1,bad,1.00\n")
    snapshot = shop.warehouse.execute(
        "insert into ops.snapshot (as_of, purpose, dataset) values (%s, 'live', 'shop')"
        " returning snapshot_id", (AS_OF,),
    )[0][0]  # fmt: skip
    # the rows are written, and the transaction breaks before its end
    monkeypatch.setattr(load_statements, "quarantine", lambda *_: sql.SQL("select 1 / 0"))
    mapping = read_dataset(shop.folder / "sources.yaml", "shop", shop.folder).feeds["orders"]
    with pytest.raises(AdbcError, match="division by zero"):
        load_feed(mapping, Batch(snapshot, "shop", datetime(2024, 2, 1, tzinfo=UTC), "UTC"))
    assert (
        shop.orders(), shop.warehouse.execute("select count(*) from ops.extract_run"),
    ) == before  # fmt: skip
    assert shop.quarantined() == []


def test_rows_that_vanish_on_the_way_stop_the_load(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = CheckedRows._set_aside

    def loses_one(rows: CheckedRows, rejected: list[Rejected], spool: Any) -> None:
        real(rows, rejected[1:], spool)

    monkeypatch.setattr(CheckedRows, "_set_aside", loses_one)
    shop.write(orders=ORDERS + "o3,c1,bad,1.00\n")
    with pytest.raises(AdbcError, match="nothing_vanishes"):
        extract(AS_OF, "live")
    assert shop.orders() == []


def test_a_derived_customer_is_registered_at_the_earliest_row(shop: Shop) -> None:
    feeds = FEEDS | {
        "customers": {
            "derive_from": "orders",
            "columns": {
                "customer_id": "customer",
                "email": {"template": "{customer}@example.com"},
                "registered_at": "day",
            },
        }
    }
    shop.declare(feeds)
    shop.write(orders=ORDERS + "o3,c1,2023-12-01,1.00\no4,c 9,2023-12-01,1.00\n")
    extract(AS_OF, "live")
    customers = shop.warehouse.execute(
        "select email, registered_at::date from raw.customers inner join pii.customers"
        " using (customer_key) order by 1"
    )
    assert customers == [
        ("c1@example.com", date(2023, 12, 1)),
        ("c2@example.com", date(2024, 1, 3)),
    ]
    assert shop.counts("customers") == (3, 2, 1), "the bad address is not lost silently"


Change = Callable[[Shop], object]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda shop: shop.write(orders=ORDERS.replace("total", "sum")), SourceError,
         "orders.csv has no column 'total' (it has: number, customer, day, sum)"),
        (lambda shop: shop.write(orders=""), SourceError, "orders.csv is empty (0 bytes)"),
        (lambda shop: shop.write(orders=ORDERS[:-4]), SourceError, "probably half written"),
        (lambda shop: (shop.folder / "orders.csv").unlink(), SourceError,
         "orders.csv does not exist"),
        (lambda shop: (shop.folder / "orders.csv").write_bytes(ORDERS.encode("utf-16")),
         SourceError, "orders.csv is not written in utf-8"),
        (lambda shop: shop.declare(FEEDS | {"cartons": {}}), DeclarationError, "no feed 'cartons'"),
        (lambda shop: shop.declare({"orders": FEEDS["orders"]}), DeclarationError,
         "the required feed 'customers' is missing"),
        (lambda shop: shop.warehouse.configure(dataset="shoop"), DeclarationError,
         "has no dataset 'shoop'"),
    ],
    ids=["missing column", "empty", "half written", "missing", "encoding", "unknown feed",
         "missing feed", "unknown dataset"],
)  # fmt: skip
def test_a_source_that_can_not_be_read_leaves_the_feed_as_it_was(
    shop: Shop, spoil: Change, error: type[WinbackError], message: str
) -> None:
    extract(AS_OF, "live")
    before = shop.warehouse.execute("select * from raw.orders order by order_id")
    spoil(shop)
    with pytest.raises(error) as raised:
        extract(AS_OF, "live")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert shop.warehouse.execute("select * from raw.orders order by order_id") == before
    assert shop.warehouse.execute("select count(*) from ops.extract_run where feed = 'orders'") == [
        (1,)
    ]


def test_only_the_newest_date_may_be_acted_on(shop: Shop) -> None:
    assert newest_live() is None
    assert purpose_of(AS_OF, is_backfill=False) == "live"
    first = extract(AS_OF, "live")
    extract(date(2024, 3, 1), "backfill")
    assert newest_live() == (first, AS_OF)
    assert purpose_of(AS_OF, is_backfill=False) == "live", "the same date again"
    assert purpose_of(date(2024, 1, 31), is_backfill=False) == "backfill"
    assert purpose_of(date(2024, 2, 2), is_backfill=True) == "backfill"
