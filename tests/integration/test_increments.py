"""Increments by cursor, rows that are gone at the source, and sources that change their columns.

The source is a table of another database, changed by the tests as a shop would change it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import yaml

from tests.conftest import PROJECT, Warehouse
from winback.errors import SourceError
from winback.extract.loading.load import load_feed
from winback.extract.mapping.dataset import read_dataset
from winback.extract.snapshot import extract

AS_OF = date(2024, 2, 1)
TABLES = """
create table account (id text, mail text, created timestamptz);
insert into account select 'c' || n, 'c' || n || '@example.com', '2023-01-01'
    from generate_series(1, 9) n;
create table purchase (
    number text, account_id text, placed_at timestamptz, total numeric(10, 2),
    changed_at timestamptz
);
insert into purchase select 'o' || n, 'c' || n, '2024-01-01'::date + n, n, '2024-01-01'::date + n
    from generate_series(1, 9) n;
"""
ORDERS: dict[str, Any] = {
    "connection": "shop_database",
    "table": "purchase",
    "columns": {
        "order_id": "number",
        "customer_id": "account_id",
        "ordered_at": "placed_at",
        "amount_cents": {"column": "total", "unit": "major"},
        "currency": {"constant": "EUR"},
    },
}
CUSTOMERS = {
    "connection": "shop_database",
    "table": "account",
    "columns": {"customer_id": "id", "email": "mail", "registered_at": "created"},
}
CURSOR = {"column": "changed_at", "overlap_days": 1}


@dataclass
class Shop:
    """A shop's database, and the warehouse that it is loaded into."""

    warehouse: Warehouse
    url: str

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode())

    def declare(self, **orders: Any) -> None:
        feeds = {"customers": CUSTOMERS, "orders": ORDERS | orders}
        path = self.warehouse.data / "sources.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"datasets": {"shop": {"feeds": feeds}}}))
        self.warehouse.configure(sources=path, dataset="shop")

    def orders(self) -> dict[str, int]:
        """Order ids and amounts of the rows that are not deleted."""
        query = "select order_id, amount_cents from raw.orders where deleted_at is null"
        return dict(self.warehouse.execute(query))  # type: ignore[arg-type]

    def last_run(self, *columns: str) -> tuple[Any, ...]:
        return self.warehouse.execute(
            f"select {', '.join(columns)} from ops.extract_run where feed = 'orders'"
            " order by extract_run_id desc limit 1"
        )[0]


