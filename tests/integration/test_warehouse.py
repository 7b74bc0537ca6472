"""The warehouse itself: upgrades that repeat, roles that hold, states that only move forward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql

from tests.conftest import Warehouse, WarehouseFactory
from winback.errors import ServerError
from winback.server.processes import free_port
from winback.warehouse import connection as warehouse_connection
from winback.warehouse import setup
from winback.warehouse.connection import ROLES, connect

SCHEMAS = ("raw", "quarantine", "staging", "intermediate", "marts", "ops", "pii")
CATALOG = """
select 'column', table_schema, table_name, column_name, data_type, column_default, is_nullable
from information_schema.columns where table_schema = any(%(schemas)s)
union all
select 'privilege', table_schema, table_name, grantee, privilege_type, null, null
from information_schema.table_privileges where table_schema = any(%(schemas)s)
union all
select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', null, null
from pg_constraint where connamespace::regnamespace::text = any(%(schemas)s)
union all
select 'function', oid::regprocedure::text, md5(prosrc), '', '', null, null
from pg_proc where pronamespace::regnamespace::text = any(%(schemas)s)
union all
select 'index', schemaname, indexname, indexdef, '', null, null
from pg_indexes where schemaname = any(%(schemas)s)
union all
select 'schema', nspname, nspacl::text, '', '', null, null
from pg_namespace where nspname = any(%(schemas)s)
union all
select 'default', defaclnamespace::regnamespace::text, defaclacl::text, '', '', null, null
from pg_default_acl
"""


@pytest.fixture(scope="module")
def shared(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("roles") as warehouse:
        warehouse.execute("set role winback_transformer; create table marts.fct_x as select 1 as n")
        yield warehouse


def allowed(role: str, statement: str) -> bool:
    """Whether a role may run a statement; whatever it did is rolled back."""
    try:
        with connect(role) as connection:
            connection.execute(statement.encode())
            raise _Undo
    except _Undo:
        return True
    except errors.InsufficientPrivilege:
        return False


class _Undo(Exception):
    pass


def test_preparing_again_changes_nothing(warehouse: Warehouse) -> None:
    before = sorted(map(repr, warehouse.execute(CATALOG, {"schemas": list(SCHEMAS)})))
    warehouse.execute(
        "insert into ops.snapshot (as_of, purpose, dataset) values (now(), 'live', 'x')"
    )
    setup.prepare(warehouse.url)
    after = sorted(map(repr, warehouse.execute(CATALOG, {"schemas": list(SCHEMAS)})))
    assert after == before
    assert len(before) > 300
    assert warehouse.execute("select count(*) from ops.snapshot") == [(1,)]


def test_the_bi_password_makes_a_login_that_sees_marts_only(warehouse: Warehouse) -> None:
    warehouse.configure(bi_password="it's secret")
    setup.prepare(warehouse.url)
    try:
        login = psycopg.conninfo.make_conninfo(
            warehouse.url, user="winback_bi", password="it's secret"
        )
        with psycopg.connect(login) as connection:
            assert connection.execute("select current_user").fetchone() == ("winback_bi",)
            for statement in ("select * from raw.orders", "set role winback_owner"):
                with pytest.raises(errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(statement)
    finally:
        # roles belong to the server, which other tests share
        warehouse.execute("alter role winback_bi nologin password null")


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    ("role", "statement", "is_allowed"),
    [
        ("bi", "select * from marts.fct_x", True),
        ("bi", "insert into marts.fct_x values (2)", False),
        ("bi", "select * from raw.orders", False),
        ("bi", "select * from ops.outreach", False),
        ("bi", "select * from pii.customers", False),
        ("bi", "select * from quarantine.rejected_row", False),
        ("bi", "create table marts.y (n int)", False),
        ("transformer", "select * from raw.orders", True),
        ("transformer", "select * from ops.assignment", True),
        ("transformer", "create table marts.y (n int)", True),
        ("transformer", "create schema as_of_2024", True),
        ("transformer", "select * from pii.customers", False),
        ("transformer", "select * from pii.webhook_inbox", False),
        ("transformer", "select * from quarantine.rejected_row", False),
        ("transformer", "update ops.outreach set state = 'cancelled'", False),
        ("transformer", "delete from raw.orders", False),
        ("loader", "delete from raw.orders", True),
        ("loader", "select * from pii.customers", True),
        ("loader", "delete from pii.customers", False),
        ("loader", "select * from pii.webhook_inbox", False),
        ("loader", "insert into ops.suppression (address_hash, scope, reason)"
                   " values ('x', 'address', 'bounce')", False),
        ("loader", "update ops.outreach set state = 'cancelled'", False),
        ("sender", "select * from pii.customers", True),
        ("sender", "update ops.outreach set state = 'cancelled'", True),
        ("sender", "delete from ops.outreach", False),
        ("sender", "delete from ops.suppression", False),
        ("sender", "delete from ops.assignment", False),
        ("sender", "update raw.orders set amount_cents = 0", False),
        ("sender", "update pii.customers set email = 'x'", False),
        ("webhook", "insert into pii.webhook_inbox (body) values ('x')", True),
        ("webhook", "insert into ops.suppression (address_hash, scope, reason)"
                    " values ('x', 'address', 'unsubscribe')", True),
        ("webhook", "select address_hash from ops.outreach", True),
        ("webhook", "update ops.outreach set state = 'cancelled'", True),
        ("webhook", "select * from pii.webhook_inbox", False),
        ("webhook", "select * from pii.customers", False),
        ("webhook", "select * from raw.customers", False),
        ("webhook", "update ops.outreach set address_hash = 'x'", False),
        ("webhook", "insert into ops.outreach (campaign_id) values ('x')", False),
        ("webhook", "delete from ops.suppression", False),
        ("webhook", "insert into ops.event (event_id) values ('x')", False),
    ],
)  # fmt: skip
def test_a_role_may_do_its_own_work_and_no_other(
    role: str, statement: str, is_allowed: bool
) -> None:
    assert allowed(role, statement) == is_allowed


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("role", ROLES)
def test_no_role_makes_tables_in_public(role: str) -> None:
    assert not allowed(role, "create table public.y (n int)")


def outreach(warehouse: Warehouse, **values: Any) -> UUID:
    row = {
        "campaign_id": "c", "lapse_id": "l1", "step": 1, "channel": "email", "customer_key": "k",
        "address_hash": "a1", "snapshot_id": 1, "as_of": "2024-01-01", "template": "t",
    } | values  # fmt: skip
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            "insert into ops.campaign (campaign_id, definition) values ('c', '{}')"
            " on conflict do nothing"
        )
        connection.execute(
            "insert into ops.snapshot (snapshot_id, as_of, purpose, dataset) overriding system"
            " value values (1, '2024-01-01', 'live', 'x') on conflict do nothing"
        )
        made = connection.execute(
            sql.SQL("insert into ops.outreach ({}) values ({}) returning message_id").format(
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join(map(sql.Literal, row.values())),
            )
        ).fetchall()
    message_id: UUID = made[0][0]
    return message_id


PATHS = [
    ["claimed", "dispatching", "accepted", "delivered", "bounced"],
    ["claimed", "planned", "claimed", "dispatching", "planned", "cancelled"],
    ["claimed", "dispatching", "unknown", "delivered"],
    ["claimed", "dispatching", "unknown", "abandoned"],
    ["claimed", "dispatching", "rejected"],
    ["claimed", "dispatching", "dropped"],
    ["claimed", "cancelled"],
]
STATES = (
    "planned", "claimed", "dispatching", "accepted", "rejected", "unknown", "delivered", "bounced",
    "dropped", "cancelled", "abandoned",
)  # fmt: skip
NEVER = [
    # what was or may have been sent is never planned, claimed or dispatched again
    *((sent, again) for sent in ("accepted", "unknown", "delivered", "bounced", "rejected",
                                 "dropped", "cancelled", "abandoned")
      for again in ("planned", "claimed", "dispatching")),
    *((start, end) for start in ("planned", "claimed") for end in ("accepted", "delivered")),
    ("dispatching", "cancelled"), ("dispatching", "abandoned"), ("accepted", "unknown"),
    ("bounced", "delivered"), ("delivered", "accepted"), ("abandoned", "accepted"),
]  # fmt: skip
TO_REACH = {
    "planned": [], "claimed": ["claimed"], "dispatching": ["claimed", "dispatching"],
    "cancelled": ["cancelled"],
    "accepted": ["claimed", "dispatching", "accepted"],
    "rejected": ["claimed", "dispatching", "rejected"],
    "unknown": ["claimed", "dispatching", "unknown"],
    "delivered": ["claimed", "dispatching", "delivered"],
    "bounced": ["claimed", "dispatching", "bounced"],
    "dropped": ["claimed", "dispatching", "dropped"],
    "abandoned": ["claimed", "dispatching", "unknown", "abandoned"],
}  # fmt: skip


def move(warehouse: Warehouse, message: UUID, states: list[str]) -> None:
    for state in states:
        warehouse.execute(
            "update ops.outreach set state = %s where message_id = %s", (state, message)
        )


@pytest.mark.parametrize("path", PATHS, ids="-".join)
def test_the_ledger_follows_the_paths_of_the_design(warehouse: Warehouse, path: list[str]) -> None:
    message = outreach(warehouse)
    move(warehouse, message, path)
    assert warehouse.execute("select state from ops.outreach") == [(path[-1],)]


def test_the_ledger_refuses_every_way_back(warehouse: Warehouse) -> None:
    assert set(TO_REACH) == set(STATES)
    for number, (state, wrong) in enumerate(NEVER):
        message = outreach(warehouse, lapse_id=f"l{number}", address_hash=f"a{number}")
        move(warehouse, message, TO_REACH[state])
        with pytest.raises(errors.CheckViolation, match=f"may not go from {state} to {wrong}"):
            move(warehouse, message, [wrong])
    with pytest.raises(errors.CheckViolation):
        outreach(warehouse, lapse_id="new", address_hash="new", state="sent")


def test_one_message_per_lapse_and_per_open_address(warehouse: Warehouse) -> None:
    first = outreach(warehouse)
    with pytest.raises(errors.UniqueViolation, match="outreach_once_per_lapse"):
        outreach(warehouse, address_hash="a2")
    with pytest.raises(errors.UniqueViolation, match="outreach_once_per_address"):
        outreach(warehouse, lapse_id="l2")
    outreach(warehouse, resend_of=first)
    outreach(warehouse, step=2)
    move(warehouse, first, ["cancelled"])
    outreach(warehouse, lapse_id="l2")
    assert warehouse.execute("select count(*) from ops.outreach") == [(4,)]


def test_of_no_feed_but_orders_days_are_in_an_index(warehouse: Warehouse) -> None:
    """The planner would ask it about one customer's rows where it does not know the date."""
    indexes = "select indexname from pg_indexes where schemaname = 'raw' and indexdef like '%brin%'"
    assert warehouse.execute(indexes) == [("orders_by_time",)]


