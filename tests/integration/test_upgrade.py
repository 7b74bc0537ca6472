"""An older warehouse with messages in every state is brought to this version, and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.conftest import OWNER, Warehouse, WarehouseFactory
from tests.integration.test_warehouse import STATES, TO_REACH
from winback.model import rhythm
from winback.outreach import delivery_trouble, ended_workers, ledger
from winback.outreach.campaign_state import read_campaign_states
from winback.settings import settings
from winback.warehouse import setup
from winback.warehouse.connection import connect

# the last version in which a request was all there was between `dispatching` and its events
BEFORE = "0011"
# the last one in which each campaign had portions of its own
PORTIONS_OF_CAMPAIGNS = "0024"


@contextmanager
def warehouse_at(version: str, warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    """A warehouse of that version, its owner being no superuser."""
    with warehouse_factory("upgrade") as warehouse, pytest.MonkeyPatch.context() as environment:
        database = f"old_{uuid4().hex[:12]}"
        superuser = psycopg.connect(warehouse.server_url("postgres"), autocommit=True)
        superuser.execute(f"create database {database} owner {OWNER}".encode())
        warehouse.url = warehouse.url.replace(warehouse.url.rsplit("/", 1)[1], database)
        environment.setenv("AIRFLOW_CONN_WINBACK_WAREHOUSE", warehouse.url)
        real = setup.command.upgrade
        with pytest.MonkeyPatch.context() as older:
            older.setattr(setup.command, "upgrade", lambda config, _: real(config, version))
            with psycopg.connect(warehouse.url, autocommit=True) as connection:
                setup._create_schemas_and_roles(connection)
            setup._migrate(warehouse.url)
        try:
            yield warehouse
        finally:
            superuser.execute(f"drop database {database} with (force)".encode())
            superuser.close()


@pytest.fixture
def old(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_at(BEFORE, warehouse_factory) as warehouse:
        yield warehouse


def fill(old: Warehouse) -> None:
    """Two messages in every state, the bounced ones with their events."""
    old.execute("insert into ops.campaign (campaign_id, definition) values ('c', '{}')")
    old.execute("insert into ops.snapshot (as_of, purpose, dataset) values (now(), 'live', 'x')")
    for n, state in enumerate((*STATES, *STATES)):
        [(message_id,)] = old.execute(
            "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
            " address_hash, snapshot_id, as_of, template)"
            " values ('c', %(n)s, 1, 'email', %(n)s, %(n)s, 1, now(), 't') returning message_id",
            {"n": str(n)},
        )
        for each in TO_REACH[state]:
            old.execute(
                "update ops.outreach set state = %s, fence = fence + 1,"
                " lease_until = now() - interval '1 second' where message_id = %s",
                (each, message_id),
            )
        if state in ("accepted", "delivered", "bounced", "dropped"):
            old.execute(
                "update ops.outreach set accepted_at = now() - interval '1 hour'"
                " where message_id = %s",
                (message_id,),
            )
        if state == "bounced":
            old.execute(
                "insert into ops.event (event_id, message_id, kind, occurred_at)"
                " values (%s, %s, 'bounced', now())",
                (str(n), message_id),
            )


def messages(old: Warehouse) -> list[tuple[Any, ...]]:
    return old.execute(
        "select message_id, state, fence, reason, accepted_at, lease_until from ops.outreach"
        " order by message_id"
    )


def test_every_message_keeps_its_state_and_goes_on(old: Warehouse) -> None:
    fill(old)
    before = messages(old)
    setup.prepare(old.url)
    assert messages(old) == before
    assert old.execute(
        "select count(*) filter (where is_pending), count(*) filter (where is_cancelled),"
        " count(*) filter (where batch_id is not null) from ops.outreach"
    ) == [(8, 2, 0)]
    # what was planned, and what was claimed by a worker that is gone
    with connect("sender") as connection:
        claims = ledger.claim(connection, "c", "new", settings())
        claims += ledger.claim(connection, "c", "new", settings())
        assert len(claims) == 4
        assert len(ledger.mark_dispatching(connection, claims, settings())) == 4
        ledger.accepted(connection, claims, "x")
        assert ended_workers.settle_dead_dispatches(connection) == 2
        [status] = read_campaign_states(connection)
    assert status.counts["accepted"] == 6
    assert status.counts["unknown"] == 4


def test_what_was_planned_before_there_were_portions_waits_for_one(
    old: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(old)
    monkeypatch.setenv("WINBACK_RAMP_UP_FIRST_PORTION", "1")
    monkeypatch.setenv("WINBACK_DORMANT_AFTER_DAYS", "100")
    settings.cache_clear()
    # one of them heard from another campaign not long ago, and one is held by a worker that lives
    old.execute("insert into ops.campaign (campaign_id, definition) values ('d', '{}')")
    for n, age in (("0", "99 days"), ("1", "101 days")):
        [(message_id,)] = old.execute(
            "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
            " address_hash, snapshot_id, as_of, template)"
            " values ('d', %s, 1, 'email', 'k', %s, 1, now(), 't') returning message_id",
            (n, n),
        )
        for state in TO_REACH["accepted"]:
            old.execute(
                "update ops.outreach set state = %s, accepted_at = now() - %s::interval"
                " where message_id = %s",
                (state, age, message_id),
            )
    old.execute(
        "update ops.outreach set lease_until = now() + interval '1 hour' where lapse_id = '12'"
    )
    setup.prepare(old.url)
    assert old.execute(
        "select lapse_id, state, is_dormant from ops.outreach"
        " where state in ('planned', 'claimed') order by lapse_id"
    ) == [
        ("0", "planned", False),
        ("1", "claimed", True),
        ("11", "planned", True),
        ("12", "claimed", False),
    ]
    assert old.execute(
        "select count(*) from ops.outreach where is_dormant and state not in ('planned', 'claimed')"
    ) == [(0,)]
    with connect("sender") as connection:
        assert len(ledger.claim(connection, "c", "new", settings())) == 2


def test_portions_of_campaigns_become_one_portion_a_day(
    warehouse_factory: WarehouseFactory,
) -> None:
    with warehouse_at(PORTIONS_OF_CAMPAIGNS, warehouse_factory) as old:
        old.execute("insert into ops.campaign (campaign_id, definition) values ('c', '{}')")
        old.execute(
            "insert into ops.snapshot (as_of, purpose, dataset) values (now(), 'live', 'x')"
        )
        old.execute(
            "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
            " address_hash, snapshot_id, as_of, template, is_dormant, portion_day, state)"
            " values ('c', 'l', 1, 'email', 'k', 'a', 1, now(), 't', true, '2026-03-02', 'planned')"
        )
        old.execute(
            "insert into ops.ramp_up_day (campaign_id, day, portion, n_taken, was_stopped) values"
            " ('c', '2026-03-01', 500, 500, true), ('d', '2026-03-01', 500, 20, false),"
            " ('c', '2026-03-02', 500, 400, false), ('d', '2026-03-02', 1000, 100, false)"
        )
        setup.prepare(old.url)
        portions = "select day::text, portion, n_taken, was_stopped from ops.ramp_up_day order by 1"
        assert old.execute(portions) == [
            ("2026-03-01", 520, 520, True),
            ("2026-03-02", 1000, 500, False),
        ]
        old.execute("update ops.outreach set portion_day = null")
        assert old.execute(portions)[1] == ("2026-03-02", 1000, 499, False)


def test_a_rhythm_of_before_says_the_same_at_every_level_of_a_stock(old: Warehouse) -> None:
    for elasticity in (0.5, 0.0):
        old.execute(
            "with run as (insert into ops.model_run"
            " (model, as_of, parameters, metrics, is_in_use, because)"
            " values ('rhythm', now(), json_build_object('quantity_elasticity', %s::float8), '{}',"
            " true, 'x') returning model_run_id)"
            " insert into ops.rhythm_quantile (model_run_id, n_gaps, early, expected, late)"
            " select model_run_id, n, 0.1 + n, 0.2 + n, 0.3 + n"
            " from run, generate_series(0, 1) as n",
            (elasticity,),
        )
    setup.prepare(old.url)
    found = old.execute(
        "select model_run_id, stock_level, n_gaps, early, expected, late, usual_late"
        " from ops.rhythm_quantile order by 1, 2, 3"
    )
    least, most = rhythm.STOCK_LEVELS
    rows = {n: tuple(each + n for each in (0.1, 0.2, 0.3, 0.3)) for n in (0, 1)}
    assert found == [
        (run, level, n, *rows[n])
        for run, levels in ((1, range(least, most + 1)), (2, [0]))
        for level in levels
        for n in (0, 1)
    ]


def test_bounces_that_are_still_to_come_do_not_stand_against_nothing(old: Warehouse) -> None:
    fill(old)
    setup.prepare(old.url)
    assert old.execute(
        "select sum(n_accepted), sum(n_bounced), sum(n_spam_reports) from ops.delivery_tally"
    ) == [(8, 2, 0)]
    late = [each for (each,) in old.execute(
        "select message_id from ops.outreach where state = 'delivered'"
    )]  # fmt: skip
    with connect("sender") as connection:
        delivery_trouble.count_events(connection, [], late[:1], [])
    assert old.execute("select sum(n_accepted), sum(n_bounced) from ops.delivery_tally") == [(8, 3)]


def test_feeds_that_may_forbid_are_read_once_as_a_whole(old: Warehouse) -> None:
    fill(old)
    for feed in ("consents", "orders"):
        old.execute(
            "insert into ops.extract_run (snapshot_id, feed, source, n_received, n_passed,"
            " n_quarantined, started_at, is_whole, cursor_until)"
            " values (1, %s, 'x', 0, 0, 0, now(), false, '7')",
            (feed,),
        )
    setup.prepare(old.url)
    assert old.execute("select feed, cursor_until from ops.extract_run order by 1") == [
        ("consents", None), ("orders", "7"),
    ]  # fmt: skip


def test_what_the_old_version_forbade_is_still_forbidden(old: Warehouse) -> None:
    fill(old)
    setup.prepare(old.url)
    for state in ("planned", "cancelled"):
        with pytest.raises(psycopg.errors.CheckViolation, match="no confirmed cancellation"):
            old.execute("update ops.outreach set state = %s where state = 'accepted'", (state,))
    with pytest.raises(psycopg.errors.UniqueViolation, match="once_per_lapse"):
        old.execute(
            "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
            " address_hash, snapshot_id, as_of, template)"
            " values ('c', '3', 1, 'email', 'z', 'z', 1, now(), 't')"
        )
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="snapshot_id 9"):
        old.execute(
            "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
            " address_hash, snapshot_id, as_of, template)"
            " values ('c', 'new', 1, 'email', 'z', 'z', 9, now(), 't')"
        )
