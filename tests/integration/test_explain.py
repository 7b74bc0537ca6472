"""`./winback explain`: the story of one customer, told without names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import pytest
from typer.testing import CliRunner

from tests.conftest import Warehouse, WarehouseFactory
from tests.flow import up_to_gate
from tests.small_shop import SmallShop, small_shop
from winback.cli import app
from winback.customer_story import UnknownCustomer
from winback.errors import WinbackError
from winback.privacy.keyed_hash import customer_key
from winback.select.selection import select

AS_OF = date(2025, 3, 1)
Tell = Callable[[str], str]


def fill(shop: SmallShop) -> None:
    """Somebody lapsed with two numbers and a story, somebody away, somebody about to go."""
    shop.add("ada", 400, first_name="Ada")
    shop.buy("ada", 350, "1234.50")
    shop.add("ada-2", 250, first_name="Ada")
    shop.customers[-1]["email"] = "ada@example.com"
    shop.tell(
        "complaints", complaint_id="c1", customer_id="ada", reason="delivery",
        opened_at=shop.day(249), resolved_at=shop.day(240),
    )  # fmt: skip
    shop.tell(
        "complaints", complaint_id="c2", customer_id="active-00", reason="contact_person",
        opened_at=shop.day(1), resolved_at="",
    )  # fmt: skip
    shop.tell(
        "improvements", improvement_id="i1", reason="delivery", description="a new carrier",
        fixed_at=shop.day(100),
    )  # fmt: skip
    shop.tell(
        "contacts", contact_id="k1", customer_id="lapsed-00", channel="phone", direction="inbound",
        absent_until=shop.day(-60), contacted_at=shop.day(240),
    )  # fmt: skip
    shop.customers.append(
        {"id": "looker", "email": "l@example.com", "first_name": "", "locale": "de_DE",
         "registered": shop.day(30)}
    )  # fmt: skip


@pytest.fixture(scope="module")
def built(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("explain") as warehouse:
        shop = small_shop(warehouse.data, AS_OF)
        fill(shop)
        warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
        snapshot_id = up_to_gate(AS_OF)
        warehouse.execute(
            "insert into marts.fct_customer_values (customer_key, as_of, model_run_id,"
            " probability_60_days, value_if_returned_cents) values (%s, %s, 1, 0.05, 4100)",
            (customer_key("shop", "ada"), AS_OF),
        )
        select(snapshot_id, AS_OF)
        yield warehouse


@pytest.fixture
def tell(built: Warehouse) -> Tell:
    def run(name: str) -> str:
        result = CliRunner().invoke(app, ["explain", name], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    return run


def test_the_whole_story_is_told(tell: Tell) -> None:
    story = tell("ada")
    ada, twin = customer_key("shop", "ada"), customer_key("shop", "ada-2")
    for part in (
        f"customer {ada}, known since 2024-01-26",
        f"the same person as {twin}",
        "3 orders on 3 days since 2024-01-26",
        "1,234.50 EUR",
        "buys every ",
        "lapsed since ",
        "250 days without a purchase",
        "1. delivery, our own fault, weight ",
        "complained of it (c1)",
        "fixed on 2024-11-21: a new carrier",
        "1,254.50 EUR so far",
        "welcome_back",
    ):
        assert part in story, story


def test_what_campaigns_decided_and_sent_is_told(tell: Tell, built: Warehouse) -> None:
    drawn = dict(built.execute("select customer_key, arm from ops.assignment"))
    treated = next(key for key, arm in drawn.items() if arm == "treated")
    holdout = next(key for key, arm in drawn.items() if arm == "holdout")
    [(message_id,)] = built.execute(
        "select message_id::text from ops.outreach where customer_key = %s", (treated,)
    )
    story = tell(treated)
    assert message_id in story
    assert "planned" in story
    assert "eligible" in story
    told = tell(holdout)
    assert "holdout" in told
    assert "planned" not in told


def test_what_a_recovery_costs_and_is_worth_is_told(tell: Tell) -> None:
    # the campaign's own file: one cent, no offer, ten per cent more: 0.01 / 0.005
    assert (
        "welcome_back: one recovery costs 2.00 EUR of expected 41.00 EUR (ratio 0.05); 5.50 %"
        " expected to return with a message, 5.00 % without, as assumed\n"
    ) in tell("ada")
    assert "welcome_back: costs and value not judged on 2025-03-01: no score\n" in tell("lapsed-01")


def test_nothing_is_estimated_about_who_objected(tell: Tell, built: Warehouse) -> None:
    built.execute(
        "insert into intermediate.int_objections__standing (customer_key, objected_at)"
        " values (%s, '2025-02-03')",
        (customer_key("shop", "lapsed-02"),),
    )
    estimated = "nothing is estimated: objected to advertising on 2025-02-03\n"
    assert estimated in tell("lapsed-02")
    assert "nothing is estimated" not in tell("lapsed-01")


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (
            "0.05, 0.055, 4100, 5700, 1.390244, 'costs_more', false",
            "one recovery costs 57.00 EUR of expected 41.00 EUR (ratio 1.39), more than it returns;"
            " 5.50 % expected to return with a message, 5.00 % without, as measured\n",
        ),
        (
            "0.05, 0.055, 4100, 5700, 1.390244, 'costs_more', true",
            "as measured; must be won back all the same\n",
        ),
        ("0.05, 0.055, 6000, 5700, 0.95, 'returns_more', true", "without, as measured\n"),
        (
            "0.05, 0.04, 4100, null, null, 'nobody_more_returns', false",
            "a message brings nobody back (4.00 % expected to return with a message, 5.00 %"
            " without, as measured)\n",
        ),
        (
            "0.05, 0.055, -100, 200, null, 'no_value', true",
            "one recovery costs 2.00 EUR, and the customer would bring -1.00 EUR; must be won back"
            " all the same\n",
        ),
    ],
)
def test_the_newest_judgement_of_a_campaign_is_told(
    tell: Tell, built: Warehouse, parts: str, told: str
) -> None:
    built.execute(
        "with run as (insert into ops.economics_run (campaign_id, snapshot_id, as_of, definition,"
        " contact_cents, offer_cents, lift_pct, lift_from, lift_because, n_judged, n_not_judged,"
        " cost_cents, worth_cents, is_overruled, has_stopped) values ('welcome_back', 1,"
        " '2025-03-02', '{}', 1, 0, 10, 'measured', '', 1, 0, 1, 1, false, false)"
        " returning economics_run_id)"
        " insert into ops.economics (customer_key, economics_run_id, p_holdout, p_treated,"
        " clv_cents, crc_cents, ratio, finding, is_must_win)"
        f" select %s, economics_run_id, {parts} from run",
        (customer_key("shop", "lapsed-02"),),
    )
    story = tell("lapsed-02")
    assert told in story
    assert story.count("welcome_back: ") == 1


def test_key_and_id_and_second_number_tell_the_same(tell: Tell) -> None:
    story = tell("ada")
    assert tell(customer_key("shop", "ada")) == story
    assert tell("ada-2") == story


def test_who_is_away_is_excused(tell: Tell) -> None:
    story = tell("lapsed-00")
    assert "silent, and only looks gone: absent" in story
    assert "said: absent; counts from 2024-07-05 until " in story


def test_a_warning_is_told_with_where_it_goes(tell: Tell) -> None:
    story = tell("active-00")
    assert "one case of trouble with the contact person; one open complaint" in story
    assert "goes to the owner's manager" in story


def test_who_never_bought_has_a_short_story(tell: Tell) -> None:
    story = tell("looker")
    assert "never bought anything" in story
    assert "Rhythm" not in story


def test_no_name_and_no_address_is_told(tell: Tell) -> None:
    assert "Ada" not in tell("ada")
    assert "example.com" not in tell("ada")


def test_an_unknown_customer_is_an_error_that_says_what_to_write(built: Warehouse) -> None:
    with pytest.raises(UnknownCustomer, match=r"nobody is known as 'nobody': write a customer_key"):
        CliRunner().invoke(app, ["explain", "nobody"], catch_exceptions=False)


def test_without_marts_it_says_how_to_get_them(warehouse: Warehouse) -> None:
    warehouse.configure(dataset="shop")
    with pytest.raises(WinbackError, match="the marts were not built yet"):
        CliRunner().invoke(app, ["explain", "ada"], catch_exceptions=False)
