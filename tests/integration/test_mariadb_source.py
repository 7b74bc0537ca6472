"""Feeds from a real MariaDB, by way of an Airflow connection."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import yaml

from tests import mariadb
from tests.conftest import PROJECT, Warehouse
from tests.mariadb import PASSWORD, READER, MariaDB
from winback.errors import SourceError
from winback.extract.feeds import FEEDS as DECLARED
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.cursor import Cursor, CursorValue
from winback.extract.mapping.dataset import FeedMapping, read_dataset
from winback.extract.snapshot import extract
from winback.extract.sources.reading import describe_source, read_source
from winback.extract.sources.source_check import check_sources
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE, BrokenRows
from winback.extract.sources.sql_source import BATCH_ROWS
from winback.privacy.keyed_hash import customer_key
from winback.server.processes import free_port

AS_OF = date(2024, 2, 1)
TABLES = """
set sql_mode = '', time_zone = '+00:00';
create table account (
    id bigint unsigned primary key, mail varchar(80), vorname varchar(80), created date,
    uid binary(4), is_member tinyint(1)
);
insert into account values
    (18446744073709551615, 'ada@example.com', 'Zoë 😀', '2024-01-01', x'00ff10aa', 1),
    (2, '', null, '0000-00-00', null, 0);
create table `pur``chase; --` (
    nr int primary key, account bigint unsigned, `placed At` datetime, items tinyint(1),
    total decimal(10, 2), paid_at timestamp null, `mode` enum('shop', 'web'),
    rate float, flags bit(9)
);
insert into `pur``chase; --` values
    (1, 18446744073709551615, '2024-01-10 10:00:00', 2, 12.50, '2024-01-10 10:00:00', 'web',
        1.1, 5),
    (2, 18446744073709551615, '2024-01-11', 1, 0, null, 'shop', null, b'100000000'),
    (3, 18446744073709551615, '0000-00-00', 1, 1, '0000-00-00', null, null, null),
    (4, null, '2024-01-12', 1, 1, null, null, null, null),
    (5, 2, '2024-00-13', 1, 1, null, null, null, null);
create table `change` (
    id int primary key, at timestamp null, local_at datetime, day date, version bigint unsigned,
    words varchar(40)
);
insert into `change` values
    (1, '2024-01-10 10:59:59', '2024-01-10 11:59:59', '2024-01-10', 9, '2024-01-10'),
    (2, '2024-01-10 11:00:00', '2024-01-10 12:00:00', '2024-01-11', 10, '2024-01-11'),
    (3, '2024-01-10 11:00:01', '2024-01-10 12:00:01', '2024-01-12', 11, '2024-01-12'),
    (4, null, null, null, null, null),
    (5, '0000-00-00', '0000-00-00', '0000-00-00', 12, '');
create view new_change as select * from `change` where id > 1;
create table many (id int primary key, customer varchar(40), at datetime, total decimal(10, 2),
    words varchar(100));
insert into many select seq, concat('c-', seq), '2020-01-01' + interval seq second, 1.5,
    repeat('x', 60) from seq_1_to_1000000;