VERDICT = (
    "insert into ops.verdict (snapshot_id, campaign_id, customer_key, channel, step, is_eligible,"
    " reasons, evidence) values (%s, 'c', 'k1', 'email', 'select', true, '{}', '{}')"
)


def test_what_a_row_of_the_ledger_refers_to_exists_and_stays(warehouse: Warehouse) -> None:
    outreach(warehouse)
    warehouse.execute(VERDICT, (1,))
    with pytest.raises(errors.ForeignKeyViolation, match="snapshot_id 9, which"):
        warehouse.execute(VERDICT, (9,))
    with pytest.raises(errors.ForeignKeyViolation, match="campaign_id x, which"):
        outreach(warehouse, campaign_id="x", lapse_id="l2", address_hash="a2")
    with pytest.raises(errors.ForeignKeyViolation, match="snapshot_id never changes"):
        warehouse.execute("update ops.outreach set snapshot_id = 1")
    for parent in ("snapshot", "campaign"):
        with pytest.raises(errors.ForeignKeyViolation, match="refer"):
            warehouse.execute(f"delete from ops.{parent}")
    warehouse.execute(
        "insert into ops.snapshot (snapshot_id, as_of, purpose, dataset) overriding system value"
        " values (2, '2024-01-02', 'live', 'x')"
    )
    warehouse.execute("delete from ops.snapshot where snapshot_id = 2")
    assert warehouse.execute("select count(*) from ops.verdict") == [(1,)]


