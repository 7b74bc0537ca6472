"""Feeds from a Shopify shop, from a stand-in that pages, throttles and breaks."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import PROJECT, Warehouse
from tests.shopify_rows import PRODUCT, customer, money, order
from tests.shopify_stand_in import TOKEN, Shop, shopify
from winback.errors import DeclarationError, SourceError
from winback.extract.feeds import FEEDS
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.cursor import Cursor
from winback.extract.mapping.dataset import FeedMapping, read_dataset
from winback.extract.snapshot import extract
from winback.extract.sources import shopify_client, shopify_source
from winback.extract.sources.reading import describe_source, read_source
from winback.extract.sources.shopify_resources import RESOURCES
from winback.extract.sources.source_check import check_sources
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE, BrokenRows
from winback.server.processes import free_port

AS_OF = date(2024, 6, 1)
DOCS = PROJECT / "docs" / "sources.md"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """120 orders of ten customers; every twelfth is a guest's."""
    monkeypatch.setattr(shopify_client, "FIRST_PAUSE_SECONDS", 0.01)
    with shopify() as running:
        running.orders = [order(n, None if n % 12 == 0 else n % 10) for n in range(120, 0, -1)]
        running.customers = [customer(n) for n in range(10)]
        running.products = [PRODUCT]
        monkeypatch.setenv("AIRFLOW_CONN_MY_SHOP", address(running.port))
        yield running


def address(port: int, token: str = TOKEN) -> str:
    return f"http://:{token}@127.0.0.1:{port}/http"


def table(name: str, *columns: str, cursor: Cursor | None = None) -> FeedMapping:
    named = {f"{i}": ColumnMapping(column) for i, column in enumerate(columns)}
    return FeedMapping(FEEDS["orders"], named, connection="my_shop", shop=name, cursor=cursor)


def rows(mapping: FeedMapping, since: datetime | None = None) -> list[dict[str, Any]]:
    return [row for batch in read_source(mapping, BrokenRows(), since) for row in batch.to_pylist()]


def order_ids(mapping: FeedMapping | None = None) -> list[str]:
    return [row["order_id"] for row in rows(mapping or table("orders", "order_id"))]


def refusal(mapping: FeedMapping) -> str:
    with pytest.raises(SourceError) as error:
        rows(mapping)
    said = str(error.value)
    assert "\n" not in said
    assert TOKEN not in said
    return said


ALL = [str(number) for number in range(1, 121)]


@pytest.mark.parametrize("name", RESOURCES)
def test_every_column_that_is_offered_is_there(shop: Shop, name: str) -> None:
    mapping = table(name, *describe_source(table(name)))
    found = rows(mapping)
    assert found
    assert set(found[0]) == {*RESOURCES[name].types, ROW_NUMBER, SOURCE}
    assert found[0][SOURCE] == f"my_shop:{name}"
    assert [row[ROW_NUMBER] for row in found] == list(range(1, len(found) + 1))


def test_an_order_is_flattened() -> None:
    with shopify() as running, pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_CONN_MY_SHOP", address(running.port))
        running.orders = [order(7, 4)]
        [found] = rows(table("orders", *RESOURCES["orders"].types))
        lines = rows(table("order_lines", *RESOURCES["order_lines"].types))
    assert (found["order_id"], found["customer_id"], found["order_name"]) == ("7", "4", "#7")
    assert (found["total_price"], found["currency"], found["quantity"]) == ("12.50", "EUR", "2")
    assert (found["is_test"], found["cancelled_at"]) == ("false", None)
    assert [(line["line_id"], line["line_number"], line["product_id"]) for line in lines] == [
        ("7000", "1", "7"),
        ("7001", "2", None),
    ]
    assert {line["amount"] for line in lines} == {"6.25"}


def test_all_pages_are_gone_through_in_the_order_of_ids(shop: Shop) -> None:
    assert order_ids() == ALL
    assert [variables["after"] for _, variables in shop.asked] == [None, "50", "100"]


def test_a_long_order_has_all_its_lines(shop: Shop) -> None:
    shop.orders = [order(1, 1, n_lines=65), order(2, 2)]
    found = rows(table("order_lines", "order_id", "line_number", "line_id"))
    assert [int(row["line_number"]) for row in found] == [*range(1, 66), 1, 2]
    assert len({row["line_id"] for row in found}) == 67
    assert len(shop.asked) == 4


def test_guests_are_left_out_where_that_is_asked_for(shop: Shop) -> None:
    found = rows(table("customer_orders", "order_id", "customer_id"))
    assert len(found) == 110
    assert all(row["customer_id"] for row in found)
    guests = [row for row in rows(table("orders", "customer_id")) if row["customer_id"] is None]
    assert len(guests) == 10
    assert len(rows(table("customer_order_lines", "order_id"))) == 220


