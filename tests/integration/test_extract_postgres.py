"""Feeds from a table of another database, by way of an Airflow connection in the environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import yaml

from tests.conftest import Warehouse
from winback.errors import SourceError
from winback.extract.feeds import FEEDS as DECLARED
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.cursor import Cursor, CursorValue
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.snapshot import extract
from winback.extract.sources.reading import describe_source, read_source
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE, BrokenRows
from winback.privacy.keyed_hash import customer_key
from winback.server.processes import free_port

AS_OF = date(2024, 2, 1)
ADA = "8b9f0c4e-0c2f-4f4e-9d55-3a4c5b6d7e8f"
TABLES = f"""
create table account (id uuid primary key, mail varchar(80), created date not null);
insert into account values ('{ADA}', 'ada@example.com', '2024-01-01'),
    (gen_random_uuid(), null, '2024-01-02');
create schema sales;
create table sales.purchase (
    nr int primary key, account uuid, "placed At" timestamptz, items smallint, total numeric(10, 2)
);
insert into sales.purchase values
    (1, '{ADA}', '2024-01-10 10:00+02', 2, 12.50),
    (2, '{ADA}', '2024-01-11', 1, 0),
    (3, '{ADA}', 'infinity', 1, 1),
    (4, null, '2024-01-12', 1, 1),
    (5, '{ADA}', '2024-01-13', 1, 'NaN');
"""
FEEDS: dict[str, Any] = {
    "customers": {
        "connection": "shop_database",
        "table": "account",
        "columns": {"customer_id": "id", "email": "mail", "registered_at": "created"},
    },
    "orders": {
        "connection": "shop_database",
        "table": "sales.purchase",
        "columns": {
            "order_id": {"template": "shop-{nr}"},
            "customer_id": "account",
            "ordered_at": "placed At",
            "quantity": "items",
            "amount_cents": {"column": "total", "unit": "major"},
            "currency": {"constant": "EUR"},
        },
    },
}


@pytest.fixture
def shop(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of the shop's own database; the warehouse reads from it."""
    name = f"shop_{uuid4().hex[:12]}"
    with psycopg.connect(warehouse.server_url("postgres"), autocommit=True) as server:
        server.execute(f"create database {name}".encode())
        url = warehouse.server_url(name)
        with psycopg.connect(url) as connection:
            connection.execute(TABLES.encode())
        monkeypatch.setenv("AIRFLOW_CONN_SHOP_DATABASE", url.replace("postgresql", "postgres"))
        declare(warehouse, FEEDS)
        yield url
        server.execute(f"drop database {name} with (force)".encode())


def declare(warehouse: Warehouse, feeds: dict[str, Any]) -> None:
    warehouse.data.mkdir(exist_ok=True)
    path: Path = warehouse.data / "sources.yaml"
    path.write_text(yaml.safe_dump({"datasets": {"shop": {"feeds": feeds}}}))
    warehouse.configure(dataset="shop", sources=path)


@pytest.mark.usefixtures("shop")
def test_tables_are_read_in_their_own_types(warehouse: Warehouse) -> None:
    extract(AS_OF, "live")
    key = customer_key("shop", ADA)
    assert warehouse.execute(
        "select order_id, customer_key, ordered_at, quantity, amount_cents, currency"
        " from raw.orders order by order_id"
    ) == [
        ("shop-1", key, datetime(2024, 1, 10, 8, tzinfo=UTC), 2, 1250, "EUR"),
        ("shop-2", key, datetime(2024, 1, 11, tzinfo=UTC), 1, 0, "EUR"),
    ]
    assert warehouse.execute(
        "select content ->> 'order_id', reasons[1] from quarantine.rejected_row order by 1"
    ) == [
        ("shop-3", "ordered_at is no date written as 2024-12-31 or 2024-12-31T18:30:00+01:00"),
        ("shop-4", "customer_id is missing"),
        ("shop-5", "amount_cents is no amount such as 12.34"),
    ]
    assert warehouse.execute("select n_received, n_passed from ops.extract_run order by 1") == [
        (2, 2),
        (5, 2),
    ]
    assert warehouse.execute(
        "select source_customer_id, email from pii.customers where customer_key = %s", (key,)
    ) == [(ADA, "ada@example.com")]


def test_an_empty_table_is_refused_only_where_the_feed_is_required(
    warehouse: Warehouse, shop: str
) -> None:
    with psycopg.connect(shop) as connection:
        connection.execute("create table consent as select ''::text as a limit 0")
    columns = dict.fromkeys(
        ("consent_id", "customer_id", "channel", "granted_at", "text_version", "source"), "a"
    )
    consents = {"connection": "shop_database", "table": "consent", "columns": columns}
    declare(warehouse, FEEDS | {"consents": consents})
    extract(AS_OF, "live")
    assert warehouse.execute("select n_received from ops.extract_run where feed = 'consents'") == [
        (0,)
    ]
    with psycopg.connect(shop) as connection:
        connection.execute("truncate sales.purchase")
    with pytest.raises(SourceError, match=r"shop_database:sales\.purchase has no rows"):
        extract(AS_OF, "live")
    assert warehouse.execute("select count(*) from raw.orders") == [(2,)]