@pytest.mark.parametrize(
    ("child", "column"),
    [
        ("verdict", "snapshot_id"), ("assignment", "snapshot_id"), ("assignment", "campaign_id"),
        ("outreach", "snapshot_id"), ("outreach", "campaign_id"),
        ("economics", "economics_run_id"),
    ],
)  # fmt: skip
def test_every_large_table_has_its_references_checked(
    warehouse: Warehouse, child: str, column: str
) -> None:
    found = warehouse.execute(
        "select tgname, tgenabled from pg_trigger where tgrelid = %s::regclass"
        " and tgname like %s order by 1",
        (f"ops.{child}", f"{child}_{column}_%"),
    )
    assert found == [(f"{child}_{column}_is_known", "O"), (f"{child}_{column}_stays", "O")]


def test_nothing_vanishes(warehouse: Warehouse) -> None:
    outreach(warehouse)
    run = (
        "insert into ops.extract_run (snapshot_id, feed, source, n_received, n_passed,"
        " n_quarantined, started_at) values (1, %s, 'x', %s, %s, %s, now())"
    )
    warehouse.execute(run, ("orders", 10, 9, 1))
    with pytest.raises(errors.CheckViolation, match="nothing_vanishes"):
        warehouse.execute(run, ("customers", 10, 9, 0))
    share = warehouse.execute("select feed, quarantined_pct::float from ops.extract_run")
    assert share == [("orders", 10.0)]


