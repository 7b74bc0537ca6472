"""The portion of a ramp-up is shared by all campaigns: whoever holds it waits for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.locks import wait_until_somebody_waits
from winback.outreach import campaign_state, delivery_trouble, ledger, ramp_up
from winback.settings import settings
from winback.warehouse.connection import connect


@pytest.fixture(scope="module")
def warehouse(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("portions") as warehouse:
        yield warehouse


@pytest.fixture(autouse=True)
def two_campaigns(warehouse: Warehouse) -> None:
    """Two that run, and a portion of today."""
    warehouse.execute(
        "truncate ops.campaign, ops.snapshot, ops.outreach, ops.ramp_up_day, ops.delivery_tally"
        " restart identity cascade"
    )
    warehouse.execute(
        "insert into ops.campaign (campaign_id, definition) values ('a', '{}'), ('b', '{}')"
    )
    warehouse.execute(
        "insert into ops.ramp_up_day (day, portion) values ((now() at time zone 'UTC')::date, 10)"
    )


def test_who_stops_all_campaigns_waits_for_one_without_the_portion(warehouse: Warehouse) -> None:
    warehouse.execute(
        "insert into ops.delivery_tally (campaign_id, n_accepted, n_bounced) values ('a', 900, 500)"
    )

    def stop_all() -> None:
        with connect("sender") as connection:
            delivery_trouble.stop_if_needed(connection, settings())

    with ThreadPoolExecutor(1) as pool:
        with connect("sender") as other:
            # as another worker that stops `b` alone for the same bounces
            other.execute("select 1 from ops.campaign where campaign_id = 'b' for no key update")
            stopping = pool.submit(stop_all)
            wait_until_somebody_waits(warehouse)
            campaign_state.stop(other, {"b": "too many bounces"})
        stopping.result(30)
    assert warehouse.execute("select state from ops.campaign") == [("stopped",)] * 2
    assert warehouse.execute("select was_stopped from ops.ramp_up_day") == [(True,)]


def test_who_takes_over_a_dead_claim_waits_for_others_without_the_portion(
    warehouse: Warehouse,
) -> None:
    warehouse.configure(business_timezone="UTC")
    warehouse.execute(
        "insert into ops.snapshot (as_of, purpose, dataset) values ('2024-01-01', 'live', 'x')"
    )
    warehouse.execute(
        "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template, is_dormant)"
        " values ('a', 'l', 1, 'email', 'k', 'h', 1, '2024-01-01', 't', true)"
    )
    assert len(claim()) == 1
    warehouse.execute("update ops.outreach set lease_until = now() - interval '1 second'")
    with ThreadPoolExecutor(1) as pool:
        with connect("sender") as other:
            ramp_up.lock(other)
            claiming = pool.submit(claim)
            wait_until_somebody_waits(warehouse)
            [(day,)] = other.execute("select day from ops.ramp_up_day").fetchall()
            ramp_up.take(other, day, 1)
        assert len(claiming.result(30)) == 1
    assert warehouse.execute("select n_taken from ops.ramp_up_day") == [(2,)]


def claim() -> list[ledger.Claim]:
    with connect("sender") as connection:
        return ledger.claim(connection, "a", "somebody", settings())
