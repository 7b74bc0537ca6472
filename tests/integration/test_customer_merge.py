"""One person under several customer numbers: found, merged, followed everywhere, and taken back."""

from __future__ import annotations

from datetime import date

import pytest
from typer.testing import CliRunner

from tests.conftest import Warehouse
from tests.flow import up_to_gate, up_to_select
from tests.small_shop import SmallShop, small_shop
from winback.cli import app
from winback.errors import WinbackError
from winback.extract.loading.customer_merge import unmerge
from winback.extract.snapshot import extract
from winback.privacy.keyed_hash import customer_key

AS_OF = date(2025, 3, 1)


@pytest.fixture
def shop(warehouse: Warehouse) -> SmallShop:
    made = small_shop(warehouse.data, AS_OF)
    warehouse.configure(dataset="shop", replay=True, sources=made.write())
    return made


def add(shop: SmallShop, name: str, days_ago: int, email: str, first_name: str = "") -> str:
    shop.add(name, days_ago, first_name=first_name)
    shop.customers[-1]["email"] = email
    return customer_key("shop", name)


def merges(warehouse: Warehouse) -> dict[str, str]:
    query = "select customer_key, winner_key from ops.customer_merge where unmerged_at is null"
    return dict(warehouse.execute(query))  # type: ignore[arg-type]


def test_case_blanks_and_a_second_import_are_one_person(
    shop: SmallShop, warehouse: Warehouse
) -> None:
    ada = add(shop, "ada", 400, "ada@example.com", "Ada")
    shouting = add(shop, "ada-2", 300, " ADA@Example.COM ", "ada ")
    imported = add(shop, "import-77", 200, "ada@example.com")
    shop.write()
    extract(AS_OF, "live")
    assert merges(warehouse) == {shouting: ada, imported: ada}
    extract(AS_OF, "live")
    assert len(merges(warehouse)) == 2, "found once"


def test_an_address_is_one_however_it_is_written(shop: SmallShop, warehouse: Warehouse) -> None:
    ada = add(shop, "ada", 400, "ren\u00e9e@m\u00fcller.example", "Ada")
    other = add(shop, "ada-2", 300, "rene\u0301e@xn--mller-kva.example", "Ada")
    shop.write()
    extract(AS_OF, "live")
    assert merges(warehouse) == {other: ada}


def test_a_couple_that_shares_an_address_stays_two(shop: SmallShop, warehouse: Warehouse) -> None:
    ada = add(shop, "ada", 400, "home@example.com", "Ada")
    add(shop, "bob", 300, "home@example.com", "Bob")
    add(shop, "nameless", 250, "home@example.com")
    again = add(shop, "ada-2", 200, "home@example.com", "ADA")
    shop.write()
    extract(AS_OF, "live")
    assert merges(warehouse) == {again: ada}


@pytest.mark.parametrize("is_on", [False, True])
def test_a_plus_part_is_another_address_unless_the_setting_says_so(
    shop: SmallShop, warehouse: Warehouse, is_on: bool
) -> None:
    warehouse.configure(merge_plus_addresses=is_on)
    ada = add(shop, "ada", 400, "ada@example.com")
    plus = add(shop, "ada-2", 300, "ada+shop@example.com")
    shop.write()
    extract(AS_OF, "live")
    assert merges(warehouse) == ({plus: ada} if is_on else {})
    if is_on:
        evidence = warehouse.execute("select evidence from ops.customer_merge")
        assert evidence == [("email_without_plus_part",)]


def test_who_was_the_winner_stays_it(shop: SmallShop, warehouse: Warehouse) -> None:
    ada = add(shop, "ada", 300, "ada@example.com")
    second = add(shop, "ada-2", 200, "ada@example.com")
    shop.write()
    extract(AS_OF, "live")
    earlier = add(shop, "ada-0", 900, "ada@example.com")
    shop.write()
    extract(AS_OF, "live")
    assert merges(warehouse) == {second: ada, earlier: ada}


def test_the_marts_keep_the_winner_and_the_orders_follow(
    shop: SmallShop, warehouse: Warehouse
) -> None:
    ada = add(shop, "ada", 400, "ada@example.com")
    twin = add(shop, "ada-2", 10, "ada@example.com")
    shop.write()
    up_to_gate(AS_OF)
    found = warehouse.execute(
        "select customer_key, n_records, n_orders from marts.dim_customers"
        " where customer_key in (%s, %s)",
        (ada, twin),
    )
    assert found == [(ada, 2, 2)]
    owners = warehouse.execute(
        "select distinct customer_key from marts.fct_orders where customer_key in (%s, %s)",
        (ada, twin),
    )
    assert owners == [(ada,)]
    state = warehouse.execute(
        "select days_since_last_purchase from marts.fct_customer_states where customer_key = %s",
        (ada,),
    )
    assert state == [(10,)], "the second number's order says that she is not gone"
    raw = warehouse.execute(
        "select count(distinct customer_key) from raw.orders where customer_key in (%s, %s)",
        (ada, twin),
    )
    assert raw == [(2,)], "raw rows stay as they came"


def test_an_objection_under_one_number_counts_for_the_person(
    shop: SmallShop, warehouse: Warehouse
) -> None:
    ada = add(shop, "ada", 400, "ada@example.com")
    add(shop, "ada-2", 300, "ada@example.com")
    shop.consents[-1]["withdrawn"] = "2025-02-01"
    shop.write()
    up_to_select(AS_OF)
    assert warehouse.execute(
        "select reason from ops.assignment where customer_key = %s", (ada,)
    ) == [("consent_withdrawn",)]


def test_a_merge_is_taken_back_for_good(shop: SmallShop, warehouse: Warehouse) -> None:
    ada = add(shop, "ada", 400, "ada@example.com")
    son = add(shop, "ada-2", 300, "ada@example.com")
    shop.write()
    extract(AS_OF, "live")
    result = CliRunner().invoke(
        app, ["customers", "unmerge", son, "--reason", "mother and son"], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert ada in result.output
    assert merges(warehouse) == {}
    extract(AS_OF, "live")
    assert merges(warehouse) == {}
    [story] = warehouse.execute(
        "select unmerged_because, unmerged_by is not null from ops.customer_merge"
    )
    assert story == ("mother and son", True)
    with pytest.raises(WinbackError, match=r"no customer .* is merged into another one"):
        unmerge(son, "again", "somebody")
    with pytest.raises(WinbackError, match="say why"):
        unmerge(son, "  ", "somebody")


def test_a_backfill_merges_nobody(shop: SmallShop, warehouse: Warehouse) -> None:
    add(shop, "ada", 400, "ada@example.com")
    add(shop, "ada-2", 300, "ada@example.com")
    shop.write()
    extract(AS_OF, "backfill")
    assert merges(warehouse) == {}