def test_a_block_is_committed_or_rolled_back_as_a_whole(warehouse: Warehouse) -> None:
    insert = "insert into ops.feed_status (feed, is_present) values (%s, true)"
    with connect("loader") as connection:
        connection.execute(insert, ("kept",))
        assert connection.execute("select current_user").fetchone() == ("winback_loader",)
    with pytest.raises(errors.DivisionByZero), connect("loader") as connection:
        connection.execute(insert, ("lost",))
        connection.execute("select 1 / 0")
    assert warehouse.execute("select feed from ops.feed_status") == [("kept",)]


@pytest.mark.parametrize("role", [None, "sender"])
def test_every_connection_waits_until_its_commits_are_on_disk(
    warehouse: Warehouse, role: str | None
) -> None:
    [(name,)] = warehouse.execute("select current_database()")
    warehouse.execute(f"alter database {name} set synchronous_commit = off")
    assert warehouse.execute("show synchronous_commit") == [("off",)]
    with connect(role) as connection:
        connection.rollback()
        assert connection.execute("show synchronous_commit").fetchone() == ("on",)


def test_a_warehouse_that_is_down_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "AIRFLOW_CONN_WINBACK_WAREHOUSE"
    monkeypatch.setenv(name, f"postgresql://x:secret@127.0.0.1:{free_port()}/x")
    with pytest.raises(ServerError, match="the warehouse does not answer") as error, connect():
        pass
    assert "secret" not in str(error.value)


def test_a_warehouse_that_airflow_does_not_know_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_WINBACK_WAREHOUSE", raising=False)
    with pytest.raises(ServerError, match="knows no connection 'winback_warehouse': add it"):
        warehouse_connection.url()
