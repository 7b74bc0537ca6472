"""`./winback sources init`: a mapping is proposed from what a source holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
import yaml

from tests.conftest import Warehouse
from tests.small_shop import SmallShop
from tests.sources_command import check, sources, words
from winback.extract.proposal.source_proposal import propose_sources
from winback.extract.snapshot import extract
from winback.server.postgres_server import PostgresServer

SECRET = "p@ss:word/1"
TABLES = """
create table customers (
    id bigint generated always as identity primary key, email text, first_name text,
    customer_type text, country char(2), created_at timestamptz not null, updated_at timestamptz
);
create table orders (
    id bigint generated always as identity primary key, order_number text not null,
    customer_id bigint references customers, placed_at timestamptz, status text,
    total numeric(12, 2), currency char(3), coupon_code text
);
create table order_items (
    id bigint generated always as identity primary key, order_id bigint references orders,
    product_id text, quantity int, line_total numeric(12, 2)
);
create schema crm;
create table crm.einwilligungen (
    id int primary key, kunden_nr bigint, kanal text, erteilt_am timestamptz,
    bestaetigt_am timestamptz, widerrufen_am timestamptz, fassung text, quelle text
);
insert into customers (email, first_name, customer_type, country, created_at)
    select 'canary-' || n || '@example.com', 'Canary', 'private', 'DE', now() - interval '9 days'
    from generate_series(1, 5) as n;
insert into orders (order_number, customer_id, placed_at, status, total, currency)
    select 'A-' || n, n, now() - interval '1 day', 'paid', 12.50, 'EUR'
    from generate_series(1, 5) as n;
insert into order_items (order_id, product_id, quantity, line_total) values (1, 'p', 1, 12.50);
insert into crm.einwilligungen values (1, 1, 'Mail', now(), now(), null, 'v1', 'Kasse'),
    (2, 2, 'Telefon', now(), now(), null, 'v1', 'Kasse');
"""


@dataclass(frozen=True)
class Database:
    """The shop's own database; `url` logs in with a role that may only read."""

    url: str
    owner_url: str


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    name = f"shop_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as server:
        server.execute(f"create database {name}".encode())
        server.execute(f"create role {name} login password '{SECRET}' in role pg_read_all_data")
        owner_url = postgres_server.url(name)
        with psycopg.connect(owner_url) as connection:
            connection.execute(TABLES.encode())
        try:
            yield Database(postgres_server.url(name, name, SECRET), owner_url)
        finally:
            server.execute(f"drop database {name} with (force)".encode())
            server.execute(f"drop role {name}".encode())


def test_a_proposal_passes_the_check_without_a_change(shop: SmallShop, database: Database) -> None:
    proposed = sources(shop, "init", "--from", database.url)
    assert proposed.returncode == 0, proposed.stderr
    for secret in (SECRET, quote(SECRET, safe=""), "Canary"):
        assert secret not in proposed.stdout + proposed.stderr
    assert "export AIRFLOW_CONN_SHOP_DATABASE='postgresql://shop_" in proposed.stdout
    (shop.folder / "sources.yaml").write_text(proposed.stdout)
    result = check(shop, AIRFLOW_CONN_SHOP_DATABASE=database.url)
    assert result.returncode == 0, result.stdout + result.stderr
    said = words(result.stdout)
    for feed, n_rows in (("customers", 5), ("orders", 5), ("consents", 2)):
        _, _, after = said.partition(f"{feed} from shop_database:")
        assert f"✓ all {n_rows} rows pass" in after, feed
    assert "amount_cents total numeric(12,2) 12.50 · 12.50 · 12.50 1250" in said
    assert "canary-" not in result.stdout


