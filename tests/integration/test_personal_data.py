"""Canaries: names and addresses go through the whole flow and turn up nowhere but in `pii`."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.conftest import SandboxFactory, Warehouse, WarehouseFactory
from tests.mail_flow import AS_OF, MailFlow, mail_flow
from tests.small_shop import small_shop
from winback.outreach.dispatch import outreach
from winback.outreach.lists import write_list
from winback.record.events import record
from winback.record.unsubscribe import token

CANARY = "zyxcanary"
# where names and addresses belong: the source files, and the lists for marketing
ALLOWED = {"data", "lists"}


@dataclass
class Ran:
    """What the flow left behind."""

    flow: MailFlow
    home: Path
    list_file: Path
    logged: list[str] = field(default_factory=list)


class _Keep(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self.lines = lines
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(scope="module")
def ran(warehouse_factory: WarehouseFactory, sandbox_factory: SandboxFactory) -> Iterator[Ran]:
    shop = small_shop(Path(), AS_OF)
    for n, customer in enumerate(shop.customers):
        customer["email"] = f"{CANARY}{n}@example.com"
        customer["first_name"] = CANARY.title()
    broken = {"id": "x", "email": f"{CANARY} at home", "first_name": CANARY, "locale": "de_DE"}
    shop.customers.append({**broken, "registered": "2020-01-01"})
    shop.customers.append({**broken, "id": "y", "registered": "not a day"})
    # Airflow sets up logging when it is imported, and would throw our handler out
    importlib.import_module("winback.web.app")
    logged: list[str] = []
    handler, root = _Keep(logged), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    library = logging.getLogger("python_http_client.client")
    try:
        with mail_flow(
            warehouse_factory, sandbox_factory, "--bounce-pct=50", shop=shop, max_quarantined_pct=50
        ) as flow:
            flow.restart()
            # somebody looks for an error and turns the library's log on
            library.setLevel(logging.DEBUG)
            flow.sandbox.fault("bad_recipient_400", requests=2)
            assert outreach(flow.snapshot_id, AS_OF)["welcome_back"]["accepted"] > 0
            flow.sandbox.wait_for_events()
            message_id, *_ = flow.message("state = 'accepted'")
            _tell(flow, message_id)
            assert record()["bounced"] > 0
            home = flow.warehouse.data.parent
            path, n_people = write_list(home / "lists", "welcome_back", AS_OF)
            assert n_people > 0
            yield Ran(flow, home, path, logged)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _tell(flow: MailFlow, message_id: object) -> None:
    """Events that quote the address wherever a provider can."""
    address = f"{CANARY}0@example.com"
    told = {
        "email": address,
        "timestamp": int(time.time()),
        "message_id": str(message_id),
        "reason": f"550 {address}: unknown",
        "response": address,
    }
    bounce = {**told, "event": "bounce", "status": f"5.1.1 {address}", "sg_event_id": uuid4().hex}
    strange = {**told, "event": f"told {address}", "sg_event_id": address}
    lost = {**told, "event": "spamreport", "sg_event_id": uuid4().hex, "message_id": address}
    assert flow.post([bounce, strange, lost, {**told, "event": CANARY + "@"}]) == 204
    assert flow.post(f"no JSON: {address}".encode()) == 204
    url = f"{flow.web_url}/winback/unsubscribe/"
    assert httpx.post(url + token(message_id), trust_env=False).status_code == 200  # type: ignore[arg-type]
    httpx.post(url + address, trust_env=False)


def _holding_tables(warehouse: Warehouse) -> set[str]:
    tables = warehouse.execute(
        "select format('%%I.%%I', n.nspname, c.relname) from pg_class as c"
        " join pg_namespace as n on n.oid = c.relnamespace"
        " where c.relkind in ('r', 'v', 'm', 'p') and n.nspname !~ '^(pg_|information_schema)'",
        (),
    )
    assert len(tables) > 30
    return {
        table
        for (table,) in tables
        if warehouse.execute(f"select 1 from {table} as t where t::text ilike %s", (f"%{CANARY}%",))
    }


def test_no_table_outside_pii_holds_a_name_or_an_address(ran: Ran) -> None:
    assert _holding_tables(ran.flow.warehouse) == {"pii.customers"}
    # the batch that could not be read is kept as bytes, in pii as well
    assert ran.flow.warehouse.execute(
        "select count(*) from pii.webhook_inbox where position(%s::bytea in body) > 0",
        (CANARY.encode(),),
    ) == [(1,)]
    assert ran.flow.warehouse.execute("select count(*) from quarantine.rejected_row") == [(2,)]
    assert ran.flow.warehouse.execute("select count(*) from ops.event where kind = 'other'") == [
        (2,)
    ]


def test_no_file_but_the_lists_holds_a_name_or_an_address(ran: Ran) -> None:
    files = [path for path in ran.home.rglob("*") if path.is_file()]
    # dbt's artifacts are among them
    assert any(path.name == "run_results.json" for path in files)
    holding = {
        path.relative_to(ran.home).parts[0]
        for path in files
        if CANARY in path.read_bytes().decode("utf-8", "replace").lower()
    }
    assert holding == ALLOWED
    assert CANARY in ran.list_file.read_text(encoding="utf-8")


def test_no_log_holds_a_name_or_an_address_or_the_key(ran: Ran) -> None:
    assert any("winback.outreach" in line for line in ran.logged)
    assert any("winback.record" in line for line in ran.logged)
    assert ran.flow.sandbox.counts()["faults_met"] == 2
    # what the test itself and the sandbox's own post in their part of the process is not ours
    ours = [line for line in ran.logged if not line.startswith(("httpx ", "httpcore"))]
    assert [line for line in ours if CANARY in line.lower()] == []
    assert [line for line in ours if ran.flow.sandbox.api_key in line] == []