@pytest.mark.usefixtures("shop")
def test_a_source_that_is_down_names_the_connection_and_the_mend(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"postgresql://someone:secret@127.0.0.1:{free_port()}/shop"
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DATABASE", address)
    with pytest.raises(SourceError) as error:
        extract(AS_OF, "live")
    said = str(error.value)
    assert "shop_database:account can not be read" in said
    assert "check the Airflow connection 'shop_database'" in said
    assert "secret" not in said
    assert "\n" not in said
    assert warehouse.execute("select count(*) from raw.customers") == [(0,)]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("feed", "change", "message"),
    [
        ("orders", {"table": "sales.purchases"}, "sales.purchases can not be read"),
        (
            "customers",
            {"columns": {"customer_id": "no", "registered_at": "created"}},
            "shop_database:account has no column 'no' (it has: id, mail, created)",
        ),
        ("customers", {"connection": "no_such"}, "knows no connection 'no_such': add it"),
    ],
)
def test_what_is_not_there_is_named(
    warehouse: Warehouse, feed: str, change: dict[str, Any], message: str
) -> None:
    declare(warehouse, FEEDS | {feed: FEEDS[feed] | change})
    with pytest.raises(SourceError, match=f"feed {feed}") as error:
        extract(AS_OF, "live")
    assert message in str(error.value)


@pytest.mark.usefixtures("shop")
def test_a_connection_of_another_kind_is_refused(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DATABASE", "redis://x:y@127.0.0.1/shop")
    with pytest.raises(SourceError, match="is of type 'redis'"):
        extract(AS_OF, "live")
    assert warehouse.execute("select count(*) from ops.extract_run") == [(0,)]


TIMES = """
create table change (
    id int, at timestamptz, local_at timestamp, day date, version bigint, words text
);
insert into change values
    (1, '2024-01-10 10:59:59Z', '2024-01-10 11:59:59', '2024-01-10', 9, 'soon'),
    (2, '2024-01-10 11:00:00Z', '2024-01-10 12:00:00', '2024-01-11', 10, 'soon'),
    (3, '2024-01-10 11:00:01Z', '2024-01-10 12:00:01', 'infinity', 11, 'soon'),
    (4, null, null, null, null, null);
"""


def changes(cursor: Cursor) -> FeedMapping:
    columns = {"order_id": ColumnMapping("id")}
    return FeedMapping(
        DECLARED["orders"], columns, connection="shop_database", table="change", cursor=cursor
    )


@pytest.mark.parametrize("column", ["at", "local_at", "day", "version"])
def test_only_new_rows_are_asked_for(warehouse: Warehouse, shop: str, column: str) -> None:
    with psycopg.connect(shop) as connection:
        connection.execute(TIMES.encode())
    warehouse.configure(business_timezone="Europe/Berlin")
    if column == "version":
        since: CursorValue = 10
        mapping = changes(Cursor(column, kind="number"))
    else:
        since = datetime(2024, 1, 10, 11, tzinfo=UTC)
        mapping = changes(Cursor(column))
    [batch] = read_source(mapping, BrokenRows(), since)
    assert batch.column("id").to_pylist() == [2, 3, 4]
    # counted as they came from the server: nothing was left out afterwards
    assert batch.column(ROW_NUMBER).to_pylist() == [1, 2, 3]
    assert set(batch.column(SOURCE).to_pylist()) == {"shop_database:change"}
    [batch] = read_source(mapping, BrokenRows())
    assert batch.num_rows == 4


def test_a_cursor_that_is_no_time_is_named(shop: str) -> None:
    with psycopg.connect(shop) as connection:
        connection.execute(TIMES.encode())
    mapping = changes(Cursor("words"))
    with pytest.raises(SourceError, match="shop_database:change can not be read") as error:
        list(read_source(mapping, BrokenRows(), datetime(2024, 1, 10, tzinfo=UTC)))
    assert "soon" not in str(error.value)


def test_the_columns_are_told_in_the_words_of_the_database(shop: str) -> None:
    with psycopg.connect(shop) as connection:
        connection.execute("create view sales.recent as select * from sales.purchase where nr > 9")
    mapping = changes(Cursor("id"))
    for table in ("sales.purchase", "sales.recent"):
        assert describe_source(replace(mapping, table=table)) == {
            "nr": "integer",
            "account": "uuid",
            "placed At": "timestamp with time zone",
            "items": "smallint",
            "total": "numeric(10,2)",
        }
