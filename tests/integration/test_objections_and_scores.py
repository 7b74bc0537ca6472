"""Nobody who objected to advertising is scored, and no model learns from what they bought."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.integration.test_value_net_of_returns import AS_OF, ORDERS, fitted

OBJECT = (
    "insert into raw.customers (customer_key, registered_at, objected_at, snapshot_id)"
    " values (%s, '2020-01-01', %s, 1)"
)
SUPPRESS = (
    "insert into ops.suppression (address_hash, customer_key, scope, reason, suppressed_at)"
    " values (%s, %s, %s, %s, '2025-02-10')"
)
OBJECTORS = {"told", "unsubscribed", "reported", "deleted"}


def say(warehouse: Warehouse) -> None:
    """Four of 404 customers object in their own way; others only seem to."""
    warehouse.execute(OBJECT, ("told", "2025-02-28 23:59+00"))
    warehouse.execute(OBJECT, ("deleted", "2025-02-01"))
    warehouse.execute(
        "update raw.customers set deleted_at = '2025-02-02' where customer_key = 'deleted'"
    )
    # known from the next day on
    warehouse.execute(OBJECT, ("c1", "2025-03-01 00:00+00"))
    warehouse.execute(SUPPRESS, ("a1", "unsubscribed", "person", "unsubscribe"))
    warehouse.execute(SUPPRESS, ("a2", "reported", "person", "spam_report"))
    # an address that died says nothing of the person
    warehouse.execute(SUPPRESS, ("a3", None, "address", "bounce"))
    warehouse.execute(SUPPRESS, ("a4", "c3", "address", "bounce"))
    # who consents anew may be scored anew
    warehouse.execute(OBJECT, ("c4", "2025-01-01"))
    warehouse.execute(
        "insert into raw.consents"
        " (consent_id, customer_key, channel, granted_at, confirmed_at, text_version, source,"
        " snapshot_id) values ('n', 'c4', 'email', '2025-01-02', '2025-01-02', '1', 'shop', 1)"
    )


@pytest.fixture(scope="module")
def shop(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("objections_and_scores") as warehouse:
        warehouse.configure(dataset="shop", business_timezone="UTC")
        warehouse.execute(
            "insert into ops.snapshot (as_of, purpose, dataset) values (%s, 'live', 'shop')",
            (AS_OF,),
        )
        warehouse.execute(ORDERS)
        yield warehouse


def test_who_objected_is_neither_scored_nor_learnt_from(shop: Warehouse) -> None:
    rhythm = "select parameters from ops.model_run where model = 'rhythm'"
    without, rhythm_without = fitted(shop), shop.execute(rhythm)
    # regular buyers of large amounts, who would move every model
    shop.execute(
        "insert into raw.orders"
        " (order_id, customer_key, ordered_at, quantity, amount_cents, currency, snapshot_id)"
        " select name || n, name, timestamptz '2025-02-20 10:00+00' - n * interval '9 days', 1,"
        " 90000 + 500 * n, 'EUR', 1"
        " from unnest(%s::text[]) as name cross join generate_series(0, 40) as n",
        (sorted(OBJECTORS),),
    )
    parameters, scores = fitted(shop)
    assert scores.keys() > OBJECTORS
    assert all(row["value_cents"] > 0 for row in scores.values())
    assert parameters["bg_nbd"] != without[0]["bg_nbd"]
    assert parameters["gamma_gamma"] != without[0]["gamma_gamma"]
    assert shop.execute(rhythm) != rhythm_without

    say(shop)
    assert fitted(shop) == without
    assert shop.execute(rhythm) == rhythm_without
    # what was bought is still counted
    [(n_customers, n_with_tier)] = shop.execute(
        "select count(*), count(value_tier) from marts.dim_customers where customer_key = any(%s)",
        (sorted(OBJECTORS),),
    )
    assert (n_customers, n_with_tier) == (4, 4)
    [(n_states,)] = shop.execute(
        "select count(*) from marts.fct_customer_states where customer_key = any(%s)",
        (sorted(OBJECTORS),),
    )
    assert n_states == 4