def test_only_what_was_changed_is_asked_for(shop: Shop) -> None:
    mapping = table("orders", "order_id", cursor=Cursor("updated_at"))
    since = datetime(2024, 2, 27, 10, tzinfo=UTC)
    found = rows(mapping, since)
    assert {row["updated_at"] for row in found} == {"2024-02-27T10:00:00Z", "2024-02-28T10:00:00Z"}
    assert shop.asked[0][1]["query"] == "updated_at:>='2024-02-27T10:00:00Z'"
    # counted as they came: nothing was left out afterwards
    assert [row[ROW_NUMBER] for row in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize("fault", ["500", "reset", "cut", "half", "429", "throttled"])
def test_a_fault_in_the_middle_loses_and_doubles_nothing(shop: Shop, fault: str) -> None:
    shop.faults = ["", fault, fault, "", fault]
    begin = time.monotonic()
    assert order_ids() == ALL
    assert [met for met, _ in shop.asked] == ["", fault, fault, "", fault, ""]
    assert [variables["after"] for _, variables in shop.asked] == [None, *["50"] * 3, *["100"] * 2]
    # as long as Shopify said: 0.6 seconds, or (100 - 40) points at 100 a second
    if fault in ("429", "throttled"):
        assert time.monotonic() - begin >= 3 * 0.6


def test_a_row_that_comes_again_is_taken_once(shop: Shop) -> None:
    shop.faults = ["", "repeat", "repeat"]
    pages = []
    asked = shop.answer

    def answer(*args: Any, **kwargs: Any) -> dict[str, Any]:
        body = asked(*args, **kwargs)
        pages.append([node["legacyResourceId"] for node in body["data"]["orders"]["nodes"]])
        return body

    shop.answer = answer  # type: ignore[method-assign]
    assert order_ids() == ALL
    sent = [number for page in pages for number in page]
    assert len(sent) == len(ALL) + 2
    assert sorted({number for number in sent if sent.count(number) > 1}) == ["100", "50"]


def test_what_is_too_costly_is_asked_for_in_smaller_pages(shop: Shop) -> None:
    shop.most_cost = 60
    found = rows(table("order_lines", "order_id"))
    assert len(found) == 240
    assert [variables["first"] for _, variables in shop.asked][:4] == [10, 5, 2, 2]
    shop.most_cost = 10
    assert "even one row too costly" in refusal(table("order_lines", "order_id"))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("500", "status 502, asked 5 times"),
        ("reset", "asked 5 times"),
        ("cut", "asked 5 times"),
        ("half", "half an answer, asked 5 times"),
        ("429", "throttled with status 429, asked 3 times"),
        ("throttled", "throttled, asked 3 times"),
    ],
)
def test_a_fault_that_lasts_is_told(
    shop: Shop, fault: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shopify_client, "MOST_WAITS", 2)
    shop.faults = ["", *[fault] * 99]
    said = refusal(table("orders", "order_id"))
    assert message in said
    assert "my_shop:orders can not be read" in said
    assert "check the Airflow connection 'my_shop', or load again later" in said


