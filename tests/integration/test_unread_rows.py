"""Whose row can not be read, though it may forbid to write to them, is not written to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import yaml

from tests.conftest import Warehouse
from winback.extract.snapshot import extract
from winback.privacy import country_rules
from winback.privacy.keyed_hash import customer_key
from winback.settings import settings

AS_OF = date(2024, 2, 1)
# the columns of each file, and what is in it as long as nothing is wrong
FILES: dict[str, tuple[list[str], list[list[str]]]] = {
    "customers": (
        ["customer_id", "email", "registered_at", "objected_at", "changed"],
        [
            ["ada", "ada@example.com", "2024-01-01", "", "1"],
            ["bob", "bob@example.com", "2024-01-01", "", "1"],
        ],
    ),
    "orders": (
        ["order_id", "customer_id", "ordered_at", "amount_cents", "changed"],
        [["o1", "ada", "2024-01-02", "1000", "1"], ["o2", "bob", "2024-01-02", "1000", "1"]],
    ),
    "consents": (
        ["consent_id", "customer_id", "granted_at", "confirmed_at", "withdrawn_at", "changed"],
        [
            ["of ada", "ada", "2024-01-01", "2024-01-01", "", "1"],
            ["of bob", "bob", "2024-01-01", "2024-01-01", "", "1"],
        ],
    ),
    "contact_preferences": (
        ["customer_id", "channel", "is_wanted", "stated_at", "changed"],
        [["ada", "email", "true", "2024-01-05", "1"]],
    ),
    "payments": (
        ["payment_id", "customer_id", "invoiced_at", "due_at", "n_reminders", "changed"],
        [["p1", "ada", "2024-01-02", "2024-01-20", "0", "1"]],
    ),
    "complaints": (
        ["complaint_id", "customer_id", "opened_at", "resolved_at", "reason", "changed"],
        [["m1", "ada", "2024-01-02", "2024-01-03", "price", "1"]],
    ),
}
CONSTANTS = {
    "orders": {"currency": {"constant": "EUR"}},
    "consents": {
        "channel": {"constant": "email"},
        "text_version": {"constant": "v1"},
        "source": {"constant": "till"},
    },
    "payments": {"amount_cents": {"constant": "1000"}, "currency": {"constant": "EUR"}},
}


class Shop:
    """Its files, and what is said about its customers."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.folder = warehouse.data
        self.folder.mkdir()
        self.rows = {name: [list(row) for row in rows] for name, (_, rows) in FILES.items()}
        self.declare()
        warehouse.configure(dataset="shop", sources=self.folder / "sources.yaml")
        country_rules.store(country_rules.read(settings().country_rules))

    def declare(self, **more: Any) -> None:
        feeds = {
            name: {
                "file": f"{{data}}/{name}.csv",
                "columns": {column: column for column in columns if column != "changed"}
                | CONSTANTS.get(name, {}),
            }
            | more
            for name, (columns, _) in FILES.items()
        }
        text = yaml.safe_dump({"datasets": {"shop": {"feeds": feeds}}})
        (self.folder / "sources.yaml").write_text(text, encoding="utf-8")

    def load(self) -> None:
        for name, (columns, _) in FILES.items():
            lines = [",".join(line) for line in (columns, *self.rows[name])]
            (self.folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        extract(AS_OF, "live")

    def said(self, name: str = "ada") -> list[str]:
        [(reasons,)] = self.warehouse.execute(
            "select reasons from ops.eligibility(%s, array['2024-01-03']::timestamptz[], '',"
            " 'email', %s, '2024-02-01', 24, 0)",
            ([customer_key("shop", name)], AS_OF),
        )
        return reasons


@pytest.fixture
def shop(warehouse: Warehouse) -> Shop:
    shop = Shop(warehouse)
    shop.load()
    assert (shop.said(), shop.said("bob")) == ([], [])
    return shop


def replace(feed: str, column: str, value: str, row: int = 0) -> Callable[[Shop], None]:
    def change(shop: Shop) -> None:
        shop.rows[feed][row][FILES[feed][0].index(column)] = value

    return change


def add(feed: str, *row: str) -> Callable[[Shop], None]:
    return lambda shop: shop.rows[feed].append(list(row))


WRONG = {
    "a withdrawal on a date that is none": replace("consents", "withdrawn_at", "31/01/2024"),
    "an account that was closed and objects": replace("customers", "email", "deleted"),
    "an objection on a date that is none": replace("customers", "objected_at", "yesterday"),
    "a wish that is neither": replace("contact_preferences", "is_wanted", "never"),
    "reminders that are no number": replace("payments", "n_reminders", "two"),
    "a new complaint without a date": add("complaints", "m2", "ada", "", "", "price", "1"),
    "a new complaint without a number": add(
        "complaints", "", "ada", "2024-01-09", "", "price", "1"
    ),
    "another row of the consent": add(
        "consents", "of ada", "ada", "2024-01-01", "2024-01-01", "2024-01-30", "1"
    ),
    "a withdrawal that names nobody": replace("consents", "customer_id", ""),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_can_not_be_read_forbids_until_it_is_read(
    shop: Shop, change: Callable[[Shop], None]
) -> None:
    before = {name: [list(row) for row in rows] for name, rows in shop.rows.items()}
    change(shop)
    for _ in range(2):
        shop.load()
        assert shop.said() == ["record_unreadable"]
        assert shop.said("bob") == []
    [(feed, found)] = shop.warehouse.execute(
        "select u.feed, u.unread_row_id = (evidence ->> 'unread_row')::bigint"
        " from quarantine.unread_row as u, ops.eligibility(%s,"
        " array['2024-01-03']::timestamptz[], '', 'email', %s, '2024-02-01', 24, 0)",
        ([customer_key("shop", "ada")], AS_OF),
    )
    assert (feed, found) == (next(n for n in FILES if before[n] != shop.rows[n]), True)
    shop.rows = before
    shop.load()
    assert shop.said() == []
    assert shop.warehouse.execute("select count(*) from quarantine.unread_row") == [(0,)]


def test_a_row_that_comes_twice_alike_forbids_nothing(shop: Shop) -> None:
    for feed in FILES:
        shop.rows[feed].append(list(shop.rows[feed][0]))
    shop.load()
    assert shop.warehouse.execute("select count(*) from quarantine.rejected_row") == [(6,)]
    assert shop.said() == []


def test_what_can_not_be_read_elsewhere_forbids_nothing(shop: Shop) -> None:
    replace("orders", "amount_cents", "ten")(shop)
    shop.load()
    assert shop.warehouse.execute(
        "select feed from quarantine.rejected_row join ops.extract_run using (extract_run_id, feed)"
    ) == [("orders",)]
    assert shop.said() == []


def test_an_increment_forgets_only_what_it_has_read(shop: Shop) -> None:
    shop.declare(cursor={"column": "changed", "kind": "number", "overlap": 0})
    shop.load()
    for row, day in enumerate(("31/01/2024", "30/01/2024")):
        replace("consents", "withdrawn_at", day, row)(shop)
        replace("consents", "changed", "2", row)(shop)
    shop.load()
    assert (shop.said(), shop.said("bob")) == (["record_unreadable"], ["record_unreadable"])
    # of one of them the source tells again what it meant
    replace("consents", "withdrawn_at", "2024-01-30", 1)(shop)
    replace("consents", "changed", "3", 1)(shop)
    for _ in range(2):
        shop.load()
        assert (shop.said(), shop.said("bob")) == (["record_unreadable"], ["consent_withdrawn"])
    assert shop.warehouse.execute(
        "select n_received from ops.extract_run where feed = 'consents'"
        " order by extract_run_id desc limit 1"
    ) == [(1,)], "the other row was not read again"


def test_an_objection_stays_with_the_address_when_the_account_gets_another(shop: Shop) -> None:
    replace("customers", "objected_at", "2024-01-20")(shop)
    shop.load()
    # the account is closed, and the same person registers and agrees under another number, with a
    # consent that is older than the objection
    replace("customers", "email", "gone-1@example.com")(shop)
    add("customers", "ada again", "Ada@Example.com", "2024-01-25", "", "1")(shop)
    add("consents", "again", "ada again", "2024-01-10", "2024-01-10", "", "1")(shop)
    shop.load()
    assert shop.said("ada again") == ["suppressed"]
    assert shop.warehouse.execute(
        "select scope, reason, suppressed_at::date, renewed_at from ops.suppression"
    ) == [("person", "objection", date(2024, 1, 20), None)]
    # an address that somebody without an objection had is anybody's next
    assert shop.said("bob") == []
    replace("customers", "email", "bob-2@example.com", 1)(shop)
    shop.load()
    assert shop.warehouse.execute("select count(*) from ops.suppression") == [(1,)]
    # agreed to after the objection
    replace("consents", "granted_at", "2024-01-28", 2)(shop)
    replace("consents", "confirmed_at", "2024-01-28", 2)(shop)
    shop.load()
    assert shop.said("ada again") == []
