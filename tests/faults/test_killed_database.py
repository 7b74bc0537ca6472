"""PostgreSQL killed in the midst of sending, and started again: what was committed stands."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.conftest import OWNER, TEMPLATE, SandboxFactory, Warehouse, _make_template
from tests.faults.conftest import configure, make_rules
from tests.faults.planned import Planned, worker
from tests.held_events import hold_events
from tests.mail_flow import QUIET, send, serve_web_app
from winback.record.events import record
from winback.server import postgres_server as postgres
from winback.server.postgres_server import PostgresServer

pytestmark = pytest.mark.timeout(1800)
BATCH = 2
# step: what the batch at hand is after the restart, whether it goes to the provider, whether it is
# unknown in the end
STEPS = {
    "before_claim": ("planned", False),
    "after_claim": ("claimed", False),
    "before_dispatch_commit": ("claimed", False),
    # the worker sends without asking the database again
    "after_dispatch_commit": ("dispatching", True),
    "after_response": ("dispatching", True),
    "before_outcome_commit": ("dispatching", True),
    "after_outcome_commit": ("accepted", True),
}


@dataclass
class OwnServer:
    """A server of this module's own, on one port, durable."""

    folder: Path
    server: PostgresServer

    def strike(self, signum: int) -> None:
        """Ends it at once: SIGKILL, or SIGQUIT, PostgreSQL's own immediate shutdown."""
        backends = psutil.Process(self.server.process.pid).children(recursive=True)
        assert backends
        self.server.process.send_signal(signum)
        code = self.server.process.wait(30)
        # on SIGQUIT the postmaster still says good-bye by itself
        assert code == (-signal.SIGKILL if signum == signal.SIGKILL else 0)
        # each notices by itself, and until then would still commit what it is told
        assert psutil.wait_procs(backends, timeout=30)[1] == []

    def alter_system(self, *changes: str) -> None:
        """Changes settings for every session that begins from now on."""
        before = self._settings_read_at()
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            for change in changes:
                connection.execute(f"alter system {change}".encode())
            connection.execute("select pg_reload_conf()")
        deadline = time.monotonic() + 30
        while self._settings_read_at() == before:
            assert time.monotonic() < deadline, "the server does not read its settings"
            time.sleep(0.02)

    def _settings_read_at(self) -> object:
        with psycopg.connect(self.server.url()) as connection:
            return connection.execute("select pg_conf_load_time()").fetchone()

    def start_again(self) -> None:
        """Starts it on the same data and port; it recovers by itself."""
        self.server = postgres.start(self.folder, port=self.server.port)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    folder = tmp_path_factory.mktemp("killed") / "cluster"
    made = OwnServer(folder, postgres.start(folder, port=0))
    try:
        _make_template(made.server)
        yield made
    finally:
        made.server.remove()


@pytest.fixture
def flow(
    own: OwnServer, sandbox_factory: SandboxFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Planned]:
    with planned_on(own.server, sandbox_factory, tmp_path, monkeypatch) as flow:
        yield flow


@contextmanager
def planned_on(
    server: PostgresServer,
    sandbox_factory: SandboxFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Planned]:
    """What a worker needs, with the warehouse on a server of the test's own."""
    url = server.url(TEMPLATE, OWNER, OWNER)
    monkeypatch.setenv("AIRFLOW_CONN_WINBACK_WAREHOUSE", url)
    warehouse = Warehouse(url, server.url, tmp_path / "data", monkeypatch)
    warehouse.configure(
        key="test key", home=tmp_path, data=warehouse.data, business_timezone="UTC",
        send_batch_size=BATCH,
    )  # fmt: skip
    with (
        serve_web_app() as web_url,
        hold_events(f"{web_url}/winback/webhook") as held,
        sandbox_factory(held.url, *QUIET) as sandbox,
    ):
        sandbox.held = held
        configure(warehouse, sandbox.url, sandbox.api_key, web_url, sandbox.public_key)
        make_rules(warehouse)
        yield Planned(warehouse, sandbox, web_url, 0)


@pytest.mark.parametrize("step", STEPS)
def test_the_database_dies_at_a_step(
    flow: Planned, own: OwnServer, step: str, is_long: bool
) -> None:
    for signum in [signal.SIGKILL, signal.SIGQUIT] * 5 if is_long else [signal.SIGKILL]:
        strike(flow, step, partial(own.strike, signum), own.start_again)


def test_the_database_is_shut_down_at_once(flow: Planned, own: OwnServer) -> None:
    strike(flow, "after_response", partial(own.strike, signal.SIGQUIT), own.start_again)


def test_a_server_set_to_commit_without_waiting_forgets_nothing_either(
    flow: Planned, own: OwnServer
) -> None:
    values = {"synchronous_commit": "off", "wal_writer_delay": "10s"}
    own.alter_system(*(f"set {name} = '{value}'" for name, value in values.items()))
    assert flow.warehouse.execute("show synchronous_commit") == [("off",)]
    try:
        strike(flow, "after_response", partial(own.strike, signal.SIGKILL), own.start_again)
    finally:
        own.alter_system("reset wal_writer_delay", "set synchronous_commit = 'on'")


def strike(
    flow: Planned, step: str, end_it: Callable[[], None], start_again: Callable[[], None]
) -> None:
    """Ends the database while a worker stands at a step; nothing may be lost or doubled."""
    state, is_sent = STEPS[step]
    n = 10
    flow.plan(n)
    before = flow.sandbox.counts()["accepted"]
    with worker(flow, f"--stop-at={step}", "--hit=2") as victim:
        victim.wait_until_it_stops()
        end_it()
        victim.go_on()
        # it can neither go on nor make anything worse
        assert victim.process.wait(60) == 1
    start_again()
    states = flow.states()
    assert states["accepted"] == (2 * BATCH if state == "accepted" else BATCH)
    if state != "accepted":
        assert states[state] >= BATCH
    assert flow.sandbox.counts()["accepted"] - before == BATCH + (BATCH if is_sent else 0)
    flow.end_leases()
    send(flow)
    n_unknown = BATCH if state == "dispatching" else 0
    assert flow.states()["accepted"] == n - n_unknown
    assert flow.states()["unknown"] == n_unknown
    assert send(flow) == {}
    flow.check_nothing_is_lost_or_doubled(n)
    flow.sandbox.wait_for_events()
    record()
    assert flow.states() == {"delivered": n}
    flow.check_nothing_is_lost_or_doubled(n)
