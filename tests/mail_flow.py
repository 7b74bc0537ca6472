"""A small shop up to the gates, with the mail sandbox and our own web app, for tests of sending.

The expensive part (extraction, models, gates) is made once per module; `restart` brings ledger,
events and suppressions back to just before the selection.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import uvicorn
from fastapi import FastAPI

from tests.conftest import Sandbox, SandboxFactory, Warehouse, WarehouseFactory
from tests.flow import up_to_gate
from tests.held_events import hold_events
from tests.small_shop import SmallShop, small_shop
from winback import operators
from winback.outreach.dispatch import outreach
from winback.sandbox.signing import Signer
from winback.select.selection import Selected, select
from winback.settings import settings

CAMPAIGN = "welcome_back"
AS_OF = date(2026, 3, 1)
QUIET = (
    "--bounce-pct=0", "--spamreport-pct=0", "--deferred-pct=0", "--dropped-pct=0",
    "--unsubscribe-pct=0",
)  # fmt: skip
STATE_TABLES = (
    "ops.outreach_decision, ops.outreach, ops.scheduled_batch, ops.event, ops.suppression,"
    " ops.verdict, ops.assignment, ops.campaign, ops.delivery_tally, ops.ramp_up_day,"
    " pii.webhook_inbox"
)


@dataclass
class MailFlow:
    """What a test of sending needs; `snapshot_id` has passed its gates."""

    warehouse: Warehouse
    sandbox: Sandbox
    web_url: str
    snapshot_id: int

    def restart(self) -> Selected:
        """Forgets all that was selected, sent and told, heals the sources, and selects."""
        httpx.delete(f"{self.sandbox.url}/sandbox/faults", trust_env=False).raise_for_status()
        if self.sandbox.held is not None:
            self.sandbox.held.batches.clear()
        self.warehouse.execute(f"truncate {STATE_TABLES} restart identity")
        self.warehouse.execute("delete from raw.orders where order_id like 'test-%'")
        self.warehouse.execute("delete from raw.contracts")
        self.warehouse.execute("update raw.consents set withdrawn_at = null")
        self.warehouse.execute("update raw.customers set objected_at = null")
        self.warehouse.execute(
            "update ops.snapshot set as_of = %s where snapshot_id = %s", (AS_OF, self.snapshot_id)
        )
        [selected] = select(self.snapshot_id, AS_OF)
        return selected

    def cancelled(self, customer_key: str, **contract: object) -> None:
        """Makes a cancellation 90 days ago the occasion, and tells of a contract."""
        self.warehouse.execute(
            "update ops.assignment set occasion = 'cancellation', occasion_date = %s"
            " where customer_key = %s",
            (AS_OF - timedelta(days=90), customer_key),
        )
        told = {"contract_id": customer_key, "customer_key": customer_key, "snapshot_id": 1}
        told |= {"started_at": AS_OF - timedelta(days=900)} | contract
        names, marks = ", ".join(told), ", ".join(["%s"] * len(told))
        self.warehouse.execute(
            f"insert into raw.contracts ({names}) values ({marks})", tuple(told.values())
        )

    def states(self) -> Counter[str]:
        """How many messages are in each state."""
        rows = self.warehouse.execute("select state, count(*) from ops.outreach group by state")
        return Counter(dict(rows))

    def reasons(self) -> Counter[str | None]:
        """How many messages have each reason."""
        rows = self.warehouse.execute("select reason, count(*) from ops.outreach group by reason")
        return Counter(dict(rows))

    def message(self, where: str = "true") -> tuple[Any, str, str]:
        """Id, customer and address hash of the first message that fits."""
        rows = self.warehouse.execute(
            "select message_id, customer_key, address_hash from ops.outreach"
            f" where {where} order by message_id limit 1"
        )
        assert rows, f"no message is {where}"
        return rows[0]

    def inbox(self) -> list[tuple[Any, ...]]:
        """Per batch: events, problem, whether its body is wiped, whether it is done."""
        return self.warehouse.execute(
            "select n_events, problem, body is null, processed_at is not null"
            " from pii.webhook_inbox order by inbox_id"
        )

    def end_leases(self) -> None:
        """Lets the time pass after which a silent worker counts as gone."""
        self.warehouse.execute(
            "update ops.outreach set lease_until = now() - interval '1 second'"
            " where lease_until is not null"
        )

    def post(self, body: bytes | Sequence[dict[str, Any]], age: int = 0) -> int:
        """Posts a batch to the webhook, signed as the provider does; gives the status."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        signer = Signer((self.sandbox.data / "key.pem").read_bytes())
        headers = {
            "Content-Type": "application/json",
            **signer.headers(int(time.time()) - age, body),
        }
        answer = httpx.post(
            f"{self.web_url}/winback/webhook", content=body, headers=headers, trust_env=False
        )
        return answer.status_code


