"""Customer rules in the whole flow: who is not wanted is excluded, and the verdict says why."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from tests.conftest import Warehouse
from tests.flow import up_to_select
from tests.small_shop import small_shop
from winback.privacy.keyed_hash import customer_key

AS_OF = date(2025, 3, 1)
RULES = """
do_not_want:
  poor:
    because: has never paid much
    when: {turnover_cents: {below: 500}}
must_win:
  named:
    because: strategic
    customers: [lapsed-00]
"""


def test_who_is_not_wanted_is_excluded_with_the_reason(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    shop = small_shop(warehouse.data, AS_OF)
    kept, unwanted = "lapsed-00", "lapsed-01"
    for order in shop.orders:
        if order["customer"] == unwanted:
            order["total"] = "4.99"
    rules = tmp_path / "customer_rules.yaml"
    rules.write_text(RULES, encoding="utf-8")
    warehouse.configure(sources=shop.write(), dataset="shop", replay=True, customer_rules=rules)
    up_to_select(AS_OF)
    held = warehouse.execute("select customer_key, kind, rule from marts.fct_customer_rules")
    assert sorted(held) == sorted(
        [
            (customer_key("shop", unwanted), "do_not_want", "poor"),
            (customer_key("shop", kept), "must_win", "named"),
        ]
    )
    assert warehouse.execute(
        "select customer_key, evidence ->> 'not_wanted' from ops.verdict"
        " where reasons @> array['not_wanted']"
    ) == [(customer_key("shop", unwanted), "has never paid much")]
    assert warehouse.execute(
        "select customer_key from ops.assignment where arm = 'excluded' and reason = 'not_wanted'"
    ) == [(customer_key("shop", unwanted),)]
