"""Runs an instance: PostgreSQL, the sandbox and Airflow, started in order and ended together.

Call it from the main thread, which has to live as long as the instance: the processes die with
the thread that started them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import NoReturn

from winback.server import (
    airflow_environment,
    databases,
    instance,
    keeper,
    postgres_place,
    postgres_server,
    services,
)
from winback.server.airflow_api import AirflowApi
from winback.server.instance import Instance, Mode
from winback.server.postgres_server import PostgresServer
from winback.server.readiness import wait_until_ready
from winback.server.services import Services
from winback.settings import PROJECT


@dataclass
class Running:
    """An instance that runs, and how to reach it."""

    instance: Instance
    airflow: AirflowApi
    urls: dict[str, str]
    admin_password: str
    environment: Mapping[str, str]
    pids: dict[str, int]
    phase_seconds: dict[str, float]
    _services: Services

    def check(self) -> None:
        """Raises a `ServerError` when a service has ended."""
        self._services.check()

    def wait_for_end(self) -> NoReturn:
        """Stays until a signal or the end of a service raises."""
        while True:
            self.check()
            time.sleep(1.0)


@dataclass
class _Phases:
    """Times what happens and says so."""

    progress: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        self.progress(f"{name} …")
        yield
        self.seconds[name] = round(time.monotonic() - begin, 1)
        self.progress(f"{name} ready after {self.seconds[name]:.1f} s")


@contextmanager
def running_instance(
    mode: Mode,
    *,
    fresh: bool = False,
    extra_environment: Mapping[str, str] | None = None,
    progress: Callable[[str], None],
) -> Iterator[Running]:
    """Starts an instance, and ends it with the block.

    A service that dies meanwhile raises a `ServerError` in the main thread; TERM and HUP raise
    `SystemExit` there.

    Args:
        mode: Which instance.
        fresh: Empties it first: the demo but for its passwords, production's databases and
            sandbox.
        extra_environment: For its processes, above everything else.
        progress: Takes a line for every step.

    Raises:
        ServerError: It runs already, or something did not start; the message says what.
    """
    ours = instance.instance(mode)
    phases = _Phases(progress)
    with ExitStack() as stack:
        stack.enter_context(instance.only_one())
        clear_leftovers_of(ours)
        if fresh:
            _wipe(ours)
        ours.make_folders()
        ours.keep_environment(extra_environment or {})
        ports = stack.enter_context(instance.reserved_ports())
        urls = airflow_environment.urls(ports)
        environment = airflow_environment.child_environment(ours, ports, extra_environment)
        stack.callback(instance.forget)
        instance.tell(mode, ports, urls)
        running = stack.enter_context(services.watched(ours.home, environment, ours.logs))
        started = datetime.now(UTC)

        with phases.phase("PostgreSQL"):
            postgres = start_postgres(ours, ports["postgres"])
            running.add("postgres", postgres.process, postgres.log_file)
        secrets = ours.secrets()
        api = AirflowApi(urls["airflow"], airflow_environment.ADMIN, secrets["admin_password"])
        stack.callback(api.close)
        with phases.phase("databases"):
            made = databases.create(
                postgres.url(), airflow_environment.OWNER, secrets["owner_password"]
            )
            airflow_environment.write_airflow_files(ours)
            warehouse = running.begin("warehouse", "-m", databases.__name__)
            _migrate_airflow(ours, running, is_new=databases.AIRFLOW in made)
        with phases.phase("Airflow"):
            running.start("api-server", "-m", "airflow", "api-server")
            running.start("dag-processor", "-m", "airflow", "dag-processor")
            if airflow_environment.uses_sandbox(mode):
                _start_sandbox(ours, running, ports["sandbox"], urls["airflow"])
            running.finish("warehouse", warehouse)
            # from here on DAGs may run, and they need the warehouse
            running.start("scheduler", "-m", "winback.server.scheduler")
            wait_until_ready(api, PROJECT / "dags", started, running.check)
        instance.tell(mode, ports, urls, running.pids())
        yield Running(
            ours,
            api,
            urls,
            secrets["admin_password"],
            running.environment,
            running.pids(),
            phases.seconds,
            running,
        )


def start_postgres(ours: Instance, port: int) -> PostgresServer:
    """Starts the instance's PostgreSQL alone; call `stop` on it."""
    ours.make_home()
    return postgres_server.start(
        ours.postgres,
        port,
        ours.secrets()["postgres_password"],
        log_file=ours.logs / "postgres.log",
    )


def clear_leftovers_of(ours: Instance) -> bool:
    """Ends what a killed supervisor left behind; True when there was anything."""
    found = keeper.sweep_home(ours.home)
    if ours.was_set_up:
        found = postgres_server.stop_orphan(ours.postgres) or found
    return found


def _wipe(ours: Instance) -> None:
    postgres_place.wipe(ours.postgres)
    if ours.mode == "production":
        doomed = [ours.airflow, ours.sandbox]
    else:
        kept = ours.home / "secrets.json"
        doomed = [path for path in ours.home.glob("*") if path != kept]
    for path in doomed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _migrate_airflow(ours: Instance, running: Services, *, is_new: bool) -> None:
    stamp = ours.airflow / "migrated"
    current = version("apache-airflow")
    if not is_new and stamp.exists() and stamp.read_text(encoding="utf-8") == current:
        return
    running.finish("migration", running.begin("migration", "-m", "airflow", "db", "migrate"))
    stamp.write_text(current, encoding="utf-8")


def _start_sandbox(ours: Instance, running: Services, port: int, airflow_url: str) -> None:
    secrets = ours.secrets()
    private_key, api_key = ours.sandbox / "signing-key.pem", ours.sandbox / "api-key"
    instance.write_private(private_key, secrets["sandbox_signing_key"])
    instance.write_private(api_key, secrets["sandbox_api_key"])
    running.start(
        "sandbox",
        *("-m", "winback.sandbox", "--port", str(port), "--data", str(ours.sandbox)),
        *("--private-key", str(private_key), "--api-key-file", str(api_key)),
        *("--webhook-url", f"{airflow_url}/winback/webhook"),
    )
