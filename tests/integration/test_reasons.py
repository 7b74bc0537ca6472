"""Why customers left: from what they said and what happened, through extraction and dbt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.flow import up_to_gate
from tests.small_shop import SmallShop, small_shop
from winback.privacy.keyed_hash import customer_key

AS_OF = date(2025, 3, 1)


def fill(shop: SmallShop) -> None:
    """Customers who bought once, 240 days ago, and what happened to them then."""
    for name in ("said", "complained", "fixed_for", "again", "sent_back", "silent", "old_trouble"):
        shop.add(name, 240)
    shop.add("angry", 20)
    shop.tell(
        "survey_answers", answer_id="a1", customer_id="said", survey="leaving", question="reason",
        reason="price", answered_at=shop.day(200),
    )  # fmt: skip
    complaints = [
        ("said", "c1", "delivery", 239), ("said", "c2", "delivery", 238),
        ("said", "c3", "delivery", 237), ("complained", "c4", "service_quality", 235),
        ("fixed_for", "c5", "delivery", 235), ("again", "c6", "delivery", 235),
        ("again", "c7", "delivery", 100), ("old_trouble", "c8", "delivery", 421),
        ("angry", "c9", "contact_person", 10),
    ]  # fmt: skip
    for name, complaint_id, reason, days_ago in complaints:
        shop.tell(
            "complaints", complaint_id=complaint_id, customer_id=name, reason=reason,
            opened_at=shop.day(days_ago),
        )  # fmt: skip
    shop.tell(
        "returns", return_id="r1", customer_id="sent_back", amount_cents="1000", currency="EUR",
        reason="product_quality", returned_at=shop.day(230),
    )  # fmt: skip
    shop.tell(
        "improvements", improvement_id="i1", reason="delivery",
        description="parcels arrive within two days", fixed_at=shop.day(150),
    )  # fmt: skip


@pytest.fixture(scope="module")
def built(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("reasons") as warehouse:
        shop = small_shop(warehouse.data, AS_OF)
        fill(shop)
        warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
        up_to_gate(AS_OF)
        yield warehouse


def reasons_of(warehouse: Warehouse, name: str) -> list[tuple[Any, ...]]:
    return warehouse.execute(
        "select reason, is_stated, is_own_fault, n_sources, is_fixed_since, priority"
        " from marts.fct_lapse_reasons where customer_key = %s order by rank",
        (customer_key("shop", name),),
    )


def test_what_was_said_outweighs_what_is_concluded(built: Warehouse) -> None:
    assert reasons_of(built, "said") == [
        ("price", True, False, 1, False, 0),
        ("delivery", False, True, 3, True, 3),
    ]


def test_facts_lead_to_reasons(built: Warehouse) -> None:
    assert reasons_of(built, "complained") == [("service_quality", False, True, 1, False, 1)]
    assert reasons_of(built, "sent_back") == [("product_quality", False, True, 1, False, 1)]


def test_without_evidence_the_reason_is_unknown(built: Warehouse) -> None:
    unknown = [("unknown", False, False, 0, False, 0)]
    assert reasons_of(built, "silent") == unknown
    assert reasons_of(built, "old_trouble") == unknown, "half a year before, and bought since"
    assert reasons_of(built, "lapsed-00") == unknown


def test_an_improvement_raises_those_whom_it_concerns_and_nobody_else(built: Warehouse) -> None:
    raised = built.execute(
        "select customer_key, fixed_what from marts.fct_lapse_reasons where priority >= 2"
    )
    what = "parcels arrive within two days"
    assert sorted(raised) == sorted(
        (customer_key("shop", name), what) for name in ("said", "fixed_for")
    )
    assert reasons_of(built, "again") == [("delivery", False, True, 2, False, 1)], "late once more"


def test_the_angry_have_reasons_before_they_are_lost(built: Warehouse) -> None:
    assert reasons_of(built, "angry") == [("contact_person", False, True, 1, False, 1)]
    assert reasons_of(built, "active-00") == []


def test_the_evidence_names_its_rows(built: Warehouse) -> None:
    [(evidence,)] = built.execute(
        "select evidence from marts.fct_lapse_reasons where customer_key = %s and rank = 2",
        (customer_key("shop", "said"),),
    )
    assert evidence == "complained of it (c3, c2, c1)"


def test_every_loss_has_its_month_and_reason(built: Warehouse) -> None:
    counted = built.execute(
        "select reason, sum(n_lost), sum(n_returned), sum(turnover_lost_cents)"
        " from marts.rpt_win_loss group by reason order by reason"
    )
    # who sent everything back had brought nothing in, and the angry one is not lost yet
    assert counted == [
        ("delivery", 2, 0, 2000), ("price", 1, 0, 1000), ("product_quality", 1, 0, 0),
        ("service_quality", 1, 0, 1000), ("unknown", 22, 0, 22000),
    ]  # fmt: skip
    assert built.execute("select distinct category from marts.rpt_win_loss") == [("not known",)]
    [(n_lapsed,)] = built.execute("select count(*) from marts.fct_customer_states where is_lapsed")
    assert n_lapsed == 27


def test_bi_tools_read_them(built: Warehouse) -> None:
    for mart in ("fct_lapse_reasons", "fct_warnings", "rpt_win_loss", "rpt_warnings"):
        built.execute(f"set role winback_bi; select count(*) from marts.{mart}")
