"""What the fault tests share: planned messages, a provider that counts, how often to strike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import SandboxFactory, Warehouse, WarehouseFactory
from tests.faults.planned import Planned
from tests.held_events import hold_events
from tests.mail_flow import QUIET, serve_web_app


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long-faults", action="store_true", help="strike each fault fifty times, send 100,000"
    )


@pytest.fixture(scope="session")
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether there is time."""
    return bool(request.config.getoption("--long-faults", default=False))


@pytest.fixture(scope="session")
def n_strikes(is_long: bool) -> int:
    """How often each fault strikes."""
    return 50 if is_long else 3


def make_rules(warehouse: Warehouse) -> None:
    """What the last check asks the models, of which nobody builds any here."""
    warehouse.execute(
        "create table if not exists marts.fct_customer_rules"
        " (customer_key text, as_of date, kind text, rule text, because text)"
    )
    warehouse.execute("grant select on marts.fct_customer_rules to winback_sender")


def configure(warehouse: Warehouse, sandbox_url: str, api_key: str, web_url: str, key: str) -> None:
    """Settings under which a plan can be sent to a sandbox."""
    warehouse.configure(
        replay=True,
        sendgrid_url=sandbox_url,
        sendgrid_api_key=api_key,
        sendgrid_webhook_key=key,
        public_url=web_url,
        send_timeout_seconds=20,
        # where a worker stops is counted in requests; the load run has several at once
        send_connections=1,
        # whatever time of day the tests run
        quiet_hours="",
        sender_name="Example Shop",
        sender_email="shop@example.com",
        sender_postal_address="1 Example Street",
    )


@pytest.fixture(scope="module")
def provided(
    warehouse_factory: WarehouseFactory, sandbox_factory: SandboxFactory
) -> Iterator[Planned]:
    with (
        warehouse_factory("faults") as warehouse,
        serve_web_app() as web_url,
        hold_events(f"{web_url}/winback/webhook") as held,
        sandbox_factory(held.url, *QUIET) as sandbox,
    ):
        sandbox.held = held
        configure(warehouse, sandbox.url, sandbox.api_key, web_url, sandbox.public_key)
        make_rules(warehouse)
        yield Planned(warehouse, sandbox, web_url, 0)


@pytest.fixture
def flow(provided: Planned) -> Iterator[Planned]:
    yield provided
    provided.sandbox.wait_for_events()
    assert provided.sandbox.counts()["max_per_key"] <= 1