"""
FEEDS: dict[str, Any] = {
    "customers": {
        "connection": "shop_mysql",
        "table": "account",
        "columns": {
            "customer_id": "id",
            "email": "mail",
            "first_name": "vorname",
            "registered_at": "created",
        },
    },
    "orders": {
        "connection": "shop_mysql",
        "table": "shop.pur`chase; --",
        "columns": {
            "order_id": {"template": "shop-{nr}"},
            "customer_id": "account",
            "ordered_at": {"column": "placed At", "timezone": "Europe/Berlin"},
            "quantity": "items",
            "amount_cents": {"column": "total", "unit": "major"},
            "currency": {"constant": "EUR"},
        },
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    # below /tmp itself, as the folders of pytest are closed to whom the server runs as
    with tempfile.TemporaryDirectory(prefix="winback-mariadb-") as folder:
        running = mariadb.start(Path(folder))
        try:
            running.execute(TABLES)
            yield running
        finally:
            running.stop()


@pytest.fixture(autouse=True)
def shop(server: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_MYSQL", address(server.port))


def address(port: int, password: str = PASSWORD, database: str = "shop") -> str:
    return f"mysql://{READER}:{quote(password, safe='')}@127.0.0.1:{port}/{database}"


def table(name: str, *columns: str, cursor: Cursor | None = None) -> FeedMapping:
    # which columns of the feed they become does not matter to whoever reads
    named = {f"{i}": ColumnMapping(column) for i, column in enumerate(columns)}
    return FeedMapping(
        DECLARED["orders"], named, connection="shop_mysql", table=name, cursor=cursor
    )


def rows(mapping: FeedMapping, since: CursorValue | None = None) -> list[dict[str, Any]]:
    return [row for batch in read_source(mapping, BrokenRows(), since) for row in batch.to_pylist()]


def refusal(mapping: FeedMapping, since: CursorValue | None = None) -> str:
    with pytest.raises(SourceError) as error:
        rows(mapping, since)
    said = str(error.value)
    assert "\n" not in said
    assert PASSWORD not in said
    assert quote(PASSWORD, safe="") not in said
    return said


def declare(warehouse: Warehouse, feeds: dict[str, Any]) -> None:
    warehouse.data.mkdir(exist_ok=True)
    path: Path = warehouse.data / "sources.yaml"
    path.write_text(yaml.safe_dump({"datasets": {"shop": {"feeds": feeds}}}))
    warehouse.configure(dataset="shop", sources=path)


def test_a_shop_is_loaded(warehouse: Warehouse) -> None:
    declare(warehouse, FEEDS)
    extract(AS_OF, "live")
    key = customer_key("shop", "18446744073709551615")
    assert warehouse.execute(
        "select order_id, customer_key, ordered_at, quantity, amount_cents, currency"
        " from raw.orders order by order_id"
    ) == [
        ("shop-1", key, datetime(2024, 1, 10, 9, tzinfo=UTC), 2, 1250, "EUR"),
        ("shop-2", key, datetime(2024, 1, 10, 23, tzinfo=UTC), 1, 0, "EUR"),
    ]
    assert warehouse.execute(
        "select content ->> 'order_id', reasons[1] from quarantine.rejected_row"
        " where feed = 'orders' order by 1"
    ) == [
        ("shop-3", "ordered_at is missing"),
        ("shop-4", "customer_id is missing"),
        ("shop-5", "ordered_at is no date written as 2024-12-31 or 2024-12-31T18:30:00+01:00"),
    ]
    assert warehouse.execute(
        "select source_customer_id, email, first_name from pii.customers where customer_key = %s",
        (key,),
    ) == [("18446744073709551615", "ada@example.com", "Zoë 😀")]


def test_every_type_comes_as_people_write_it() -> None:
    first, second, third, *_ = rows(
        table("pur`chase; --", "items", "total", "placed At", "paid_at", "mode", "rate", "flags")
    )
    assert first == {
        "items": "2",
        "total": "12.50",
        "placed At": "2024-01-10 10:00:00",
        # the server's own zone is another
        "paid_at": "2024-01-10 10:00:00Z",
        "mode": "web",
        "rate": "1.1",
        "flags": "5",
        ROW_NUMBER: 1,
        SOURCE: "shop_mysql:pur`chase; --",
    }
    assert second["flags"] == "256"
    assert third["placed At"] is None
    assert third["paid_at"] is None
    [other, account] = rows(table("account", "uid", "mail", "is_member"))
    assert (account["uid"], account["is_member"]) == ("00ff10aa", "1")
    assert (other["uid"], other["mail"], other["is_member"]) == (None, "", "0")


def test_the_columns_are_told_in_the_words_of_the_database() -> None:
    assert describe_source(table("shop.account")) == {
        "id": "bigint(20) unsigned",
        "mail": "varchar(80)",
        "vorname": "varchar(80)",
        "created": "date",
        "uid": "binary(4)",
        "is_member": "tinyint(1)",
    }
    assert list(describe_source(table("new_change")))[:2] == ["id", "at"]


@pytest.mark.parametrize("column", ["at", "local_at", "day", "version"])
def test_only_new_rows_are_asked_for(warehouse: Warehouse, column: str) -> None:
    warehouse.configure(business_timezone="Europe/Berlin")
    is_number = column == "version"
    cursor = Cursor(column, kind="number" if is_number else "time")
    since = 10 if is_number else datetime(2024, 1, 10, 11, tzinfo=UTC)
    found = rows(table("change", "id", cursor=cursor), since)
    assert [row["id"] for row in found] == ["2", "3", "4", "5"]
    # counted as they came from the server: nothing was left out afterwards
    assert [row[ROW_NUMBER] for row in found] == [1, 2, 3, 4]
    assert len(rows(table("change", "id", cursor=cursor))) == 5
    assert len(rows(table("new_change", "id", cursor=cursor), since)) == 4


def test_a_cursor_of_another_kind_is_refused() -> None:
    since = datetime(2024, 1, 10, tzinfo=UTC)
    said = refusal(table("change", "id", cursor=Cursor("words")), since)
    assert "the `cursor` 'words' is varchar(40): name a column that holds a time itself" in said
    assert "holds a number" in refusal(table("change", "id", cursor=Cursor("at", kind="number")), 7)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (table("accounts", "id"), "shop_mysql:accounts can not be read: there is no such table"),
        (table("mysql.user", "User"), "may not read it; write `schema.table`"),
        (table("account", "id", "no"), "has no column 'no' (it has: id, mail, vorname, created"),
        (table("acc'ount\\", "id"), "there is no such table"),
    ],
)
def test_what_is_not_there_is_named(mapping: FeedMapping, message: str) -> None:
    assert message in refusal(mapping)


def test_a_server_that_is_down_names_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_MYSQL", address(port))
    begin = time.monotonic()
    said = refusal(table("account", "id"))
    assert time.monotonic() - begin < 5
    assert f"no MySQL answers at 127.0.0.1:{port}" in said
    assert "check the Airflow connection 'shop_mysql'" in said


def test_a_wrong_password_and_half_a_connection_are_named(
    server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_MYSQL", address(server.port, "wr0ng!"))
    said = refusal(table("account", "id"))
    assert "Access denied" in said
    assert "wr0ng" not in said
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_MYSQL", address(server.port, database=""))
    assert "'shop_mysql' needs host, login and schema" in refusal(table("account", "id"))


def test_a_break_in_the_middle_gives_no_row(server: MariaDB) -> None:
    killed: list[str] = []

    def kill() -> None:
        deadline = time.monotonic() + 20
        while not killed and time.monotonic() < deadline:
            killed.extend(
                server.execute(
                    f"select id from information_schema.processlist where user = '{READER}'"
                    " and info like '%many%' and info not like '%column_type%'"
                ).split()
            )
        server.execute(f"kill {killed[0]}")

    breaker = threading.Thread(target=kill)
    breaker.start()
    seen = 0
    with pytest.raises(SourceError, match="shop_mysql:many can not be read") as error:
        for _ in read_source(table("many", "id", "customer", "at", "words"), BrokenRows()):
            seen += 1
    breaker.join()
    assert killed
    assert seen == 0
    assert "\n" not in str(error.value)


def test_a_break_leaves_what_was_loaded(warehouse: Warehouse, server: MariaDB) -> None:
    declare(warehouse, FEEDS)
    extract(AS_OF, "live")
    server.execute("rename table account to account_away")
    try:
        with pytest.raises(SourceError, match="feed customers"):
            extract(AS_OF, "live")
    finally:
        server.execute("rename table account_away to account")
    assert warehouse.execute("select count(*) from raw.customers") == [(1,)]


def test_a_sample_does_not_read_the_table(server: MariaDB) -> None:
    mapping = table("many", "id", "words")
    before = rows_read(server)
    batches = list(read_source(mapping, BrokenRows(), is_sample=True))
    assert [batch.num_rows for batch in batches] == [BATCH_ROWS, 1]
    assert rows_read(server) - before < 100_000


def test_what_a_load_would_find_is_shown(warehouse: Warehouse) -> None:
    declare(warehouse, FEEDS)
    path = warehouse.data / "sources.yaml"
    found = {
        check.mapping.feed.name: check
        for check in check_sources(read_dataset(path, "shop", warehouse.data), "UTC")
    }
    orders = found["orders"]
    assert (orders.problem, orders.is_whole, orders.n_looked_at, orders.n_bad) == (None, True, 5, 3)
    assert orders.source_columns["total"] == "decimal(10,2)"
    assert orders.samples["amount_cents"].at_source == ["12.50", "0.00", "1.00"]
    assert "flags" in orders.unused_columns
    # the one without a date
    assert found["customers"].reasons == {"registered_at is missing": 1}


def rows_read(server: MariaDB) -> int:
    shown = server.execute("show global status where variable_name like 'Handler_read_rnd_next'")
    return int(shown.split()[1])


PEAK = """
import sys
import time
import psutil
from winback.extract.feeds import FEEDS
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.dataset import FeedMapping, read_dataset
from winback.extract.sources.reading import read_source
from winback.extract.sources.source_rows import BrokenRows