@contextmanager
def mail_flow(
    warehouse_factory: WarehouseFactory,
    sandbox_factory: SandboxFactory,
    *flags: str,
    shop: SmallShop | None = None,
    **more_settings: object,
) -> Iterator[MailFlow]:
    """Builds it all; half of the lapsed have a first name and half of them read English."""
    with (
        warehouse_factory("mail") as warehouse,
        serve_web_app() as web_url,
        hold_events(f"{web_url}/winback/webhook") as held,
        sandbox_factory(held.url, *(flags or QUIET)) as sandbox,
    ):
        sandbox.held = held
        if shop is None:
            shop = small_shop(warehouse.data, AS_OF)
            for n, customer in enumerate(shop.customers):
                customer["first_name"] = f"Given{n}" if n % 2 else ""
                customer["locale"] = "en_GB" if n % 4 < 2 else "de_DE"
        shop.folder = warehouse.data
        warehouse.configure(
            sources=shop.write(),
            dataset="shop",
            replay=True,
            max_candidates_pct=100,
            sendgrid_url=sandbox.url,
            sendgrid_api_key=sandbox.api_key,
            sendgrid_webhook_key=sandbox.public_key,
            public_url=web_url,
            send_timeout_seconds=20,
            # so that tests can count requests; several at once: test_outreach_connections.py
            send_connections=1,
            # whatever time of day the tests run
            quiet_hours="",
            sender_name="Example Shop",
            sender_email="shop@example.com",
            sender_postal_address="1 Example Street",
            **more_settings,
        )
        yield MailFlow(warehouse, sandbox, web_url, up_to_gate(AS_OF))


@contextmanager
def serve_web_app() -> Iterator[str]:
    """Runs our web app below /winback, as Airflow mounts it; gives its address."""
    from winback.web.app import create_app

    root = FastAPI()
    root.mount("/winback", create_app())
    server = uvicorn.Server(
        uvicorn.Config(root, host="127.0.0.1", port=0, log_level="info", access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started:
            assert thread.is_alive() and time.monotonic() < deadline, "the web app did not start"
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def event(word: str, message_id: Any, **more: Any) -> dict[str, Any]:
    """An event as the provider tells it."""
    return {
        "event": word,
        "email": "somebody@example.com",
        "timestamp": int(time.time()),
        "sg_event_id": uuid4().hex,
        "message_id": str(message_id),
        **more,
    }


def configure(flow: MailFlow, monkeypatch: Any, **values: object) -> None:
    """Sets settings for one test alone."""
    for name, value in values.items():
        monkeypatch.setenv(f"WINBACK_{name.upper()}", str(value))
    settings.cache_clear()


@contextmanager
def written_through(flow: MailFlow) -> Iterator[None]:
    """Lets the tests' server write through to the disk, as one that real mail is sent beside."""
    with psycopg.connect(flow.warehouse.server_url("postgres"), autocommit=True) as server:

        def set_it(value: str) -> None:
            server.execute(f"alter system set fsync = {value}".encode())
            server.execute("select pg_reload_conf()")
            deadline = time.monotonic() + 30
            while flow.warehouse.execute("show fsync") != [(value,)]:
                assert time.monotonic() < deadline
                time.sleep(0.02)

        set_it("on")
        try:
            yield
        finally:
            set_it("off")


def register_of_a_relay(folder: Path) -> Path:
    """A register of recipients whose mail provider is this machine."""
    register = folder / "recipients.yaml"
    register.write_text(
        "recipients: [{name: relay, host: 127.0.0.1, role: processor, contract: folder 12,"
        " contract_on: 2026-01-15, region: EU, ground_of_transfer: none needed}]"
    )
    return register


def send(flow: MailFlow) -> dict[str, int]:
    """Sends what is planned; how many messages took which way."""
    return dict(outreach(flow.snapshot_id, AS_OF)[CAMPAIGN])


def run_task_outreach(flow: MailFlow) -> None:
    """Sends what is planned as the task of the DAG does."""
    operators.outreach.function(
        [{"snapshot_id": flow.snapshot_id, "as_of": AS_OF.isoformat(), "purpose": "live"}],
        outlet_events={operators.OUTREACH: SimpleNamespace()},
        dag_run=dag_run(),
    )


def dag_run() -> SimpleNamespace:
    """A run that begins now."""
    return SimpleNamespace(start_date=datetime.now(UTC))


def n_planned(flow: MailFlow) -> int:
    """How many messages are planned."""
    return flow.states()["planned"]


def send_unanswered(flow: MailFlow) -> int:
    """Sends all; how many were accepted. What the sandbox tells about them is left aside."""
    n = outreach(flow.snapshot_id, AS_OF)[CAMPAIGN]["accepted"]
    flow.sandbox.wait_for_events()
    flow.warehouse.execute("truncate pii.webhook_inbox")
    flow.warehouse.execute("delete from ops.suppression")
    return int(n)
