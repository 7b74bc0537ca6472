"""A campaign whose audience jumps selects nobody until a person approves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from tests.conftest import PROJECT, Warehouse, WarehouseFactory
from tests.flow import up_to_gate
from tests.small_shop import small_shop
from winback.outreach import campaign_state
from winback.outreach.decisions import Decision
from winback.select.selection import select
from winback.warehouse import connection

AS_OF = date(2025, 3, 1)
NAME = "welcome_back"
N_LAPSED = 200


@pytest.fixture(scope="module")
def built(warehouse_factory: WarehouseFactory) -> Iterator[tuple[Warehouse, int]]:
    with warehouse_factory("audience_size") as warehouse:
        shop = small_shop(warehouse.data, AS_OF, n_lapsed=N_LAPSED)
        warehouse.configure(
            sources=shop.write(), dataset="shop", replay=True, max_candidates_pct=100,
            campaigns=PROJECT / "campaigns",
        )  # fmt: skip
        yield warehouse, up_to_gate(AS_OF)


@pytest.fixture
def shop(built: tuple[Warehouse, int]) -> Warehouse:
    warehouse, _ = built
    warehouse.execute(
        "truncate ops.outreach, ops.verdict, ops.assignment, ops.campaign, ops.economics,"
        " ops.economics_run, ops.audience_size restart identity cascade"
    )
    return warehouse


def few_agreed(warehouse: Warehouse) -> None:
    """Eighty and no more have confirmed their consent."""
    warehouse.execute(
        "with placed as ("
        "  select consent_id, row_number() over (order by consent_id) as place"
        "  from raw.consents where consent_id like 'consent-lapsed-%'"
        ") update raw.consents as c set confirmed_at = case when place <= 80 then granted_at end"
        " from placed where placed.consent_id = c.consent_id"
    )


def all_agreed(warehouse: Warehouse) -> None:
    """A feed of many consents came in."""
    warehouse.execute("update raw.consents set confirmed_at = granted_at")


def drawn(warehouse: Warehouse) -> int:
    [(n,)] = warehouse.execute("select count(*) from ops.assignment where arm <> 'excluded'")
    return int(n)


def state(warehouse: Warehouse) -> tuple[str, str | None]:
    [(word, reason)] = warehouse.execute(
        "select state, state_reason from ops.campaign where campaign_id = %s", (NAME,)
    )
    return word, reason


def resume() -> None:
    with connection.connect("sender") as opened:
        decision = Decision("resume", "the new consents are real", "marketing")
        campaign_state.decide(opened, NAME, decision)


def test_a_jump_stops_the_campaign_until_somebody_approves(
    built: tuple[Warehouse, int], shop: Warehouse
) -> None:
    _, snapshot_id = built
    few_agreed(shop)
    select(snapshot_id, AS_OF)
    assert drawn(shop) == 80
    all_agreed(shop)
    [selected] = select(snapshot_id, AS_OF)
    assert (drawn(shop), selected.n_planned) == (80, 0)
    assert state(shop) == (
        "stopped",
        "its audience jumped: 200 people, 80 at its last selection",
    )
    # what was planned before waits as well
    with connection.connect("sender") as opened:
        assert not campaign_state.anything_waits(opened)
    assert shop.execute(
        "select reasons, evidence -> 'audience', count(*) from ops.verdict"
        " where 'audience_jumped' = any(reasons) group by 1, 2"
    ) == [(["audience_jumped"], {"n_people": 200, "n_before": 80}, 200)]
    # asking again is no approval
    select(snapshot_id, AS_OF)
    assert (drawn(shop), state(shop)[0]) == (80, "stopped")
    resume()
    select(snapshot_id, AS_OF)
    assert (drawn(shop), state(shop)) == (200, ("running", None))
    assert shop.execute(
        "select n_people, n_before, needs_approval, has_stopped from ops.audience_size"
        " order by audience_size_id"
    ) == [
        (80, None, False, False),
        (200, 80, True, True),
        (200, 80, True, False),
        (200, 200, False, False),
    ]


def test_who_resumes_a_paused_campaign_has_not_approved_what_they_never_saw(
    built: tuple[Warehouse, int], shop: Warehouse
) -> None:
    _, snapshot_id = built
    few_agreed(shop)
    select(snapshot_id, AS_OF)
    shop.execute("update ops.campaign set state = 'paused', state_reason = 'holidays'")
    all_agreed(shop)
    select(snapshot_id, AS_OF)
    assert (drawn(shop), state(shop)) == (80, ("paused", "holidays"))
    resume()
    select(snapshot_id, AS_OF)
    assert (drawn(shop), state(shop)[0]) == (80, "stopped")


def test_who_only_heard_from_us_lately_does_not_make_it_jump(
    built: tuple[Warehouse, int], shop: Warehouse
) -> None:
    """Another campaign wrote to nearly everybody; that its pause ends is no jump."""
    _, snapshot_id = built
    all_agreed(shop)
    shop.execute("insert into ops.campaign (campaign_id, definition) values ('another', '{}')")
    shop.execute(
        "insert into ops.outreach (message_id, campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template)"
        " select gen_random_uuid(), 'another', customer_key, 1, 'email', customer_key, email_hash,"
        " %s, %s, 'x' from raw.customers where customer_key not in"
        " (select customer_key from raw.customers order by 1 limit 10)",
        (snapshot_id, AS_OF),
    )
    select(snapshot_id, AS_OF)
    assert 0 < drawn(shop) <= 10
    shop.execute("delete from ops.outreach where campaign_id = 'another'")
    select(snapshot_id, AS_OF)
    assert (drawn(shop), state(shop)[0]) == (200, "running")
