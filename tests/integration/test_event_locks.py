"""Who settles, decides or takes back beside somebody else waits, and no deadlock ends either."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.locks import wait_until_somebody_waits
from winback.outreach import second_check, taking_back, unknown_messages
from winback.outreach.decisions import Decision
from winback.record import events, suppression
from winback.record.vocabulary import Event
from winback.warehouse.connection import connect

LOCK = "select 1 from ops.outreach where message_id = %s for no key update"


@pytest.fixture(scope="module")
def warehouse(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("event_locks") as warehouse:
        yield warehouse


@pytest.fixture(autouse=True)
def _ledger(warehouse: Warehouse) -> None:
    warehouse.execute(
        "truncate ops.campaign, ops.snapshot, ops.outreach, ops.scheduled_batch, ops.suppression,"
        " ops.event, raw.customers restart identity cascade"
    )
    warehouse.execute(
        "insert into ops.campaign (campaign_id, definition) values ('a', '{}'), ('b', '{}')"
    )
    warehouse.execute(
        "insert into ops.snapshot (as_of, purpose, dataset) values ('2024-01-01', 'live', 'x')"
    )


def insert(warehouse: Warehouse, n: int, campaign: str, *states: str) -> UUID:
    """The `n`th message by its id, moved through these states; its lease is over."""
    [(message_id,)] = warehouse.execute(
        "insert into ops.outreach (message_id, campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template)"
        " values (lpad(%(n)s, 32, '0')::uuid, %(campaign)s, 'l' || %(n)s, 1, 'email',"
        "  'k' || %(n)s, 'a' || %(n)s, 1, '2024-01-01', 't') returning message_id",
        {"n": str(n), "campaign": campaign},
    )
    for state in states:
        warehouse.execute(
            "update ops.outreach set state = %s, lease_until = now() - interval '1 second'"
            " where message_id = %s",
            (state, message_id),
        )
    return UUID(str(message_id))


def states(warehouse: Warehouse) -> list[str]:
    return [s for (s,) in warehouse.execute("select state from ops.outreach order by message_id")]


def test_the_step_record_settles_dead_dispatches_beside_a_batch_of_events(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = insert(warehouse, 1, "b")
    dead = insert(warehouse, 2, "a", "claimed", "dispatching")
    warehouse.execute("update ops.campaign set state = 'cancelled' where campaign_id = 'b'")
    for name in ("work_through_inbox", "look_again"):
        monkeypatch.setattr(events, name, dict)
    for name in ("refresh_lists", "refresh_warning_list"):
        monkeypatch.setattr(events, name, lambda folder: [])
    with ThreadPoolExecutor(1) as pool:
        with connect("sender") as other:
            other.execute(LOCK, (first,))
            recording = pool.submit(events.record)
            # for the message of the cancelled campaign
            wait_until_somebody_waits(warehouse)
            suppression.lock(other, [first, dead])
        recording.result(30)
    assert states(warehouse) == ["cancelled", "unknown"]


def test_a_person_decides_beside_a_batch_of_events(warehouse: Warehouse) -> None:
    first = insert(warehouse, 1, "a", "claimed", "dispatching", "unknown")
    dead = insert(warehouse, 2, "a", "claimed", "dispatching")

    def give_up() -> None:
        with connect("sender") as connection:
            unknown_messages.abandon(connection, [first], Decision("abandon", "x", "ann"))

    with ThreadPoolExecutor(1) as pool:
        with connect("sender") as other:
            other.execute(LOCK, (first,))
            deciding = pool.submit(give_up)
            wait_until_somebody_waits(warehouse)
            suppression.lock(other, [first, dead])
        deciding.result(30)
    assert states(warehouse) == ["abandoned", "dispatching"]


def test_a_person_pauses_while_everybody_who_waits_is_judged(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.execute(
        "insert into ops.scheduled_batch (batch_id, campaign_id, as_of, send_at) values"
        " ('of b', 'b', '2024-01-01', now() + interval '5 hours'),"
        " ('of a', 'a', '2024-01-01', now() + interval '5 hours')"
    )
    warehouse.execute("update ops.campaign set state = 'stopped' where campaign_id = 'a'")
    monkeypatch.setattr(taking_back, "_cancel_asked", lambda *_: {})

    def pause() -> None:
        with connect("sender") as connection:
            connection.execute("update ops.campaign set state = 'paused' where campaign_id = 'b'")
        taking_back.take_back_campaign("b")

    def judge(*_: Any) -> dict[str, Any]:
        # takes seconds, and finds somebody in the other campaign's batch
        pool.submit(pause).result(30)
        return {"of b": {}}

    monkeypatch.setattr(second_check, "check", judge)
    with ThreadPoolExecutor(1) as pool:
        taking_back.look_again()
    assert warehouse.execute(
        "select count(*) from ops.scheduled_batch where cancel_asked_at is not null"
    ) == [(2,)]


def test_two_batches_of_events_tell_of_the_same_people_in_different_ways(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = insert(warehouse, 1, "a", "claimed", "dispatching", "accepted")
    warehouse.execute(
        "insert into raw.customers (customer_key, email_hash, registered_at, snapshot_id)"
        " values ('k1', 'a1', now(), 1)"
    )

    def told(event_id: str, message_id: UUID | None, objector: str) -> Event:
        return Event(
            event_id, message_id, "unsubscribed", datetime.now(UTC), None,
            ("person", "unsubscribe"), objector,
        )  # fmt: skip

    def another_batch() -> None:
        with connect("sender") as connection:
            events.apply(connection, [told("3", None, "a0"), told("4", None, "a1")])

    suppress_people = suppression.suppress_people
    other: list[Future[None]] = []

    def after_the_other_has_begun(*given: Any) -> None:
        if not other:
            other.append(pool.submit(another_batch))
            wait_until_somebody_waits(warehouse)
        suppress_people(*given)

    monkeypatch.setattr(suppression, "suppress_people", after_the_other_has_begun)
    with ThreadPoolExecutor(1) as pool:
        with connect("sender") as connection:
            events.apply(connection, [told("1", ours, "a1"), told("2", None, "a0")])
        other[0].result(30)
    assert warehouse.execute("select distinct address_hash from ops.suppression order by 1") == [
        ("a0",),
        ("a1",),
    ]
