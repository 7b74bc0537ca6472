"""Customers by contract alone: they have a state, and a reason where they gave one."""

from __future__ import annotations

from datetime import date

from tests.conftest import Warehouse
from tests.small_shop import small_shop
from winback.dbt_build import build
from winback.extract.snapshot import extract
from winback.privacy.keyed_hash import customer_key

AS_OF = date(2025, 3, 1)
# begun, ended, cancelled so many days ago
CONTRACTS = {
    "runs": (400, None, None),
    "notice": (400, -30, 5),
    "ended": (400, 20, None),
    "long-ended": (900, 400, None),
    "new": (0, None, None),
}
STATES = {
    "runs": ("active", False),
    # the contract runs for another month, and the customer has said goodbye
    "notice": ("cancelled", True),
    "ended": ("sleeping", True),
    "long-ended": ("inactive", True),
}


def test_who_has_a_contract_and_no_order_has_a_state(warehouse: Warehouse) -> None:
    shop = small_shop(warehouse.data, AS_OF)
    for name, (begun, ended, cancelled) in CONTRACTS.items():
        shop.customers.append(
            {
                "id": name, "email": f"{name}@example.com", "first_name": "", "locale": "de_DE",
                "registered": shop.day(begun),
            }
        )  # fmt: skip
        shop.tell(
            "contracts", contract_id=f"c-{name}", customer_id=name, started_at=shop.day(begun),
            ends_at="" if ended is None else shop.day(ended),
            cancelled_at="" if cancelled is None else shop.day(cancelled),
            cancellation_reason="" if cancelled is None else "price",
            amount_cents="1000", currency="EUR",
        )  # fmt: skip
    # who bought as well goes by the purchases
    shop.tell(
        "contracts", contract_id="c-lapsed", customer_id="lapsed-00", started_at=shop.day(300),
        ends_at="", cancelled_at="", cancellation_reason="", amount_cents="1000", currency="EUR",
    )  # fmt: skip
    warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
    extract(AS_OF, "live")
    for part in ("stage", "model"):
        build(part, AS_OF)  # with its data tests, which count who has a state
    names = {customer_key("shop", name): name for name in (*CONTRACTS, "lapsed-00")}
    rows = warehouse.execute(
        "select customer_key, state, is_lapsed, n_purchases, last_purchase_date is null"
        " from marts.fct_customer_states"
    )
    found = {names[key]: rest for key, *rest in rows if key in names}
    # begun on the as-of date itself is not known yet
    assert "new" not in found
    assert {name: tuple(rest[:2]) for name, rest in found.items() if rest[3]} == STATES
    assert all(rest[2] == 0 for name, rest in found.items() if name in STATES)
    assert found["lapsed-00"] == ["sleeping", True, 1, False]
    reasons = dict(
        warehouse.execute(
            "select customer_key, reason from marts.fct_lapse_reasons"
            " where rank = 1 and customer_key = any(%s)",
            ([customer_key("shop", name) for name in STATES],),
        )
    )
    assert {names[key]: reason for key, reason in reasons.items()} == {
        "notice": "price", "ended": "unknown", "long-ended": "unknown",
    }  # fmt: skip
    assert warehouse.execute(
        "select sum(n_lost), sum(turnover_lost_cents) from marts.rpt_win_loss"
        " where reason = 'price'"
    ) == [(1, 0)]
    worth = {
        names[key]: rest
        for key, *rest in warehouse.execute(
            "select customer_key, turnover_cents, value_cents, value_if_returned_cents"
            " from marts.fct_contract_values"
        )
    }
    # lapsed-00 bought, and new is not known yet
    assert set(worth) == set(STATES)
    assert {name: round(rest[0] * 30.4375 / 1000) for name, rest in worth.items()} == {
        "runs": 400, "notice": 400, "ended": 380, "long-ended": 500,
    }  # fmt: skip
    assert worth["ended"][1] == worth["long-ended"][1] == 0
    # a month of notice at a margin of 40 %, and a year with those who leave and interest taken off
    assert 380 < worth["notice"][1] < 400
    assert 2000 < worth["runs"][1] < 12 * 400
    assert {rest[2] for rest in worth.values()} == {worth["runs"][1]}
