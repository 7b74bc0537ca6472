"""The sources file: every mistake names file, dataset, feed and column and says what to write."""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from winback.errors import DeclarationError
from winback.extract.mapping.column_mapping import DETAILS, ORIGINS
from winback.extract.mapping.cursor import CURSOR_KEYS, Cursor
from winback.extract.mapping.dataset import FEED_KEYS, Dataset, read_dataset
from winback.settings import PROJECT

GOOD: dict[str, Any] = {
    "orders": {
        "file": "/data/orders.csv",
        "delimiter": ";",
        "encoding": "latin-1",
        "columns": {
            "order_id": "number",
            "customer_id": "customer",
            "ordered_at": {"column": "date", "format": "%d.%m.%Y", "timezone": "Europe/Berlin"},
            "amount_cents": {"column": "total", "unit": "major", "decimal": ","},
            "currency": {"constant": "EUR"},
        },
    },
    "customers": {
        "connection": "shop_database",
        "table": "public.customers",
        "columns": {
            "customer_id": "id",
            "email": {"template": "{name}@{host}"},
            "registered_at": "created_at",
        },
    },
}


def read(path: Path, feeds: Any, name: str = "shop") -> Dataset:
    path.write_text(yaml.safe_dump({"datasets": {"shop": {"feeds": feeds}}}), encoding="utf-8")
    return read_dataset(path, name, Path("/data"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sources.yaml"


def changed(*keys: str, value: Any) -> dict[str, Any]:
    """`GOOD` with one entry replaced; None removes it."""
    feeds = deepcopy(GOOD)
    holder = feeds
    for key in keys[:-1]:
        holder = holder[key]
    if value is None:
        del holder[keys[-1]]
    else:
        holder[keys[-1]] = value
    return feeds


def test_a_good_file_is_read(path: Path) -> None:
    feeds = read(path, GOOD).feeds
    assert feeds["orders"].file == "/data/orders.csv"
    assert feeds["orders"].columns["amount_cents"].decimal == ","
    assert feeds["customers"].source == "shop_database:public.customers"
    assert feeds["customers"].source_columns == {"id", "name", "host", "created_at"}


def test_a_cursor_says_where_reading_begins(path: Path) -> None:
    at = datetime(2025, 3, 10, tzinfo=UTC)
    by_time = read(path, changed("orders", "cursor", value="updated_at")).feeds["orders"]
    assert by_time.cursor == Cursor("updated_at", overlap_days=3)
    assert by_time.cursor.since(at) == datetime(2025, 3, 7, tzinfo=UTC)
    assert "updated_at" in by_time.read_columns
    assert "updated_at" not in by_time.source_columns
    longer = {"column": "updated_at", "overlap_days": 7, "timezone": "Europe/Berlin"}
    cursor = read(path, changed("orders", "cursor", value=longer)).feeds["orders"].cursor
    assert cursor is not None
    assert cursor.since(at) == datetime(2025, 3, 3, tzinfo=UTC)
    number = {"column": "version", "kind": "number"}
    cursor = read(path, changed("orders", "cursor", value=number)).feeds["orders"].cursor
    assert cursor is not None
    assert cursor.since(5_000) == 4_000


def test_a_derived_feed_reads_its_origin_whole(path: Path) -> None:
    """The earliest row of a key may be an old one."""
    feeds = changed("orders", "cursor", value="updated_at")
    columns = {"customer_id": "customer", "registered_at": "date"}
    feeds["customers"] = {"derive_from": "orders", "columns": columns, "deleted_rows": "mark"}
    feeds["orders"] |= {"distinct": True, "max_age_days": 3}
    derived = read(path, feeds).feeds["customers"]
    assert derived.file == "/data/orders.csv"
    assert (derived.cursor, derived.is_distinct, derived.max_age_days) == (None, False, None)
    assert derived.deleted_rows == "mark"


def test_words_are_translated_as_they_are_written(path: Path) -> None:
    words = {"Ja": True, "Nein": False, 1: "true"}
    feeds = changed("orders", "columns", "channel", value={"column": "web", "values": words})
    how = read(path, feeds).feeds["orders"].columns["channel"]
    assert how.values == {"Ja": "true", "Nein": "false", "1": "true"}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("o.csv", "csv"),
        ("o.csv.gz", "csv"),
        ("o.txt", "csv"),
        ("o-*.PARQUET", "parquet"),
        ("o.jsonl.gz", "jsonl"),
        ("o.ndjson", "jsonl"),
    ],
)
def test_a_file_is_written_as_its_name_ends(path: Path, name: str, form: str) -> None:
    feeds = changed("orders", value=GOOD["orders"] | {"file": f"/data/{name}"})
    for key in ("delimiter", "encoding"):
        del feeds["orders"][key]
    orders = read(path, feeds).feeds["orders"]
    assert orders.format == form
    feeds["orders"]["format"] = "jsonl"
    assert read(path, feeds).feeds["orders"].format == "jsonl"


