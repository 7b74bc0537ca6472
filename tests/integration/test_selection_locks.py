"""The selection waits for the step record and for workers, and no deadlock ends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.locks import wait_until_somebody_waits
from winback.record import suppression
from winback.record.events import apply
from winback.record.suppression import Scope
from winback.record.vocabulary import Event
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


@pytest.mark.parametrize("what", ["another mailing", "an opt-in mail"])
def test_older_lapses_are_closed_beside_a_batch_of_events_that_finds_messages_in_several_ways(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """By their ids, and by addresses that objected elsewhere or turned out to be dead."""
    ids = [each for (each,) in warehouse.execute("select message_id from ops.outreach order by 1")]
    now, failures = datetime.now(UTC), []
    for state in ("claimed", "dispatching", "accepted"):
        warehouse.execute(
            "update ops.outreach set state = %s where message_id = %s", (state, ids[-1])
        )
    told = [Event("sent", ids[-1], "delivered", now)]
    if what == "another mailing":
        against: tuple[Scope, str] = ("person", "unsubscribe")
        told.append(Event("x", None, "unsubscribed", now, suppresses=against, objector="a1"))
    else:
        [(request_id,)] = warehouse.execute(
            "with said as (insert into ops.consent_text"
            "  (text_version, channel, purpose, language, advertiser, content)"
            "  values ('v1', 'email', 'marketing', 'en', 'Shop', 'Yes') returning text_version)"
            " insert into ops.opt_in_request (customer_key, address_hash, channel, purpose,"
            "  text_version, source, requested_by, expires_at)"
            " select 'k1', 'a1', 'email', 'marketing', text_version, 'shop', 'ann',"
            "  now() + interval '1 day' from said returning request_id"
        )
        dead: tuple[Scope, str] = ("address", "bounce")
        told.append(Event("x", request_id, "bounced", now, suppresses=dead))

    def close_older_lapses() -> None:
        try:
            with connect("sender") as connection:
                connection.execute(planned_messages.CLOSE_LAPSES, {"ids": ids})
        except psycopg.Error as error:
            failures.append(error)

    selecting = threading.Thread(target=close_older_lapses)
    suppress_addresses = suppression.suppress_addresses

    def suppress_once_a_selection_waits(*given: Any) -> None:
        selecting.start()
        wait_until_somebody_waits(warehouse)
        suppress_addresses(*given)

    monkeypatch.setattr(suppression, "suppress_addresses", suppress_once_a_selection_waits)
    with connect("sender") as connection:
        apply(connection, told)
    selecting.join(30)
    assert not selecting.is_alive()
    assert failures == []
    assert warehouse.execute("select state from ops.outreach where address_hash = 'a1'") == [
        ("cancelled",)
    ]


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
