"""The selection waits for the step record and for workers, and no deadlock ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Warehouse, WarehouseFactory
from winback.select import planned_messages
from winback.warehouse.connection import connect

N = 500


@pytest.fixture(scope="module")
def warehouse(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("locks") as warehouse:
        yield warehouse


@pytest.fixture(autouse=True)
def ledger(warehouse: Warehouse) -> None:
    """Messages of one campaign, each of a lapse that is open."""
    warehouse.execute("truncate ops.campaign, ops.snapshot, ops.outreach restart identity cascade")
    warehouse.execute("insert into ops.campaign (campaign_id, definition) values ('c', '{}')")
    warehouse.execute(
        "insert into ops.snapshot (as_of, purpose, dataset) values ('2024-01-01', 'live', 'x')"
    )
    warehouse.execute(
        # they lie in the table the other way round than they are locked
        "insert into ops.outreach (message_id, campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template)"
        " select lpad(to_hex(n), 32, '0')::uuid, 'c', 'old' || n, 1, 'email', 'k' || n, 'a' || n,"
        "  1, '2024-01-01', 't' from generate_series(%s, 1, -1) as n",
        (N,),
    )


def test_older_lapses_are_closed_beside_a_transaction_that_locks_the_same_messages(
    warehouse: Warehouse,
) -> None:
    ids = [each for (each,) in warehouse.execute("select message_id from ops.outreach order by 1")]
    lock = "select 1 from ops.outreach where message_id = %s for no key update"
    failures: list[psycopg.Error] = []

    def close_older_lapses() -> None:
        try:
            with connect("sender") as connection:
                connection.execute(planned_messages.CLOSE_LAPSES, {"ids": ids[::-1]})
        except psycopg.Error as error:
            failures.append(error)

    selecting = threading.Thread(target=close_older_lapses)
    with connect("sender") as other:
        other.execute(lock, (ids[0],))
        selecting.start()
        wait_until_somebody_waits(warehouse)
        # as the step record does, which locks one message after the other
        for message_id in ids[1:]:
            other.execute(lock, (message_id,))
    selecting.join(30)
    assert not selecting.is_alive()
    assert failures == []
    assert warehouse.execute("select count(*) from ops.outreach where is_lapse_open") == [(0,)]


def test_a_selection_does_not_wait_for_ever_for_a_message(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server sees no deadlock between two connections of one process."""
    monkeypatch.setattr(planned_messages, "LONGEST_WAIT", "100ms")
    judged = (
        "create temporary table judged on commit drop as select 'k1' as customer_key,"
        " 'new' as lapse_id, date '2024-02-01' as occasion_date"
    )
    with connect("sender") as other:
        other.execute("select 1 from ops.outreach where customer_key = 'k1' for no key update")
        with (
            pytest.raises(psycopg.errors.LockNotAvailable),
            connect("sender") as planning,
            connect("sender") as selecting,
        ):
            selecting.execute(judged)
            planned_messages.hand_over(selecting, planning, {"campaign": "c"})
    assert warehouse.execute("select count(*) from ops.outreach where is_lapse_open") == [(N,)]


def wait_until_somebody_waits(warehouse: Warehouse) -> None:
    deadline = time.monotonic() + 30
    while warehouse.execute(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        " and datname = current_database()"
    ) == [(0,)]:
        assert time.monotonic() < deadline, "nobody waits for a lock"
        time.sleep(0.02)