def test_a_file_may_lie_in_object_storage(path: Path) -> None:
    place = {"file": "s3://exports/{data}/o-*.csv", "connection": "shop_bucket"}
    orders = read(path, changed("orders", value=GOOD["orders"] | place)).feeds["orders"]
    assert orders.file == "s3://exports/{data}/o-*.csv"
    assert (orders.source, orders.kind, orders.connection) == ("o-*.csv", "file", "shop_bucket")


def test_the_shipped_file_is_good() -> None:
    feeds = read_dataset(PROJECT / "config" / "sources.yaml", "cdnow", Path("/data")).feeds
    assert feeds["customers"].file == feeds["orders"].file == "/data/cdnow/CDNOW_master.txt"
    assert feeds["customers"].is_made_up
    assert not feeds["orders"].is_made_up


COLUMN = ("orders", "columns")
MISTAKES = [
    (("hats",), {"file": "/x"}, "", "there is no feed 'hats'; the feeds are `customers`"),
    (("orders",), None, "", "the required feed 'orders' is missing; map it"),
    (("orders",), ["file"], "feed orders", "must be lines of `name: value`"),
    (("orders", "flie"), "/x", "feed orders", "unknown `flie`; possible are"),
    (("orders", "table"), "t", "feed orders", "write exactly one of `file`, `table`"),
    (("customers", "connection"), None, "feed customers", "`table` needs the `connection`"),
    (("customers", "table"), None, "feed customers", "write exactly one of `file`, `table`"),
    (("orders", "connection"), "c", "feed orders", "`connection` belongs to a `table`, or to"),
    (("orders", "file"), "s3://b/o.csv", "feed orders", "a `file` in s3:// needs the `connection`"),
    (("orders", "file"), "gs://b/o.csv", "feed orders", "read by the S3 protocol alone: write s3:"),
    (("orders",), GOOD["orders"] | {"file": "s3://b", "connection": "c"}, "feed orders",
     "write s3://bucket/path"),
    (("orders", "file"), "/data/**/o.csv", "feed orders", "write one `*` for each folder"),
    (("customers", "encoding"), "x", "feed customers", "`encoding` belongs to a `file`"),
    (("orders", "file"), "orders.csv", "feed orders", "write the whole path"),
    (("orders", "file"), "/data/orders.parquet", "feed orders", "belongs to text files"),
    (("orders", "distinct"), "no", "feed orders", "`distinct` is true or false"),
    (("orders", "max_age_days"), 0, "feed orders", "`max_age_days` is 0: write a whole number"),
    (("orders", "max_age_days"), True, "feed orders", "`max_age_days` is True: write a whole"),
    (("orders", "deleted_rows"), "drop", "feed orders", "is one of `ignore`, `mark`"),
    (("orders",), GOOD["orders"] | {"cursor": "at", "deleted_rows": "mark"}, "feed orders",
     "`deleted_rows: mark` needs the whole source every time"),
    (("orders", "cursor"), 7, "feed orders, `cursor`", "is 7: name a column of the source"),
    (("orders", "cursor"), {"overlap_days": 1}, "`cursor`", "name the source's `column`"),
    (("orders", "cursor"), {"column": "at", "overlap": 1}, "`cursor`",
     "`overlap` belongs to `kind: number`"),
    (("orders", "cursor"), {"column": "n", "kind": "number", "overlap_days": 1}, "`cursor`",
     "`overlap_days` belongs to `kind: time`"),
    (("orders", "cursor"), {"column": "n", "kind": "number", "overlap": -1}, "`cursor`",
     "`overlap` is -1: write a whole number from 0"),
    (("orders", "cursor"), {"column": "n", "kind": "uuid"}, "`cursor`", "`kind` is one of `time`"),
    (("orders", "cursor"), {"column": "n", "format": "dd.mm"}, "`cursor`", "as strptime does"),
    (("orders", "cursor"), {"colum": "n"}, "`cursor`", "unknown `colum`"),
    (("orders", "file"), 7, "feed orders", "`file` is 7: write a text"),
    (("orders", "format"), "xml", "feed orders",
     "`format` is one of `csv`, `whitespace`, `parquet`, `jsonl`"),
    (("orders", "delimiter"), "||", "feed orders", "`delimiter` is one character"),
    (("orders", "made_up"), "no", "feed orders", "`made_up` is true or false"),
    (("orders", "columns"), ["a"], "feed orders", "must be lines of `name: value`"),
    ((*COLUMN, "colour"), "c", "feed orders", "the feed has no column 'colour'; its columns are"),
    ((*COLUMN, "currency"), None, "feed orders", "map the required columns `currency`"),
    ((*COLUMN, "currency"), {"constant": "EUR", "column": "c"}, "column currency",
     "write exactly one of `column`, `constant`, `template`, `generate`"),
    ((*COLUMN, "currency"), {"constant": False}, "column currency", "`constant` is False: write"),
    ((*COLUMN, "currency"), {"constant": ""}, "column currency", "`constant` is '': write"),
    ((*COLUMN, "currency"), {"columm": "c"}, "column currency", "unknown `columm`"),
    ((*COLUMN, "order_id"), {"generate": "uuid"}, "column order_id", "is one of `file_row`"),
    ((*COLUMN, "order_id"), {"template": "no braces"}, "column order_id", "in braces"),
    ((*COLUMN, "order_id"), {"template": "open {brace"}, "column order_id", "in braces"),
    ((*COLUMN, "order_id"), {"template": "{}"}, "column order_id", "in braces"),
    ((*COLUMN, "order_id"), {"template": "{a!r}"}, "column order_id", "in braces"),
    ((*COLUMN, "order_id"), {"column": "n", "unit": "major"}, "column order_id",
     "`unit` belongs to columns of kind cents"),
    ((*COLUMN, "order_id"), {"column": "n", "decimal": ","}, "column order_id",
     "`decimal` belongs to columns of kind cents and number"),
    ((*COLUMN, "channel"), {"column": "c", "values": "web"}, "column channel", "lists the"),
    ((*COLUMN, "channel"), {"column": "c", "values": {True: "web"}}, "column channel",
     "a word of `values` is True: write a text, in quotes"),
    ((*COLUMN, "channel"), {"column": "c", "values": {"w": ["web"]}}, "column channel",
     "`values` w is ['web']: write a text"),
    ((*COLUMN, "channel"), {"constant": "w", "values": {"w": "web"}}, "column channel",
     "`values` needs `column` beside it"),
    ((*COLUMN, "amount_cents"), {"column": "t", "unit": "euro"}, "column amount_cents",
     "`unit` is one of `minor`, `major`"),
    ((*COLUMN, "amount_cents"), {"column": "t", "decimal": ","}, "column amount_cents",
     "needs `unit: major`"),
    ((*COLUMN, "ordered_at"), {"column": "d", "format": "dd.MM.yyyy"}, "column ordered_at",
     "write year, month and day as strptime does"),
    ((*COLUMN, "ordered_at"), {"column": "d", "format": "%Q"}, "column ordered_at", "strptime"),
    ((*COLUMN, "ordered_at"), {"column": "d", "format": "%H:%M"}, "column ordered_at", "strptime"),
    ((*COLUMN, "ordered_at"), {"column": "d", "timezone": "Europe/Berln"}, "column ordered_at",
     "there is no `timezone` 'Europe/Berln'"),
    (("customers", "columns", "customer_id"), {"generate": "file_row"}, "column customer_id",
     "rows of a table have no lasting number"),
    (("customers",), {"derive_from": "consents", "columns": GOOD["customers"]["columns"]},
     "feed customers", "`derive_from` must name a mapped feed"),
    (("customers",), {"derive_from": "orders", "columns": GOOD["customers"]["columns"],
     "cursor": "at"}, "feed customers", "`cursor` has no place here"),
    (("customers",), {"derive_from": "orders", "columns": GOOD["customers"]["columns"],
     "distinct": True}, "feed customers", "`distinct` has no place here (one row per key"),
    (("customers",), {"derive_from": "customers", "columns": GOOD["customers"]["columns"]},
     "feed customers", "`derive_from` must name a mapped feed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "value", "place", "message"), MISTAKES, ids=[f"{m[0]}={m[1]}" for m in MISTAKES]
)
def test_a_mistake_names_its_place_and_what_to_write(
    path: Path, keys: tuple[str, ...], value: Any, place: str, message: str
) -> None:
    with pytest.raises(DeclarationError) as error:
        read(path, changed(*keys, value=value))
    said = str(error.value)
    assert said.startswith("sources.yaml, dataset shop")
    assert place in said
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist: write it, see docs/sources.md"),
        ("datasets: [", "is not valid YAML"),
        ("- datasets", "must be lines of `name: value`"),
        ("", "has no dataset 'shop'"),
        ("datasets: {cdnow: {}}", "write one of `cdnow` into the setting `dataset`"),
        ("datasets: {shop: }", "the required feed 'customers' is missing"),
        ("datasets: {shop: {feed: {}}}", "unknown `feed`"),
    ],
)
def test_a_file_that_is_none_is_named(path: Path, text: str | None, message: str) -> None:
    if text is not None:
        path.write_text(text)
    with pytest.raises(DeclarationError, match=r"sources\.yaml") as error:
        read_dataset(path, "shop", Path("/data"))
    assert message in str(error.value)


def test_the_examples_of_the_documentation_are_good(path: Path) -> None:
    page = (PROJECT / "docs" / "sources.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 6
    for example in examples:
        path.write_text(example)
        read_dataset(path, "shop", Path("/data"))


def test_the_documentation_explains_every_key() -> None:
    page = (PROJECT / "docs" / "sources.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert explained == FEED_KEYS | {*ORIGINS, *DETAILS, *CURSOR_KEYS} | {"feeds"}
