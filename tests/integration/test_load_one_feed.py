"""`./winback sources load | quarantined`: one feed now, and what was set aside of it."""

from __future__ import annotations

from datetime import date

import pytest
import yaml
from typer.testing import CliRunner

from tests.conftest import Warehouse
from tests.small_shop import SOURCES, SmallShop, small_shop
from winback.cli import app
from winback.errors import DeclarationError
from winback.extract.snapshot import extract, load_one, newest_live

AS_OF = date(2025, 3, 1)


@pytest.fixture
def shop(warehouse: Warehouse) -> SmallShop:
    made = small_shop(warehouse.data, AS_OF)
    warehouse.configure(dataset="shop", sources=made.write())
    return made


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_row_is_quarantined_seen_mended_and_loaded_again(
    shop: SmallShop, warehouse: Warehouse
) -> None:
    shop.orders[0]["total"] = "ten"
    shop.write()
    extract(AS_OF, "live")
    before = newest_live()
    seen = run("sources", "quarantined", "orders")
    assert "orders.csv" in seen
    assert "amount_cents is no amount such as 12.34" in seen
    assert "ten" in seen
    assert "winback sources load orders" in seen
    shop.orders[0]["total"] = "10.00"
    shop.write()
    assert "25 received = 25 passed + 0 quarantined" in run("sources", "load", "orders")
    assert warehouse.execute("select count(*) from raw.orders") == [(25,)]
    assert "nothing is in quarantine" in run("sources", "quarantined", "orders")
    assert newest_live() == before, "a feed that a person loads is nothing to act on"


def test_what_is_set_aside_names_nobody(shop: SmallShop) -> None:
    shop.customers[0] |= {"first_name": "Quirlina", "registered": "never"}
    shop.write()
    extract(AS_OF, "live")
    seen = run("sources", "quarantined")
    assert "registered_at is no date" in seen
    assert "quirlina" not in seen.lower()
    assert "lapsed-00@" not in seen


def test_since_needs_a_cursor(shop: SmallShop) -> None:
    with pytest.raises(DeclarationError, match="feed orders has no cursor of times"):
        load_one("orders", date(2025, 1, 1))
    with pytest.raises(DeclarationError, match="maps no feed 'carts'; it maps consents, customers"):
        load_one("carts")


def test_a_feed_is_read_since_a_date(shop: SmallShop, warehouse: Warehouse) -> None:
    feeds = SOURCES["datasets"]["shop"]["feeds"]
    orders = feeds["orders"] | {"cursor": {"column": "date", "overlap_days": 0}}
    sources = warehouse.data / "sources.yaml"
    sources.write_text(
        yaml.safe_dump({"datasets": {"shop": {"feeds": feeds | {"orders": orders}}}})
    )
    assert load_one("orders").n_passed == 25
    assert load_one("orders", date(2025, 2, 1)).n_passed == 5
    assert "25 received" in run("sources", "load", "orders", "--all")
    assert warehouse.execute("select count(*) from raw.orders") == [(25,)]