columns = {name: ColumnMapping(name) for name in ("id", "customer", "at", "total", "words")}
def read(table):
    mapping = FeedMapping(FEEDS["orders"], columns, connection="shop_mysql", table=table)
    for batch in read_source(mapping, BrokenRows()):
        # slower than the database
        time.sleep(0.1)
        yield batch.num_rows
sum(read("few"))
before = psutil.Process().memory_info().rss
most, n_rows = before, 0
for rows in read("many"):
    n_rows += rows
    most = max(most, psutil.Process().memory_info().rss)
print(n_rows, (most - before) >> 20)
"""


def test_a_large_table_is_read_in_bounded_memory(server: MariaDB) -> None:
    server.execute("create or replace table few as select * from many limit 70000")
    environment = dict(psutil.Process().environ()) | {"PYTHONPATH": str(PROJECT / "plugins")}
    environment["AIRFLOW_CONN_SHOP_MYSQL"] = address(server.port)
    done = subprocess.run(
        [sys.executable, "-c", PEAK], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    n_rows, mebibytes = map(int, done.stdout.split()[-2:])
    assert n_rows == 1_000_000
    # without the file it were above 80, and grew with the table
    assert mebibytes < 60


def test_a_table_may_be_named_with_its_database() -> None:
    mapping = table("shop.account", "mail")
    assert len(rows(replace(mapping, table="account"))) == len(rows(mapping)) == 2
