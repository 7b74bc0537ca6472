"""What every test may use: a real PostgreSQL server with warehouses, the mail sandbox, and CDNOW.

A test that needs a warehouse asks for `warehouse`; a module whose tests share an expensive build
makes a fixture of its own with `warehouse_factory`; `sandbox_factory` starts the stand-in for the
mail provider as the process it is in the demo. The developer's own settings never reach a
test: the environment is cleared of them before anything of Airflow or winback is imported.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

PROJECT = Path(__file__).resolve().parents[1]
# PG* and DBT_* would redirect libpq and dbt to a database that is none of the tests'
FOREIGN = ("WINBACK_", "AIRFLOW_", "PG", "DBT_")


def _isolate_environment() -> None:
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            del os.environ[name]
    airflow_home = tempfile.mkdtemp(prefix="winback-airflow-")
    atexit.register(shutil.rmtree, airflow_home, ignore_errors=True)
    os.environ.update(
        AIRFLOW_HOME=airflow_home,
        AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT / "plugins"),
        AIRFLOW__CORE__LOAD_EXAMPLES="false",
        AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="false",
        DBT_SEND_ANONYMOUS_USAGE_STATS="false",
        GX_ANALYTICS_ENABLED="false",
        # for the processes that tests start; pytest itself has it from pyproject.toml
        PYTHONPATH=str(PROJECT / "plugins"),
        # a proxy of the developer's must not come between a test and this machine
        NO_PROXY="127.0.0.1,localhost",
        no_proxy="127.0.0.1,localhost",
    )


_isolate_environment()

import httpx  # noqa: E402 - only once the environment is clean
import psycopg  # noqa: E402
from psycopg import sql  # noqa: E402

from tests.held_events import HeldEvents  # noqa: E402
from tests.live import LiveInstance  # noqa: E402
from tests.live import start as start_live_instance  # noqa: E402
from winback.demo import cdnow  # noqa: E402
from winback.errors import SourceError  # noqa: E402
from winback.sandbox.signing import Signer, new_private_key  # noqa: E402
from winback.server import postgres_server as postgres  # noqa: E402
from winback.server import processes  # noqa: E402
from winback.settings import PREFIX, settings  # noqa: E402
from winback.warehouse import setup  # noqa: E402

OWNER = "winback_owner"
TEMPLATE = "winback_template"


def _own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(FOREIGN)}


@pytest.fixture(autouse=True)
def environment_left_as_found() -> Iterator[None]:
    """A name that a test leaves behind leads those after it to a warehouse that is gone."""
    before = _own_environment()
    yield
    assert _own_environment() == before


@dataclass
class Warehouse:
    """A prepared, empty warehouse that the settings of this process point to.

    Attributes:
        url: Address of the database, logged in as its owner.
        server_url: Gives the address of any database of the same server, as superuser.
        data: The folder `{data}` of the sources file.
    """

    url: str
    server_url: Callable[[str], str]
    data: Path
    _environment: pytest.MonkeyPatch = field(repr=False)

    def execute(self, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
        """Runs one statement as the owner, commits, and returns its rows if it has any."""
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def configured(self, **values: object) -> Iterator[None]:
        """Sets settings within the block alone, for warehouses that outlive a test."""
        with pytest.MonkeyPatch.context() as environment:
            for name, value in values.items():
                environment.setenv(f"{PREFIX}{name.upper()}", str(value))
            settings.cache_clear()
            yield
        settings.cache_clear()

    def configure(self, **values: object) -> None:
        """Sets settings by name, e.g. `configure(replay=True)`, until the warehouse is dropped."""
        for name, value in values.items():
            self._environment.setenv(f"{PREFIX}{name.upper()}", str(value))
        settings.cache_clear()


@dataclass
class Sandbox:
    """A running sandbox; `process` may be killed and `start` called again on the same journal."""

    port: int
    data: Path
    webhook_url: str
    flags: tuple[str, ...]
    api_key: str = "SG.test"
    process: subprocess.Popen[bytes] | None = None
    held: HeldEvents | None = None

    @property
    def url(self) -> str:
        """What a sender calls the host of the mail API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def public_key(self) -> str:
        """The key that verifies the signed events, as the setting `sendgrid_webhook_key`."""
        return Signer((self.data / "key.pem").read_bytes()).public_key()

    def start(self) -> None:
        """Starts the process and waits until it answers."""
        self.data.mkdir(parents=True, exist_ok=True)
        if not (self.data / "key.pem").exists():
            (self.data / "key.pem").write_bytes(new_private_key())
            (self.data / "api_key").write_text(self.api_key)
        command = [sys.executable, "-m", "winback.sandbox", f"--port={self.port}"]
        command += [f"--private-key={self.data}/key.pem", f"--api-key-file={self.data}/api_key"]
        command += [f"--data={self.data}", f"--webhook-url={self.webhook_url}", *self.flags]
        self.process = subprocess.Popen(command, stderr=(self.data / "log").open("ab"))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/health", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the sandbox did not start: {(self.data / 'log').read_text()}")

    def stop(self) -> None:
        """Ends the process and waits for its end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

    def counts(self) -> dict[str, int]:
        """What the sandbox counted so far."""
        counted: dict[str, int] = httpx.get(f"{self.url}/sandbox/counts", trust_env=False).json()
        return counted

    def wait_for_events(self, seconds: float = 30) -> dict[str, int]:
        """Waits until every accepted message has its events, and delivers those that are held;
        gives the counts."""
        deadline = time.monotonic() + seconds
        while (counted := self.counts())["events_pending"]:
            assert time.monotonic() < deadline, f"events still pending: {counted}"
            time.sleep(0.05)
        if self.held is not None:
            self.held.deliver()
        return counted

    def fault(self, mode: str, **details: object) -> None:
        """Switches a fault on, for one request unless `requests` says otherwise."""
        fault = {"mode": mode, **details}
        httpx.post(f"{self.url}/sandbox/faults", json=fault, trust_env=False).raise_for_status()


SandboxFactory = Callable[..., AbstractContextManager[Sandbox]]
WarehouseFactory = Callable[[str], AbstractContextManager[Warehouse]]


@pytest.fixture(scope="session")
def postgres_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[postgres.PostgresServer]:
    """A PostgreSQL server for this test session, gone with its data at the end."""
    server = postgres.start(tmp_path_factory.mktemp("postgres") / "cluster", port=0, durable=False)
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def warehouse_factory(
    postgres_server: postgres.PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> WarehouseFactory:
    """Makes warehouses of any lifetime: `with warehouse_factory("built") as warehouse: …`.

    Inside the block the connection `winback_warehouse` and the settings point to it.
    """
    _make_template(postgres_server)

    @contextmanager
    def make(name: str) -> Iterator[Warehouse]:
        database = f"{name}_{uuid4().hex[:12]}"
        home = tmp_path_factory.mktemp(name)
        _clone_template(postgres_server, database)
        url = postgres_server.url(database, OWNER, OWNER)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("AIRFLOW_CONN_WINBACK_WAREHOUSE", url)
            warehouse = Warehouse(url, postgres_server.url, home / "data", environment)
            warehouse.configure(
                key="test key", home=home, data=warehouse.data, business_timezone="UTC"
            )
            try:
                yield warehouse
            finally:
                _as_superuser(postgres_server, "drop database {} with (force)", database)
        settings.cache_clear()

    return make


@pytest.fixture
def warehouse(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    """A warehouse for one test: prepared, empty, dropped afterwards."""
    with warehouse_factory("test") as made:
        yield made


@pytest.fixture(scope="session")
def sandbox_factory(tmp_path_factory: pytest.TempPathFactory) -> SandboxFactory:
    """Starts sandboxes: `with sandbox_factory(webhook_url, "--bounce-pct=100") as sandbox: …`."""

    @contextmanager
    def run(webhook_url: str, *flags: str) -> Iterator[Sandbox]:
        data = tmp_path_factory.mktemp("sandbox")
        sandbox = Sandbox(processes.free_port(), data, webhook_url, flags)
        try:
            sandbox.start()
            yield sandbox
        finally:
            sandbox.stop()

    return run


@pytest.fixture(scope="session")
def cdnow_data() -> Path:
    """The folder with the real CDNOW file and the made-up consents beside it.

    It is called `cdnow`, so that its parent does as the setting `data`.
    """
    folder = PROJECT / ".winback" / "data" / "cdnow"
    try:
        cdnow.provide(folder)
    except SourceError as error:
        pytest.skip(f"no CDNOW data: {error}")
    return folder


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveInstance]:
    """A whole winback with scheduler and web server on the small shop, once per session."""
    home = tmp_path_factory.mktemp("live")
    try:
        yield start_live_instance(home)
    finally:
        command = [sys.executable, "-m", "winback", "down"]
        environment = os.environ | {"WINBACK_HOME": str(home)}
        subprocess.run(command, env=environment, capture_output=True, check=False)


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    # a test that sets WINBACK_* by hand must not meet the settings of the test before it
    settings.cache_clear()
    yield
    settings.cache_clear()


def _make_template(server: postgres.PostgresServer) -> None:
    _as_superuser(server, f"create role {{}} login createrole password '{OWNER}'", OWNER)
    _as_superuser(server, "create database {} owner {}", TEMPLATE, OWNER)
    setup.prepare(server.url(TEMPLATE, OWNER, OWNER))


def _clone_template(server: postgres.PostgresServer, database: str) -> None:
    _as_superuser(server, "create database {} template {} owner {}", database, TEMPLATE, OWNER)
    # grants on the database itself are the one thing that a clone does not inherit
    _as_superuser(server, "grant create on database {} to {}", database, "winback_transformer")


def _as_superuser(server: postgres.PostgresServer, statement: str, *names: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL(statement).format(*map(sql.Identifier, names))  # type: ignore[arg-type]
        )