def test_a_proposal_loads_without_a_change(
    warehouse: Warehouse, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DATABASE", database.url)
    warehouse.data.mkdir()
    path = warehouse.data / "sources.yaml"
    path.write_text(propose_sources(database.url, "shop"))
    warehouse.configure(sources=path, dataset="shop")
    extract(date.today(), "live")
    loaded = warehouse.execute(
        "select feed, n_received, n_passed, n_quarantined from ops.extract_run order by feed"
    )
    assert loaded == [("consents", 2, 2, 0), ("customers", 5, 5, 0), ("orders", 5, 5, 0)]
    assert warehouse.execute("select distinct amount_cents, currency from raw.orders") == [
        (1250, "EUR")
    ]
    assert warehouse.execute("select channel from raw.consents order by 1") == [
        ("email",),
        ("phone",),
    ]
    orphans = "select count(*) from raw.orders as o left join raw.customers as c using"
    assert warehouse.execute(f"{orphans} (customer_key) where c.customer_key is null") == [(0,)]


def test_a_proposal_says_what_is_doubtful(shop: SmallShop, database: Database) -> None:
    text = sources(shop, "init", "--from", database.url, "--dataset", "laden").stdout
    feeds = yaml.safe_load(text)["datasets"]["laden"]["feeds"]
    assert set(feeds) == {"customers", "orders", "consents"}
    # what the lines point to, even though people see another number
    assert feeds["orders"]["columns"]["order_id"] == "id"
    assert feeds["orders"]["connection"] == "laden_database"
    assert feeds["customers"]["columns"]["kind"] == {
        "column": "customer_type", "values": {"private": "consumer"},
    }  # fmt: skip
    assert feeds["consents"]["columns"]["channel"] == {
        "column": "kanal", "values": {"Mail": "email", "Telefon": "phone"},
    }  # fmt: skip
    assert "# cursor: updated_at" in text
    assert "# status:  # orders that were cancelled count as well" in text
    assert "# public.order_items looks like order_lines, and does not say ordered_at." in text
    assert "# No table looks like one of these feeds" in text


def test_the_view_of_a_proposal_can_be_made_and_mapped(shop: SmallShop, database: Database) -> None:
    text = sources(shop, "init", "--from", database.url).stdout
    lines = [line.strip().removeprefix("#").strip() for line in text.splitlines()]
    begin = next(n for n, line in enumerate(lines) if line.startswith("create view"))
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(" ".join(lines[begin : begin + 2]).encode())
        connection.execute(b"alter view order_items_of_orders rename to order_lines")
    text = sources(shop, "init", "--from", database.url).stdout
    feeds = yaml.safe_load(text)["datasets"]["shop"]["feeds"]
    assert feeds["order_lines"]["table"] == "public.order_lines"
    assert feeds["order_lines"]["columns"]["ordered_at"] == "ordered_at"
    assert "could be as well: public.order_items" in text


def test_a_connection_that_airflow_knows_is_taken_by_its_id(
    shop: SmallShop, database: Database
) -> None:
    result = sources(shop, "init", "--from", "erp", AIRFLOW_CONN_ERP=database.url)
    assert result.returncode == 0, result.stderr
    feeds = yaml.safe_load(result.stdout)["datasets"]["shop"]["feeds"]
    assert feeds["orders"]["connection"] == "erp"
    assert "export" not in result.stdout


def test_files_are_looked_at_with_their_values(shop: SmallShop) -> None:
    for path in shop.folder.glob("*.csv"):
        path.unlink()
    content = (
        "KundenNr;E-Mail;Vorname;angelegt am;Kundenart\n1;a@example.com;Jürgen;31.12.2023;privat\n"
    )
    (shop.folder / "Kunden.csv").write_text(content, encoding="cp1252")
    rows = ["BestellNr;KundenNr;Bestelldatum;Betrag", "7;1;01.02.2024 10:30;12,50", ""]
    for month in (1, 2):
        (shop.folder / f"Bestellungen-2024-0{month}.csv").write_text("\n".join(rows))
    result = sources(shop, "init", "--from", str(shop.folder))
    assert result.returncode == 0, result.stderr
    feeds = yaml.safe_load(result.stdout)["datasets"]["shop"]["feeds"]
    assert feeds["customers"] == {
        "file": f"{shop.folder}/Kunden.csv",
        "encoding": "cp1252",
        "delimiter": ";",
        "columns": {
            "customer_id": "KundenNr",
            "email": "E-Mail",
            "first_name": "Vorname",
            "kind": {"column": "Kundenart", "values": {"privat": "consumer"}},
            "registered_at": {"column": "angelegt am", "format": "%d.%m.%Y"},
        },
    }
    assert feeds["orders"] == {
        "file": f"{shop.folder}/Bestellungen-*.csv",
        "delimiter": ";",
        "columns": {
            "order_id": "BestellNr",
            "customer_id": "KundenNr",
            "ordered_at": {"column": "Bestelldatum", "format": "%d.%m.%Y %H:%M"},
            "amount_cents": {"column": "Betrag", "decimal": ",", "unit": "major"},
            "currency": {"constant": "EUR"},
        },
    }
    (shop.folder / "sources.yaml").write_text(result.stdout)
    checked = check(shop)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "✓ all 1 rows pass" in words(checked.stdout)


def test_what_must_be_there_and_looks_like_nothing_is_left_to_choose(
    shop: SmallShop, cdnow_data: Path
) -> None:
    result = sources(shop, "init", "--from", str(cdnow_data / "CDNOW_master.txt"))
    assert result.returncode == 0, result.stderr
    assert "table:  # no table looks like it: name one, or a `file`" in result.stdout
    (shop.folder / "sources.yaml").write_text(result.stdout)
    checked = check(shop)
    assert checked.returncode == 1
    assert "feed customers: `table` is None: write a text" in checked.stderr


@pytest.mark.parametrize(
    ("address", "mend"),
    [
        ("postgres://someone:secret@127.0.0.1:1/shop", "/shop can not be read"),
        ("postgres://someone:secret%zz@127.0.0.1/shop", "that is no address of a database"),
        ("mysql://someone:secret@127.0.0.1/shop", "--from takes postgres://"),
        ("no_such", "Airflow knows no connection 'no_such'"),
        ("{folder}", "holds no file to read: name a folder with .csv"),
    ],
)
def test_an_address_that_leads_nowhere_is_named(shop: SmallShop, address: str, mend: str) -> None:
    (shop.folder / "empty").mkdir()
    result = sources(shop, "init", "--from", address.format(folder=shop.folder / "empty"))
    assert result.returncode == 1
    assert mend in result.stderr
    assert "secret" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
