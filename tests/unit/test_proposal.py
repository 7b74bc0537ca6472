"""Proposing a mapping: by names in English and German, by types, and never more than is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from winback.extract.feeds import FEEDS
from winback.extract.mapping.dataset import read_dataset
from winback.extract.proposal import synonyms
from winback.extract.proposal.likeness import likely_columns, table_likeness, value_class
from winback.extract.proposal.postgres_catalog import without_password
from winback.extract.proposal.proposal import Proposal, SourceTable, changed_column, propose
from winback.extract.proposal.proposal_text import proposal_text

COLUMNS = {
    "customers": {"id": "bigint", "E-Mail": "text", "created_at": "timestamp with time zone"},
    "orders": {
        "id": "bigint",
        "customer_id": "bigint",
        "Bestelldatum": "date",
        "total": "numeric(10,2)",
        "currency": "character(3)",
    },
}


def table(name: str, columns: dict[str, str], **more: object) -> SourceTable:
    place = {"connection": "shop_database", "table": f"public.{name}"}
    return SourceTable(f"public.{name}", place, columns, **more)  # type: ignore[arg-type]


def shop(**others: dict[str, str]) -> list[SourceTable]:
    return [table(name, columns) for name, columns in (COLUMNS | others).items()]


def proposal(feed: str, tables: list[SourceTable]) -> Proposal:
    return next(each for each in propose(tables) if each.feed.name == feed)


# Names


def test_every_word_is_about_a_feed_or_a_column() -> None:
    columns = {column.name for feed in FEEDS.values() for column in feed.columns}
    times = {c.name for feed in FEEDS.values() for c in feed.columns if c.kind == "timestamp"}
    assert set(synonyms.TABLES) == set(synonyms.ENTITIES) == set(FEEDS)
    # when a row was made is asked for in the same words everywhere
    assert set(synonyms.TIMES) == times - {"created_at"}
    assert set(synonyms.WORDS) <= columns - times
    allowed = {word for f in FEEDS.values() for c in f.columns for word in c.allowed}
    assert set(synonyms.VALUES.values()) <= allowed


@pytest.mark.parametrize("feed", FEEDS)
def test_a_table_of_the_feeds_own_names_is_mapped_one_to_one(feed: str) -> None:
    declared = FEEDS[feed]
    types = {"timestamp": "date", "cents": "integer", "integer": "integer", "number": "numeric"}
    columns = {c.name: types.get(c.kind, "text") for c in declared.columns}
    columns |= {c.name: "boolean" for c in declared.columns if c.kind == "boolean"}
    found = proposal(feed, [table(feed, columns, words=lambda _: [])])
    assert {name: each.origin for name, each in found.columns.items()} == {n: n for n in columns}
    assert found.is_complete


@pytest.mark.parametrize(
    ("feed", "names"),
    [
        ("customers", ["kunden", "tbl_customer", "sales.Accounts", "Kundenstamm", "users"]),
        ("orders", ["Bestellungen", "shop_orders", "sales_orders", "Aufträge", "purchase"]),
        ("order_lines", ["order_items", "OrderDetails", "bestellpositionen", "line_items"]),
        ("returns", ["Retouren", "refunds", "Rücksendungen"]),
        ("payments", ["invoices", "Rechnungen"]),
        ("consents", ["newsletter_subscriptions", "Einwilligungen"]),
    ],
)
def test_tables_are_known_by_their_usual_names(feed: str, names: list[str]) -> None:
    for name in names:
        best = max(FEEDS.values(), key=lambda each: table_likeness(name, each))
        assert (table_likeness(name, best) > 0, best.name) == (True, feed), name


@pytest.mark.parametrize("name", ["customer_addresses", "order_status_log", "settings", "jobs"])
def test_other_tables_are_not_taken(name: str) -> None:
    assert not any(table_likeness(name, feed) for feed in FEEDS.values())


@pytest.mark.parametrize(
    ("feed", "column", "kind", "names"),
    [
        ("orders", "customer_id", "bigint", ["KundenNr", "cust_no", "user_id", "Kunde", "account"]),
        ("orders", "order_id", "text", ["Bestell-Nr.", "orderNumber", "Auftragsnummer", "ID"]),
        ("orders", "ordered_at", "date", ["Bestelldatum", "placed_at", "orderDate", "date_added"]),
        ("orders", "amount_cents", "numeric(8,2)", ["Gesamtbetrag", "grand_total", "total_eur"]),
        ("customers", "postal_code", "text", ["PLZ", "zip", "customer_postcode"]),
        ("customers", "registered_at", "date", ["angelegt_am", "signup_date", "created"]),
        ("returns", "amount_cents", "real", ["Erstattungsbetrag", "refund_amount"]),
        ("payments", "due_at", "date", ["fällig_am", "due_date", "Fälligkeitsdatum"]),
        ("contracts", "cancelled_at", "date", ["gekündigt_am", "cancelation_date"]),
    ],
)
def test_columns_are_known_by_their_usual_names(
    feed: str, column: str, kind: str, names: list[str]
) -> None:
    declared = FEEDS[feed]
    for name in names:
        assert likely_columns(declared.column(column), declared, {name: kind}) == [name]


def test_a_column_of_another_type_is_not_taken() -> None:
    orders = FEEDS["orders"]
    assert likely_columns(orders.column("ordered_at"), orders, {"order_date": "text"}) == []
    assert likely_columns(orders.column("amount_cents"), orders, {"total": "jsonb"}) == []
    # in a text file everything is text
    assert likely_columns(
        orders.column("ordered_at"), orders, {"order_date": "text"}, is_text=True
    ) == ["order_date"]


def test_the_better_word_comes_first() -> None:
    orders = FEEDS["orders"]
    present = {"date": "date", "created_at": "date", "ordered_at": "date", "order_date": "date"}
    found = likely_columns(orders.column("ordered_at"), orders, present)
    assert found == ["ordered_at", "order_date", "created_at", "date"]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("timestamp without time zone", "time"),
        ("timestamp[us, tz=UTC]", "time"),
        ("date32[day]", "time"),
        ("numeric(10,2)", "number"),
        ("decimal128(10, 2)", "number"),
        ("double precision", "number"),
        ("boolean", "truth"),
        ("character varying(80)", "text"),
        ("uuid", "text"),
        ("integer[]", "other"),
        ("jsonb", "other"),
        ("interval", "other"),
        ("money", "other"),
    ],
)
def test_types_of_databases_and_files_are_told_apart(kind: str, what: str) -> None:
    assert value_class(kind) == what


# Proposals


@pytest.mark.parametrize(
    ("name", "kind", "origin", "is_doubtful"),
    [
        ("total", "numeric(10,2)", {"column": "total", "unit": "major"}, False),
        ("total", "numeric", {"column": "total", "unit": "major"}, False),
        ("total", "double", {"column": "total", "unit": "major"}, False),
        ("total", "decimal128(10, 0)", "total", True),
        ("total", "bigint", "total", True),
        ("total_cents", "bigint", "total_cents", False),
    ],
)
def test_euros_and_cents_are_told_by_the_type(
    name: str, kind: str, origin: object, is_doubtful: bool
) -> None:
    columns = {key: value for key, value in COLUMNS["orders"].items() if key != "total"}
    found = proposal("orders", shop(orders=columns | {name: kind})).columns["amount_cents"]
    assert found.origin == origin
    assert bool(found.remark) == is_doubtful


def test_the_primary_key_is_the_id_that_others_point_to() -> None:
    columns = {"order_number": "text", "nr": "bigint"} | COLUMNS["orders"]
    del columns["id"]
    with_key = table("orders", columns, key=("nr",))
    assert proposal("orders", [with_key]).columns["order_id"].origin == "nr"
    without = table("orders", columns, key=("nr", "order_number"))
    assert proposal("orders", [without]).columns["order_id"].origin == "order_number"


def test_words_of_a_list_are_translated_or_left_to_a_person() -> None:
    columns = {
        "id": "int", "customer_id": "int", "kanal": "text", "granted_at": "date",
        "text_version": "text", "source": "text",
    }  # fmt: skip

    def channel(words: list[str] | None) -> object:
        consents = table("consents", columns, words=lambda _: words)
        return proposal("consents", [consents]).columns["channel"]

    assert channel(["email", "phone"]).origin == "kanal"  # type: ignore[attr-defined]
    translated = channel(["Mail", "email", "Brief"])
    assert translated.origin == {  # type: ignore[attr-defined]
        "column": "kanal", "values": {"Mail": "email", "Brief": "letter"},
    }  # fmt: skip
    unknown = channel(["Mail", "Fax"])
    assert unknown.origin is None  # type: ignore[attr-defined]
    assert "kanal holds Fax: map it with `values`" in unknown.remark  # type: ignore[attr-defined]
    assert channel(None).origin is None  # type: ignore[attr-defined]
    free_text = channel(["Canary called and asked for Mr Canary's order"])
    assert "Canary" not in free_text.remark  # type: ignore[attr-defined]


def test_a_table_serves_one_feed_and_the_larger_of_two_is_taken() -> None:
    tables = [
        table("orders", COLUMNS["orders"], n_rows=10),
        SourceTable("old.orders", {"table": "old.orders"}, COLUMNS["orders"], n_rows=9),
    ]
    found = {p.feed.name: p for p in propose(tables)}
    assert found["orders"].table is tables[0]
    assert found["orders"].others == ["old.orders"]
    assert all(p.table is None for name, p in found.items() if name != "orders")


def test_customers_can_be_made_of_orders() -> None:
    found = proposal("customers", [table("orders", COLUMNS["orders"])])
    assert found.derive_from == "orders"
    assert {name: each.origin for name, each in found.columns.items()} == {
        "customer_id": "customer_id",
        "registered_at": "Bestelldatum",
    }


def test_the_column_of_changes_is_found() -> None:
    assert changed_column(table("t", {"updated_at": "date"})) == "updated_at"
    assert changed_column(table("t", {"zuletzt_geaendert": "timestamp"})) == "zuletzt_geaendert"
    assert changed_column(table("t", {"updated_at": "text", "updated_by": "date"})) is None


# Texts


def read(path: Path, tables: list[SourceTable]) -> set[str]:
    path.write_text(proposal_text("shop", ["Said first"], propose(tables)), encoding="utf-8")
    return set(read_dataset(path, "shop", path.parent).feeds)


def test_a_proposal_is_a_sources_file(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    assert read(path, shop()) == {"customers", "orders"}
    assert path.read_text().startswith("# Said first\n")


def test_names_are_quoted_where_yaml_would_read_them_otherwise(tmp_path: Path) -> None:
    columns = dict(COLUMNS["customers"]) | {"Straße: Nr": "text", "no": "text", "land": "text"}
    path = tmp_path / "sources.yaml"
    tables = [SourceTable("kunden", {"file": "/data/a: b #1.csv"}, columns), shop()[1]]
    read(path, tables)
    feeds = yaml.safe_load(path.read_text())["datasets"]["shop"]["feeds"]
    assert feeds["customers"]["file"] == "/data/a: b #1.csv"
    assert feeds["customers"]["columns"]["country"] == "land"


def test_a_doubtful_optional_feed_is_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    reviews = {"id": "int", "customer_id": "int", "rating": "int", "colour": "text"}
    assert read(path, shop(reviews=reviews)) == {"customers", "orders"}
    text = path.read_text()
    assert "# public.reviews looks like reviews, and does not say reviewed_at." in text
    assert "#     reviewed_at:  # no column looks like it; a timestamp is needed" in text
    assert "create view" not in text


def test_what_the_order_knows_is_joined(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    items = {"OrderId": "int", "position": "int", "sku": "text", "qty": "int", "price": "real"}
    read(path, shop(order_items=items))
    text = path.read_text()
    assert 'create view public.order_items_of_orders as select i.*, o."Bestelldatum" as ord' in text
    assert 'inner join public.orders as o on o.id = i."OrderId"' in text
    files = [SourceTable(n, {"file": n}, c) for n, c in (COLUMNS | {"order_items": items}).items()]
    assert "create view" not in proposal_text("shop", [], propose(files))


def test_a_required_column_that_is_missing_is_left_to_choose() -> None:
    columns = {"id": "int", "besteller": "int", "wann": "date", "total": "real"}
    text = proposal_text("shop", [], propose(shop(orders=columns)))
    assert "customer_id:  # choose one of: id" not in text
    assert "ordered_at:  # choose one of: wann" in text
    assert "currency: {constant: EUR}  # no column found: is it always EUR?" in text
    orders = yaml.safe_load(text)["datasets"]["shop"]["feeds"]["orders"]
    assert orders["columns"]["ordered_at"] is None


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgres://u:p%40ss@h:5433/d", "postgresql://u:PASSWORD@h:5433/d"),
        ("postgresql://h/d", "postgresql://USER:PASSWORD@h:5432/d"),
        (
            "postgresql://u:p@h/d?sslmode=require&sslpassword=p&password=q",
            "postgresql://u:PASSWORD@h:5432/d?sslmode=require",
        ),
    ],
)
def test_a_password_is_never_written_down(address: str, shown: str) -> None:
    assert without_password(address) == shown
