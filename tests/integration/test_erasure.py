"""Erasure: somebody goes from every table and list, stays away, and no figure changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import SandboxFactory, Warehouse, WarehouseFactory
from tests.flow import up_to_gate, up_to_select
from tests.mail_flow import AS_OF, CAMPAIGN, MailFlow, mail_flow, send
from tests.small_shop import SmallShop, small_shop
from winback.kpi.snapshot import write_snapshots
from winback.outreach.lists import write_list
from winback.outreach.warning_list import write_warning_list
from winback.privacy import personal_data
from winback.privacy.erasure import Erased, NobodyToErase, erase, sweep_after_build
from winback.privacy.keyed_hash import address_hash, customer_key
from winback.record.events import record
from winback.record.unsubscribe import unsubscribe
from winback.settings import settings

# two lapsed customers whom the draw treats, always the same
GONE, OTHER = "lapsed-06", "lapsed-17"
ADDRESS = f"{GONE}@example.com"
TABLES = """
select format('%%s.%%s', n.nspname, c.relname), array_agg(a.attname::text)
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind in ('r', 'p', 'm') and n.nspname !~ '^(pg_|information_schema)'
group by 1
"""


def shop_of(folder: Path) -> SmallShop:
    shop = small_shop(folder, AS_OF)
    orders = {row["customer"]: row["number"] for row in shop.orders}
    for name in (GONE, OTHER):
        mine = {"order_id": orders[name], "ordered_at": shop.day(250)}
        shop.tell(
            "order_lines", line_number="1", product_id="p", quantity="1", amount_cents="1000",
            currency="EUR", **mine,
        )  # fmt: skip
        shop.tell(
            "notes", note_id=f"note-{name}", customer_id=name, kind="wish",
            text=f"{name} likes jazz", noted_at=shop.day(240),
        )  # fmt: skip
        shop.tell(
            "referrals", referral_id=f"to-{name}", customer_id="active-00",
            referred_customer_id=name, referred_at=shop.day(260),
        )  # fmt: skip
        # without a date: to quarantine
        shop.orders.append({"number": f"bad-{name}", "customer": name, "date": "", "total": "1"})
    return shop


@dataclass
class Before:
    """What was there, then erased."""

    flow: MailFlow
    shop: SmallShop
    key: str
    order_id: str
    message_id: Any
    figures: list[tuple[Any, ...]]
    counts: list[tuple[Any, ...]]
    erased: Erased
    home: Path


def figures(flow: MailFlow, table: str) -> list[tuple[Any, ...]]:
    return flow.warehouse.execute(f"select * from {table} order by 1, 2, 3, 4, 5")


def erase_one(customer: str) -> Erased:
    return erase(customer, "shop", "tester", settings())


@pytest.fixture(scope="module")
def before(
    warehouse_factory: WarehouseFactory, sandbox_factory: SandboxFactory
) -> Iterator[Before]:
    shop = shop_of(Path())
    with mail_flow(
        warehouse_factory, sandbox_factory, shop=shop, max_quarantined_pct=50,
        max_unmatched_pct=100,
    ) as flow:  # fmt: skip
        flow.restart()
        home = flow.warehouse.data.parent
        assert send(flow)["accepted"] == 15
        flow.sandbox.wait_for_events()
        record()
        key = customer_key("shop", GONE)
        [(message_id,)] = flow.warehouse.execute(
            "select message_id from ops.outreach where customer_key = %s", (key,)
        )
        unsubscribe(message_id)
        _put_by_hand(flow.warehouse, key)
        # back within the window; what is lost must not change what the campaign brought about
        order_id = next(row["number"] for row in shop.orders if row["customer"] == GONE)
        flow.warehouse.execute(
            "insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency,"
            " snapshot_id) values ('back', %s, %s, 500, 'EUR', %s)",
            (key, AS_OF + timedelta(days=3), flow.snapshot_id),
        )
        write_list(home / "lists", CAMPAIGN, AS_OF)
        (home / "lists" / "2026-03-01" / f"{CAMPAIGN}-x.part").write_text(key)
        write_warning_list(home / "lists", AS_OF)
        (home / "lists" / "copy.csv").write_text(f"{key},{ADDRESS}\n")
        later = AS_OF + timedelta(days=90)
        write_snapshots(later)
        tables = ("ops.kpi_snapshot", "ops.customer_count")
        known = [figures(flow, table) for table in tables]
        erased = erase_one(GONE)
        yield Before(flow, shop, key, order_id, message_id, *known, erased, home)


def _put_by_hand(warehouse: Warehouse, key: str) -> None:
    warehouse.execute(
        "insert into ops.warning_day (as_of, n_watched, n_warned) values (%s, 5, 1)", (AS_OF,)
    )
    warehouse.execute(
        "insert into ops.warning values (%s, %s, 1, 'low', 'rarer orders', false)", (AS_OF, key)
    )
    warehouse.execute(
        "insert into ops.contact_preference (customer_key, channel, is_wanted, message_id)"
        " values (%s, 'email', true, gen_random_uuid())",
        (key,),
    )
    warehouse.execute(
        "update ops.gate_result set examples = json_build_array(json_build_object('key', %s::text))"
        " where gate_result_id = (select min(gate_result_id) from ops.gate_result)",
        (key,),
    )
    warehouse.execute(
        "insert into pii.webhook_inbox (body, processed_at, problem) values (%s, now(), 'broken')",
        (f"{{{ADDRESS.title()}".encode(),),
    )


def holding(warehouse: Warehouse, *words: str) -> set[str]:
    """Tables in which one of the words stands, in whatever column."""
    tables = [table for table, _ in warehouse.execute(TABLES, ())]
    assert len(tables) > 80
    return {
        table
        for table in tables
        for word in words
        if warehouse.execute(
            f"select 1 from {table} as t where t::text ilike %s limit 1", (f"%{word}%",)
        )
    }


def test_every_table_and_column_is_declared(before: Before) -> None:
    """A new table, or column of one whose rows stay, fails here until somebody declares it."""
    tables = before.flow.warehouse.execute(TABLES, ())
    assert len(tables) > 80
    assert [
        problem
        for table, columns in tables
        if (problem := personal_data.undeclared(table, columns)) is not None
    ] == []


def test_what_is_not_declared_is_noticed() -> None:
    said = personal_data.undeclared
    assert (
        said("ops.phone_call", ["call_id", "customer_key"]) == "ops.phone_call is declared nowhere"
    )
    assert said("marts.rpt_new", ["as_of", "customers"]) == "marts.rpt_new is declared nowhere"
    columns = personal_data.NOTHING["ops.snapshot"].split()
    assert said("ops.snapshot", columns) is None
    assert said("ops.snapshot", [*columns, "asked_by"]) == "ops.snapshot: asked_by"
    assert said("ops.warning", ["as_of", "person"]) == "ops.warning has no column customer_key"
    assert said("marts_asof_20260301.fct_orders", ["customer_key"]) is None


def test_every_declared_table_is_there(before: Before) -> None:
    found = {table for table, _ in before.flow.warehouse.execute(TABLES, ())}
    declared = {
        *personal_data.DELETED, *personal_data.DELETED_OTHERWISE, *personal_data.UNLINKED,
        *personal_data.KEPT, *personal_data.NOTHING,
    }  # fmt: skip
    assert declared - found == set()


def test_nothing_of_the_person_is_left_but_what_is_kept_on_purpose(before: Before) -> None:
    warehouse, hashed = before.flow.warehouse, address_hash("email", ADDRESS)
    assert before.erased.is_new
    assert before.erased.n_rows.keys() >= {
        "raw.customers", "raw.orders", "raw.order_lines", "raw.notes", "raw.consents",
        "raw.referrals", "quarantine.rejected_row", "ops.verdict", "ops.warning", "ops.economics",
        "ops.contact_preference", "ops.gate_result", "ops.outreach", "ops.assignment",
        "pii.webhook_inbox", "marts.fct_orders", "intermediate.int_customers__timeline",
    }  # fmt: skip
    assert holding(warehouse, before.key) == {"ops.suppression", "ops.erased_customer"}
    assert holding(warehouse, hashed) == {"ops.suppression", "pii.kept_proof"}
    assert holding(warehouse, ADDRESS, GONE) == {"pii.kept_proof"}
    assert holding(warehouse, before.order_id + '"', before.order_id + ",") == set()
    assert warehouse.execute(
        "select count(*) from pii.webhook_inbox where body is not null and problem = 'broken'"
    ) == [(0,)]
    # the others are all there
    assert {"raw.customers", "pii.customers", "ops.outreach", "marts.fct_orders"} <= holding(
        warehouse, customer_key("shop", OTHER), f"{OTHER}@example.com"
    )


def test_no_list_names_the_person_and_a_copy_is_pointed_out(before: Before) -> None:
    lists = before.home / "lists"
    assert before.erased.foreign_files == [lists / "copy.csv"]
    (lists / "copy.csv").unlink(missing_ok=True)
    texts = [path.read_bytes() for path in lists.rglob("*") if path.is_file()]
    assert len(texts) == 3
    assert not any(word.encode() in text for text in texts for word in (before.key, ADDRESS))
    assert (
        f"{OTHER}@example.com".encode() in (lists / "2026-03-01" / f"{CAMPAIGN}.csv").read_bytes()
    )
    assert not list(lists.rglob("*.part"))


def test_no_figure_changes(before: Before) -> None:
    assert any(row[4] == 1 for row in before.figures)
    [(n_unsubscribed, n_recovered)] = before.flow.warehouse.execute(
        "select max(n_unsubscribed), max(n_recovered_treated) from ops.kpi_snapshot"
    )
    assert (n_unsubscribed, n_recovered) == (1, 1)
    assert write_snapshots(AS_OF + timedelta(days=90)) == 0
    assert figures(before.flow, "ops.kpi_snapshot") == before.figures
    assert figures(before.flow, "ops.customer_count") == before.counts


def test_the_ledger_keeps_its_rows_which_are_of_nobody(before: Before) -> None:
    [row] = before.flow.warehouse.execute(
        "select o.customer_key = a.customer_key, o.state, o.is_lapse_open, a.recovered_at is null,"
        " a.has_unsubscribed, a.occasion_date"
        " from ops.outreach as o inner join ops.assignment as a using (campaign_id, lapse_id)"
        " where o.message_id = %s",
        (before.message_id,),
    )
    assert row == (True, "delivered", False, False, True, AS_OF)


def test_proof_is_kept_apart_until_its_deadline(before: Before) -> None:
    warehouse = before.flow.warehouse
    [(proof, is_later)] = warehouse.execute(
        "select proof, keep_until > current_date + 365 from pii.kept_proof where address_hash = %s",
        (address_hash("email", ADDRESS),),
    )
    assert proof["text_version"] == "v1" and proof["confirmed_at"] and proof["n_uses"] == 1
    assert "customer_key" not in proof and "email_hash" not in proof and is_later
    for role in ("sender", "loader", "transformer", "webhook", "bi"):
        with psycopg.connect(warehouse.url) as connection:
            connection.execute(f"set role winback_{role}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("select * from pii.kept_proof")
    warehouse.execute(
        "insert into pii.kept_proof (proof, keep_until) values ('{}', current_date - 1)"
    )
    with psycopg.connect(warehouse.url) as connection:
        connection.execute("set role winback_loader")
        assert connection.execute("select ops.drop_expired_proof()").fetchone() == (1,)


def test_it_is_recorded_without_the_person(before: Before) -> None:
    [(by, n_rows, is_done)] = before.flow.warehouse.execute(
        "select erased_by, n_rows, files_done_at is not null from ops.erasure"
        " where erasure_id = %s",
        (before.erased.erasure_id,),
    )
    assert (by, is_done) == ("tester", True)
    assert n_rows == before.erased.n_rows and n_rows["raw.customers"] == 1


def test_once_more_changes_nothing(before: Before) -> None:
    known = before.flow.warehouse.execute("select * from ops.suppression order by 1")
    again = erase_one(GONE)
    assert (again.is_new, again.erasure_id) == (False, before.erased.erasure_id)
    assert before.flow.warehouse.execute("select * from ops.suppression order by 1") == known
    assert erase_one(before.key).erasure_id == before.erased.erasure_id
    with pytest.raises(NobodyToErase, match="nobody is known as 'nobody'"):
        erase_one("nobody")


def test_the_next_run_does_not_bring_the_person_back(before: Before) -> None:
    """The source delivers everything again, and a new order; only the record of it counts."""
    shop, warehouse = before.shop, before.flow.warehouse
    shop.buy(GONE, 2)
    # the lines of an order may come before it
    new = shop.orders[-1]["number"]
    shop.tell(
        "order_lines", order_id=new, line_number="1", product_id="p", quantity="1",
        amount_cents="1000", currency="EUR", ordered_at=shop.day(2),
    )  # fmt: skip
    shop.write()
    up_to_gate(AS_OF + timedelta(days=1))
    assert holding(warehouse, before.key) == {"ops.suppression", "ops.erased_customer"}
    assert holding(warehouse, ADDRESS, GONE) == {"pii.kept_proof"}
    assert warehouse.execute(
        "select count(*) from raw.order_lines where order_id = any(%s)", ([before.order_id, new],)
    ) == [(0,)]
    n_rows = dict(
        warehouse.execute(
            "select feed, n_erased from ops.extract_run"
            " where snapshot_id = (select max(snapshot_id) from ops.extract_run)"
        )
    )
    # this file names the lines before the orders: those of the new one went with it
    assert n_rows == {
        "customers": 1, "orders": 3, "consents": 1, "order_lines": 1, "notes": 1, "referrals": 1,
    }  # fmt: skip


def test_a_new_registration_of_the_address_is_suppressed(before: Before) -> None:
    """Under another number it is another customer; the address is not written to again."""
    before.shop.add("newcomer", 300)
    before.shop.customers[-1]["email"] = ADDRESS.upper()
    before.shop.write()
    as_of = AS_OF + timedelta(days=2)
    up_to_select(as_of)
    [(reasons,)] = before.flow.warehouse.execute(
        "select reasons from ops.verdict where customer_key = %s and step = 'select'",
        (customer_key("shop", "newcomer"),),
    )
    assert reasons == ["suppressed"]


def test_what_is_planned_is_cancelled_and_every_number_of_a_person_goes(
    warehouse: Warehouse,
) -> None:
    shop = small_shop(warehouse.data, AS_OF)
    shop.add("same", 300)
    shop.customers[-1]["email"] = ADDRESS
    warehouse.configure(sources=shop.write(), dataset="shop", replay=True, max_candidates_pct=100)
    up_to_select(AS_OF)
    keys = [customer_key("shop", name) for name in (GONE, "same")]
    [(planned,)] = warehouse.execute(
        "select count(*) from ops.outreach where customer_key = any(%s)", (keys,)
    )
    # whichever arm the draw gave them
    warehouse.execute(
        "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template)"
        " select campaign_id, 'another', 1, 'email', %s, 'hash', snapshot_id, as_of, 'x'"
        " from ops.assignment limit 1",
        (keys[0],),
    )
    erased = erase_one("same")
    assert holding(warehouse, *keys) == {"ops.suppression", "ops.erased_customer"}
    assert erased.n_rows["raw.customers"] == 2
    assert warehouse.execute(
        "select state, count(*) from ops.outreach where reason = 'erased' group by state"
    ) == [("cancelled", planned + 1)]


def test_who_is_erased_during_a_build_is_taken_out_after_it(warehouse: Warehouse) -> None:
    shop = small_shop(warehouse.data, AS_OF)
    warehouse.configure(sources=shop.write(), dataset="shop", replay=True, max_candidates_pct=100)
    up_to_gate(AS_OF)
    [(begun_at,)] = warehouse.execute("select now()")
    table = "intermediate.int_customers__unscored"
    [(row,)] = warehouse.execute(
        f"select known::text from {table} as known where customer_key = %s",
        (customer_key("shop", GONE),),
    )
    erase_one(GONE)
    # the build had read the person before, and writes the table now
    warehouse.execute(f"insert into {table} select (%s::{table}).*", (row,))
    sweep_after_build(begun_at)
    assert holding(warehouse, customer_key("shop", GONE)) == {
        "ops.suppression", "ops.erased_customer",
    }  # fmt: skip
