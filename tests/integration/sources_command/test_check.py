"""`./winback sources check`: what a data engineer sees while connecting a shop."""

from __future__ import annotations

import pytest
import yaml

from tests.small_shop import SmallShop
from tests.sources_command import WIDTH, check, words


def map_feed(shop: SmallShop, feed: str, **change: object) -> None:
    mapped = yaml.safe_load((shop.folder / "sources.yaml").read_text())
    mapped["datasets"]["shop"]["feeds"].setdefault(feed, {}).update(change)
    (shop.folder / "sources.yaml").write_text(yaml.safe_dump(mapped))


def test_a_sound_shop_is_shown_and_nobody_is_named(shop: SmallShop) -> None:
    result = check(shop)
    assert result.returncode == 0, result.stderr
    said = words(result.stdout)
    assert "orders from orders.csv" in said
    assert "amount_cents total text 10.00 · 10.00 · 10.00 1000" in said
    assert "ordered_at date text 2024-06-24 · 2024-06-23 · 2024-06-22 2024-06-23 22:00Z" in said
    assert "currency always EUR" in said
    assert "✓ all 4 rows pass" in said
    assert "optional, not mapped: last_name, company, phone" in said
    # no warehouse was needed, and no key
    assert "email email text l… · l… · l…" in said
    assert "@example.com" not in result.stdout
    assert "lapsed-0" not in result.stdout
    assert not (shop.folder.parent / "home" / "postgres").exists()
    assert max(map(len, result.stdout.splitlines())) <= WIDTH


def test_rows_that_would_not_pass_are_counted_by_reason(shop: SmallShop) -> None:
    shop.orders[0]["total"] = "-1"
    shop.orders[1]["total"] = "ten"
    shop.orders[2]["date"] = "yesterday"
    shop.orders[2]["total"] = "ten"
    shop.write()
    result = check(shop)
    assert result.returncode == 0, result.stderr
    said = words(result.stdout)
    assert "! of all 4 rows, 3 would be quarantined:" in said
    assert "1 amount_cents is negative" in said
    assert "2 amount_cents is no amount such as 12.34" in said
    assert "1 ordered_at is no date written as" in said
    # what is no amount may be anything, a name for example
    assert "amount_cents total text -… · t… · t…" in said


def test_only_the_beginning_of_a_large_source_is_read(shop: SmallShop) -> None:
    header, *rows = (shop.folder / "orders.csv").read_text().splitlines()
    (shop.folder / "orders.csv").write_text("\n".join([header, *(rows * 60_000), ""]))
    said = words(check(shop).stdout)
    assert "✓ the first " in said
    assert "✓ the first 240,000 rows" not in said


def test_a_source_that_can_not_be_read_does_not_hide_the_others(shop: SmallShop) -> None:
    (shop.folder / "orders.csv").unlink()
    text = (shop.folder / "consents.csv").read_text().replace("confirmed", "bestaetigt")
    (shop.folder / "consents.csv").write_text(text)
    result = check(shop)
    assert result.returncode == 1
    said = words(result.stdout)
    assert "orders.csv does not exist: check the path of feed orders" in said
    assert "consents.csv has no column 'confirmed' (it has: id, customer, granted, best" in said
    assert "confirmed may be called bestaetigt now" in said
    assert "✓ all 4 rows pass" in said
    assert result.stderr.strip() == "mend the source of consents, orders, then check again"


def test_required_columns_that_are_missing_come_with_what_to_write(shop: SmallShop) -> None:
    rows = "Bestell-Nr,Kunde,Bestelldatum,Summe,Gutschein,Farbe\n1,lapsed-00,2024-06-24,10,X,rot\n"
    (shop.folder / "orders.csv").write_text(rows)
    map_feed(shop, "orders", columns={"order_id": "Bestell-Nr"})
    result = check(shop)
    assert result.returncode == 1
    said = words(result.stdout)
    for what in (
        "customer_id is required and not mapped: write `customer_id: Kunde`",
        "ordered_at is required and not mapped: write `ordered_at: Bestelldatum`",
        "amount_cents is required and not mapped: write `amount_cents: Summe`",
        "currency is required and not mapped: write `currency: {constant: EUR}`, or what it alw",
        "you could map as well: voucher_code: Gutschein",
        "not read from the source: Kunde, Bestelldatum, Summe, Gutschein, Farbe",
    ):
        assert what in said
    assert "✓ all 1 rows pass" in said
    assert "map the required columns of orders in" in result.stderr


def test_a_file_without_a_header_is_not_shown(shop: SmallShop) -> None:
    text = (shop.folder / "customers.csv").read_text()
    (shop.folder / "customers.csv").write_text(text.partition("\n")[2])
    result = check(shop)
    assert result.returncode == 1
    assert "its first line must hold the column names of feed customers" in words(result.stdout)
    assert "example.com" not in result.stdout


def test_the_cursor_is_shown_and_looked_for(shop: SmallShop) -> None:
    map_feed(shop, "orders", cursor={"column": "date", "overlap_days": 7})
    map_feed(shop, "customers", cursor="email")
    map_feed(shop, "consents", cursor="changed")
    result = check(shop)
    said = words(result.stdout)
    assert "cursor date text again from 7 days before" in said
    assert "! 4 of them have no cursor that can be read, and are read every time" in said
    assert "consents.csv has no column 'changed' (it has: id, customer" in said
    assert "4 of them" not in said.partition("orders from")[2].partition("✓")[0]


def test_files_of_a_pattern_are_counted(shop: SmallShop) -> None:
    (shop.folder / "orders.csv").rename(shop.folder / "orders-1.csv")
    (shop.folder / "orders-2.csv").write_text((shop.folder / "orders-1.csv").read_text())
    map_feed(shop, "orders", file=f"{shop.folder}/orders-*.csv")
    assert "orders from orders-*.csv (2 files)" in words(check(shop).stdout)


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        (
            {"WINBACK_DATASET": ""},
            "no dataset is chosen: describe your feeds in config/sources.yaml",
        ),
        ({"WINBACK_DATASET": "store"}, "has no dataset 'store': write one of `shop`"),
    ],
)
def test_a_wrong_setting_is_one_line(shop: SmallShop, change: dict[str, str], mend: str) -> None:
    result = check(shop, **change)
    assert result.returncode == 1
    assert mend in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_unknown_feed_is_named(shop: SmallShop) -> None:
    map_feed(shop, "ordres", file="{data}/x.csv")
    result = check(shop)
    assert result.returncode == 1
    assert "there is no feed 'ordres'; the feeds are" in result.stderr
