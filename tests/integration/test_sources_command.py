"""`./winback sources check`: what a data engineer sees while connecting a shop."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml

from tests.small_shop import SOURCES, SmallShop, small_shop


@pytest.fixture
def shop(tmp_path: Path) -> SmallShop:
    shop = small_shop(tmp_path / "data", date(2025, 3, 1), n_lapsed=3, n_active=1)
    shop.write()
    return shop


def check(shop: SmallShop, **settings: str) -> subprocess.CompletedProcess[str]:
    named = {
        "HOME": str(shop.folder.parent / "home"),
        "DATA": str(shop.folder),
        "SOURCES": str(shop.folder / "sources.yaml"),
        "DATASET": "shop",
        **settings,
    }
    environment = os.environ | {f"WINBACK_{name}": value for name, value in named.items()}
    command = [sys.executable, "-m", "winback", "sources", "check"]
    return subprocess.run(
        command, env=environment | {"COLUMNS": "140"}, capture_output=True, text=True, check=False
    )


def test_a_sound_shop_is_shown_and_nobody_is_named(shop: SmallShop) -> None:
    result = check(shop)
    assert result.returncode == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert "orders from orders.csv" in said
    assert "amount_cents total string 10.00 10.00 10.00" in said
    assert "currency always 'EUR'" in said
    assert "the first 4 rows pass" in said
    assert "not mapped, optional: last_name, country" in said
    # no warehouse was needed, and no key
    assert "email email string l… l… l…" in said
    assert "@example.com" not in result.stdout
    assert not (shop.folder.parent / "home" / "postgres").exists()


def test_rows_that_would_not_pass_are_counted_by_reason(shop: SmallShop) -> None:
    shop.orders[0]["total"] = "-1"
    shop.orders[1]["total"] = "ten"
    shop.orders[2]["date"] = "yesterday"
    shop.write()
    result = check(shop)
    assert result.returncode == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert "of the first 4 rows would be quarantined:" in said
    assert "1 amount_cents is negative" in said
    assert "1 amount_cents is no amount such as 12.34" in said
    assert "1 ordered_at is no date written as" in said


def test_a_source_that_can_not_be_read_does_not_hide_the_others(shop: SmallShop) -> None:
    (shop.folder / "orders.csv").unlink()
    text = (shop.folder / "consents.csv").read_text().replace("confirmed", "bestaetigt")
    (shop.folder / "consents.csv").write_text(text)
    result = check(shop)
    assert result.returncode == 1
    assert "orders.csv does not exist: check the path of feed orders" in result.stdout
    said = " ".join(result.stdout.split())
    assert "consents.csv has no column 'confirmed' (it has: id, customer, granted, best" in said
    assert "the first 4 rows pass" in said
    assert result.stderr.strip() == "mend the source of consents, orders, then check again"


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        ({"DATASET": ""}, "no dataset is chosen: describe your feeds in config/sources.yaml"),
        ({"DATASET": "store"}, "has no dataset 'store': write one of `shop`"),
    ],
)
def test_a_wrong_setting_is_one_line(shop: SmallShop, change: dict[str, str], mend: str) -> None:
    result = check(shop, **change)
    assert result.returncode == 1
    assert mend in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_unknown_feed_and_a_forgotten_column_are_named(shop: SmallShop) -> None:
    for change, mend in (
        (("ordres", {"file": "{data}/x.csv"}), "there is no feed 'ordres'; the feeds are"),
        (("orders", {"file": "{data}/orders.csv", "columns": {}}), "map the required columns"),
    ):
        sources = yaml.safe_load(yaml.safe_dump(SOURCES))
        sources["datasets"]["shop"]["feeds"][change[0]] = change[1]
        (shop.folder / "sources.yaml").write_text(yaml.safe_dump(sources))
        result = check(shop)
        assert result.returncode == 1
        assert mend in result.stderr
