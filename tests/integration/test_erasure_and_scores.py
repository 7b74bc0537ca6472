"""Erasure of a customer by whom the others are scored: their scores stay."""

from __future__ import annotations

from tests.conftest import Warehouse
from tests.flow import up_to_gate
from tests.integration.test_erasure import erase_one, holding
from tests.mail_flow import AS_OF
from tests.small_shop import small_shop
from winback.privacy.keyed_hash import customer_key


def test_where_a_fifth_of_all_ends_stays_when_that_customer_is_erased(
    warehouse: Warehouse,
) -> None:
    """What the others score does not change before the next build."""

    def others(key: str) -> list[tuple[object, ...]]:
        return warehouse.execute(
            "select customer_key, recency_score, frequency_score, monetary_score"
            " from marts.dim_customers where customer_key <> %s order by customer_key",
            (key,),
        )

    shop = small_shop(warehouse.data, AS_OF)
    warehouse.configure(sources=shop.write(), dataset="shop", replay=True, max_candidates_pct=100)
    up_to_gate(AS_OF)
    bounds = {
        key for (key,) in warehouse.execute(
            "select customer_key from intermediate.int_quintiles__bounded"
        )
    }  # fmt: skip
    name = next(each["id"] for each in shop.customers if customer_key("shop", each["id"]) in bounds)
    key = customer_key("shop", name)
    before = others(key)
    assert len({row[1:] for row in before}) > 4
    erase_one(name)
    assert others(key) == before
    assert holding(warehouse, key) == {"ops.suppression", "ops.erased_customer"}