def test_what_will_not_pass_is_not_asked_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.faults = ["401"]
    assert "status 401" in refusal(table("orders", "order_id"))
    shop.faults = ["denied"]
    said = refusal(table("orders", "order_id"))
    assert "ACCESS_DENIED: Access denied for orders field." in said
    assert "read_all_orders" in said
    assert len(shop.asked) == 2
    monkeypatch.setenv("AIRFLOW_CONN_MY_SHOP", address(shop.port, "shpat_other"))
    assert "its password is the Admin API access token" in refusal(table("orders", "order_id"))
    version = f"{address(shop.port)}?api_version=1999-01"
    monkeypatch.setenv("AIRFLOW_CONN_MY_SHOP", version)
    assert "status 404" in refusal(table("orders", "order_id"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("postgres://reader:secret@127.0.0.1/shop", "is of type 'postgres'"),
        ("http://my-shop.myshopify.com", "needs the shop as host"),
        (f"http://:{TOKEN}@my-shop.myshopify.com/http", "would send the access token unencrypted"),
    ],
)
def test_a_connection_that_can_not_be_one_is_named(
    monkeypatch: pytest.MonkeyPatch, given: str, message: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MY_SHOP", given)
    assert message in refusal(table("orders", "order_id"))


def test_a_shop_that_does_not_answer_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MY_SHOP", address(free_port()))
    assert "ConnectError" in refusal(table("orders", "order_id"))
    monkeypatch.setenv("AIRFLOW_CONN_MY_SHOP", address(shop.port))
    assert "has no column 'total'" in refusal(table("orders", "order_id", "total"))


def documented() -> dict[str, Any]:
    """The mapping that the documentation proposes."""
    section = DOCS.read_text(encoding="utf-8").partition("## A Shopify shop")[2]
    block = re.search(r"```yaml\n(.*?)```", section, re.S)
    assert block
    content: dict[str, Any] = yaml.safe_load(block[1])
    return content


@pytest.fixture
def loaded(shop: Shop, warehouse: Warehouse) -> Path:
    warehouse.data.mkdir(exist_ok=True)
    path = warehouse.data / "sources.yaml"
    path.write_text(yaml.safe_dump(documented()))
    warehouse.configure(dataset="shop", sources=path)
    extract(AS_OF, "live")
    return path


def counts(warehouse: Warehouse) -> dict[str, int]:
    feeds = ("customers", "orders", "order_lines", "products", "returns", "contact_preferences")
    return {
        feed: int(warehouse.execute(f"select count(*) from raw.{feed}")[0][0]) for feed in feeds
    }


def test_the_documented_mapping_loads_a_shop(loaded: Path, warehouse: Warehouse) -> None:
    assert counts(warehouse) == {
        "customers": 10,
        "orders": 110,
        # every second line has lost its product, and says so
        "order_lines": 110,
        "products": 1,
        "returns": 60,
        "contact_preferences": 10,
    }
    assert warehouse.execute(
        "select distinct reasons[1] from quarantine.rejected_row where feed = 'order_lines'"
    ) == [("product_id is missing",)]
    assert warehouse.execute(
        "select amount_cents, currency, ordered_at, channel from raw.orders where order_id = '7'"
    ) == [(1250, "EUR", datetime(2024, 1, 8, 10, tzinfo=UTC), "web")]
    assert warehouse.execute(
        "select is_wanted, count(*) from raw.contact_preferences group by 1 order by 1"
    ) == [(False, 5), (True, 5)]


def test_a_break_for_good_leaves_what_was_loaded(
    shop: Shop, loaded: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the rows of a page are on their way into the warehouse when the next one breaks
    monkeypatch.setattr(shopify_source, "BATCH_ROWS", 1)
    for each in shop.orders:
        each["totalPriceSet"] = money("99.00")
        each["updatedAt"] = "2024-03-01T10:00:00Z"
    before, n_before = counts(warehouse), len(shop.asked)
    content = documented()
    feeds = content["datasets"]["shop"]["feeds"]
    content["datasets"]["shop"]["feeds"] = {name: feeds[name] for name in ("customers", "orders")}
    loaded.write_text(yaml.safe_dump(content))
    # the customers' only page, then the orders' first one
    shop.faults = ["", "", *["500"] * 99]
    with pytest.raises(SourceError, match="my_shop:customer_orders can not be read"):
        extract(AS_OF, "live")
    met = [fault for fault, _ in shop.asked[n_before:]]
    assert met == ["", "", *["500"] * 5]
    assert counts(warehouse) == before
    assert warehouse.execute("select distinct amount_cents from raw.orders") == [(1250,)]
    shop.faults = []
    extract(AS_OF, "live")
    assert counts(warehouse) == before
    assert warehouse.execute("select distinct amount_cents from raw.orders") == [(9900,)]


def test_the_documented_mapping_is_found_sound(shop: Shop, loaded: Path) -> None:
    shop.asked.clear()
    found = {
        check.mapping.feed.name: check
        for check in check_sources(read_dataset(loaded, "shop", loaded.parent), "UTC")
    }
    assert {name: check.problem for name, check in found.items() if check.problem} == {}
    assert found["orders"].n_bad == 0
    # the first pages are enough
    assert [v["after"] for _, v in shop.asked].count("100") == 0


def test_the_columns_are_documented() -> None:
    section = DOCS.read_text(encoding="utf-8").partition("## A Shopify shop")[2].partition("\n## ")
    for name, resource in RESOURCES.items():
        assert f"`{name}`" in section[0]
        for column in resource.types:
            assert f"`{column}`" in section[0], f"{name}.{column}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shop": "carts"}, "`shop` is one of `orders`, `order_lines`"),
        ({"cursor": "created_at"}, "by `cursor: updated_at` only"),
        ({"cursor": {"column": "created_at"}}, "by `cursor: updated_at` only"),
        ({"connection": None}, "`connection` is None"),
        ({"table": "orders"}, "write exactly one of"),
        ({"format": "csv"}, "`format` belongs to a `file`"),
    ],
)
def test_a_mapping_that_can_not_work_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    content = documented()
    content["datasets"]["shop"]["feeds"]["orders"] |= change
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(DeclarationError) as error:
        read_dataset(tmp_path / "sources.yaml", "shop", tmp_path)
    assert message in str(error.value)
