"""The sources file: every mistake names file, dataset, feed and column and says what to write."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from winback.errors import DeclarationError
from winback.extract.column_mapping import DETAILS, ORIGINS
from winback.extract.mapping import FEED_KEYS, Dataset, read_dataset
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
    assert feeds["orders"].file == Path("/data/orders.csv")
    assert feeds["orders"].columns["amount_cents"].decimal == ","
    assert feeds["customers"].source == "shop_database:public.customers"
    assert feeds["customers"].source_columns == {"id", "name", "host", "created_at"}


def test_the_shipped_file_is_good() -> None:
    feeds = read_dataset(PROJECT / "config" / "sources.yaml", "cdnow", Path("/data")).feeds
    assert feeds["customers"].file == feeds["orders"].file == Path("/data/cdnow/CDNOW_master.txt")
    assert feeds["customers"].is_made_up
    assert not feeds["orders"].is_made_up


COLUMN = ("orders", "columns")
MISTAKES = [
    (("carts",), {"file": "/x"}, "", "there is no feed 'carts'; the feeds are `customers`"),
    (("orders",), None, "", "the required feed 'orders' is missing; map it"),
    (("orders",), ["file"], "feed orders", "must be lines of `name: value`"),
    (("orders", "flie"), "/x", "feed orders", "unknown `flie`; possible are"),
    (("orders", "table"), "t", "feed orders", "`connection` and `table` need each other"),
    (("customers", "table"), None, "feed customers", "`connection` and `table` need each other"),
    (("customers", "file"), "/x", "feed customers", "write exactly one of `file`"),
    (("customers", "encoding"), "x", "feed customers", "`encoding` belongs to a `file`"),
    (("orders", "file"), "orders.csv", "feed orders", "write the whole path"),
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
    assert len(examples) == 2
    for example in examples:
        path.write_text(example)
        read_dataset(path, "shop", Path("/data"))


def test_the_documentation_explains_every_key() -> None:
    page = (PROJECT / "docs" / "sources.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert explained == FEED_KEYS | {*ORIGINS, *DETAILS} | {"feeds"}