@pytest.fixture
def shop(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    name = f"shop_{uuid4().hex[:8]}"
    with psycopg.connect(warehouse.server_url("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    made = Shop(warehouse, warehouse.server_url(name))
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DATABASE", made.url)
    made.execute(TABLES)
    yield made
    with psycopg.connect(warehouse.server_url("postgres"), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())


ALL = {f"o{n}": n * 100 for n in range(1, 10)}


def test_only_new_and_changed_rows_are_read_again(shop: Shop) -> None:
    shop.declare(cursor=CURSOR)
    extract(AS_OF, "live")
    assert shop.last_run("is_whole", "n_received") == (True, 9)
    shop.execute("insert into purchase values ('o10', 'c1', '2024-01-11', 10, '2024-01-11')")
    shop.execute("update purchase set total = 77, changed_at = '2024-01-12' where number = 'o1'")
    extract(AS_OF, "live")
    assert shop.orders() == ALL | {"o1": 7700, "o10": 1000}
    # o9 and o8 lie within the overlap of a day
    assert shop.last_run("is_whole", "n_received", "n_passed") == (False, 4, 4)
    [status] = shop.warehouse.execute(
        "select n_rows, newest_event_at::date from ops.feed_status where feed = 'orders'"
    )
    assert status == (10, date(2024, 1, 11))


def test_a_late_row_within_the_overlap_arrives(shop: Shop) -> None:
    shop.declare(cursor=CURSOR)
    extract(AS_OF, "live")
    shop.execute("insert into purchase values ('late', 'c2', '2023-06-01', 5, '2024-01-09 12:00')")
    extract(AS_OF, "live")
    assert shop.orders() == ALL | {"late": 500}


def test_rows_without_a_cursor_are_never_lost(shop: Shop) -> None:
    shop.declare(cursor=CURSOR)
    extract(AS_OF, "live")
    shop.execute("insert into purchase values ('lost', 'c2', '2023-06-01', 5, null)")
    extract(AS_OF, "live")
    assert shop.orders() == ALL | {"lost": 500}


def test_a_cursor_in_the_future_does_not_hide_what_follows(shop: Shop) -> None:
    shop.declare(cursor=CURSOR)
    shop.execute("update purchase set changed_at = '2099-01-01' where number = 'o3'")
    extract(AS_OF, "live")
    shop.execute("insert into purchase values ('o10', 'c1', '2024-01-11', 10, '2024-01-11')")
    extract(AS_OF, "live")
    assert shop.orders() == ALL | {"o10": 1000}


def test_a_number_as_cursor(shop: Shop) -> None:
    shop.execute("alter table purchase add column version bigint")
    shop.execute("update purchase set version = substr(number, 2)::int")
    shop.declare(cursor={"column": "version", "kind": "number", "overlap": 2})
    extract(AS_OF, "live")
    shop.execute("insert into purchase values ('o10', 'c1', '2024-01-11', 10, null, 10)")
    extract(AS_OF, "live")
    assert shop.orders() == ALL | {"o10": 1000}
    assert shop.last_run("is_whole", "n_received", "cursor_until") == (False, 4, "10")


def test_a_changed_mapping_reads_everything_again(shop: Shop) -> None:
    shop.declare(cursor=CURSOR)
    extract(AS_OF, "live")
    shop.declare(cursor=CURSOR, columns=ORDERS["columns"] | {"channel": {"constant": "online"}})
    extract(AS_OF, "live")
    assert shop.last_run("is_whole", "n_received") == (True, 9)
    assert shop.warehouse.execute("select distinct channel from raw.orders") == [("online",)]


@pytest.mark.parametrize("cursor", [None, CURSOR], ids=["whole", "increment"])
def test_two_loads_at_once_leave_the_same_rows(shop: Shop, cursor: Any) -> None:
    shop.declare(**({"cursor": cursor} if cursor else {}))
    failures: list[BaseException] = []

    def run() -> None:
        try:
            extract(AS_OF, "live")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert shop.orders() == ALL
    assert shop.warehouse.execute("select count(*) from ops.extract_run where feed = 'orders'") == [
        (3,)
    ]


def test_a_killed_load_leaves_nothing_and_the_next_one_all(shop: Shop) -> None:
    shop.declare(cursor=CURSOR)
    extract(AS_OF, "live")
    shop.execute(
        "insert into purchase select 'n' || n, 'c1', '2024-01-10', 1, '2024-01-10'"
        " from generate_series(1, 200000) n"
    )
    script = f"from datetime import date\nfrom winback.extract.snapshot import extract\nextract(date({AS_OF:%Y, %-m, %-d}), 'live')"  # noqa: E501
    process = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, env=os.environ.copy())
    deadline = time.monotonic() + 60
    active = (
        "select count(*) from pg_stat_activity where query like 'COPY%incoming%'"
        " and datname = current_database()"
    )
    while shop.warehouse.execute(active) == [(0,)]:
        assert time.monotonic() < deadline and process.poll() is None, "it was never loading"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert shop.orders() == ALL
    extract(AS_OF, "live")
    assert len(shop.orders()) == 200_009


def test_deleted_rows_are_left_alone_unless_asked(shop: Shop) -> None:
    shop.declare()
    extract(AS_OF, "live")
    shop.execute("delete from purchase where number = 'o4'")
    extract(AS_OF, "live")
    assert shop.orders() == ALL


def test_deleted_rows_are_marked_and_come_back(shop: Shop) -> None:
    shop.declare(deleted_rows="mark")
    extract(AS_OF, "live")
    shop.execute("delete from purchase where number in ('o4', 'o5')")
    extract(AS_OF, "live")
    assert shop.orders() == {k: v for k, v in ALL.items() if k not in ("o4", "o5")}
    assert shop.last_run("n_deleted") == (2,)
    # known to the date that found it out
    assert shop.warehouse.execute(
        "select distinct deleted_at from raw.orders where deleted_at is not null"
    ) == [(datetime(2024, 1, 31, 23, 59, 59, 999999, tzinfo=UTC),)]
    shop.execute("insert into purchase values ('o4', 'c4', '2024-01-05', 4, '2024-01-05')")
    extract(AS_OF, "live")
    assert shop.orders() == {k: v for k, v in ALL.items() if k != "o5"}
    assert shop.last_run("n_deleted") == (0,)


def test_a_row_that_broke_is_not_a_deleted_one(shop: Shop) -> None:
    shop.declare(deleted_rows="mark")
    extract(AS_OF, "live")
    shop.execute("update purchase set total = -1 where number = 'o4'")
    shop.execute("update purchase set number = null where number = 'o5'")
    shop.execute("delete from purchase where number = 'o6'")
    extract(AS_OF, "live")
    # the row without an id could be any of those missing, so none of them is marked
    assert shop.orders() == ALL
    shop.execute("update purchase set number = 'o5' where number is null")
    extract(AS_OF, "live")
    assert shop.orders() == {k: v for k, v in ALL.items() if k != "o6"}


def test_a_source_that_lost_all_its_rows_deletes_nothing(shop: Shop) -> None:
    shop.declare(deleted_rows="mark")
    extract(AS_OF, "live")
    shop.execute("update purchase set total = -1")
    with pytest.raises(SourceError, match="all rows of feed orders would count as deleted"):
        extract(AS_OF, "live")
    assert shop.orders() == ALL


def test_a_new_column_is_told_and_ignored(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.declare()
    extract(AS_OF, "live")
    shop.execute("alter table purchase add column gift_wrap text")
    extract(AS_OF, "live")
    assert "orders: shop_database:purchase has new columns" in caplog.text
    assert "gift_wrap" in caplog.text
    caplog.clear()
    extract(AS_OF, "live")
    assert "gift_wrap" not in caplog.text, "told once"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("alter table purchase rename column total to sum", "has no column 'total'"),
        (
            "alter table purchase alter column placed_at type text",
            "column 'placed_at' was time and is text now: mend the source, or if that is right",
        ),
    ],
    ids=["lost", "retyped"],
)
def test_a_changed_column_stops_its_feed_and_no_other(
    shop: Shop, change: str, message: str
) -> None:
    shop.declare()
    extract(AS_OF, "live")
    shop.execute(change)
    shop.execute("insert into account values ('c10', 'c10@example.com', '2024-01-01')")
    with pytest.raises(SourceError, match="feed orders was not loaded") as raised:
        extract(AS_OF, "live")
    assert message in str(raised.value)
    assert shop.orders() == ALL
    assert shop.warehouse.execute("select count(*) from raw.customers") == [(10,)]
    # nothing is built from a snapshot that lacks a feed
    assert shop.warehouse.execute(
        "select completed_at is null from ops.snapshot order by snapshot_id desc limit 1"
    ) == [(True,)]


def test_another_type_passes_when_a_person_says_so(shop: Shop) -> None:
    shop.declare()
    snapshot = extract(AS_OF, "live")
    shop.execute(
        "alter table purchase alter column placed_at type text using placed_at::date::text"
    )
    from winback.extract.loading.load_records import Batch

    path = shop.warehouse.data / "sources.yaml"
    mapping = read_dataset(path, "shop", shop.warehouse.data).feeds["orders"]
    shop.warehouse.execute("delete from ops.extract_run")
    batch = Batch(snapshot, "shop", datetime(2024, 2, 1, tzinfo=UTC), "UTC")
    assert load_feed(mapping, batch, accept_types=True).n_passed == 9
    extract(AS_OF, "live")


@pytest.mark.parametrize(
    ("before", "after"),
    [("integer", "bigint"), ("numeric(10,2)", "double precision"), ("varchar(9)", "text")],
)
def test_a_wider_type_is_the_same(shop: Shop, before: str, after: str) -> None:
    shop.execute(f"alter table purchase alter column total type {before} using '1'::{before}")
    shop.declare()
    extract(AS_OF, "live")
    shop.execute(f"alter table purchase alter column total type {after} using total::{after}")
    extract(AS_OF, "live")
    assert set(shop.orders().values()) == {100}


def test_an_objection_that_the_source_forgets_is_kept(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = CUSTOMERS["columns"] | {"objected_at": "objected"}  # type: ignore[operator]
    monkeypatch.setitem(CUSTOMERS, "columns", columns)
    shop.execute("alter table account add column objected timestamptz")
    shop.execute("update account set objected = '2024-01-20' where id in ('c1', 'c2', 'c3')")
    shop.declare()
    extract(AS_OF, "live")
    shop.execute("update account set objected = null where id = 'c1'")
    shop.execute(
        "update account set objected = '2023-12-01', created = '2022-01-01' where id = 'c2'"
    )
    shop.execute("update account set objected = '2024-01-25' where id = 'c3'")
    shop.execute("update account set objected = '2024-01-26' where id = 'c4'")
    extract(AS_OF, "live")
    told = [
        (date(2022, 1, 1), date(2024, 1, 20)),
        (date(2023, 1, 1), date(2024, 1, 20)),
        (date(2023, 1, 1), date(2024, 1, 25)),
        (date(2023, 1, 1), date(2024, 1, 26)),
    ]
    objectors = (
        "select registered_at::date, objected_at::date, snapshot_id from raw.customers"
        " where objected_at is not null"
    )
    rows = shop.warehouse.execute(objectors)
    assert sorted(row[:2] for row in rows) == told
    # what is as it was is not written again
    extract(AS_OF, "live")
    assert sorted(shop.warehouse.execute(objectors)) == sorted(rows)
