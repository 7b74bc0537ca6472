"""A whole winback as its user runs it: `./winback up` on the small shop, in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests.small_shop import SmallShop, small_shop
from winback.server.airflow_api import AirflowApi

CHAIN = ("winback_ingest", "winback_model", "winback_outreach")
SECONDS = 240.0


@dataclass
class LiveInstance:
    """A running winback; its as-of date is today, as in production."""

    home: Path
    shop: SmallShop
    environment: dict[str, str]

    def winback(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of the CLI."""
        command = [sys.executable, "-m", "winback", *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )

    @cached_property
    def secrets(self) -> dict[str, str]:
        """The instance's passwords."""
        return dict(json.loads((self.home / "secrets.json").read_text()))

    @cached_property
    def state(self) -> dict[str, Any]:
        """Ports and addresses."""
        return dict(json.loads((self.home / "run" / "state.json").read_text()))

    @cached_property
    def api(self) -> AirflowApi:
        """Airflow's REST API, logged in."""
        return AirflowApi(self.state["urls"]["airflow"], "admin", self.secrets["admin_password"])

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query, as the warehouse's owner."""
        with self._as_owner() as connection:
            return connection.execute(statement.encode()).fetchall()

    def forget_messages(self) -> None:
        """Empties the ledger, so that the next selection plans for the same people again."""
        with self._as_owner() as connection:
            connection.execute("truncate ops.outreach cascade")

    def fault(self, mode: str, **details: object) -> None:
        """Switches a fault of the sandbox on."""
        fault = {"mode": mode, **details}
        url = f"{self.state['urls']['sandbox']}/sandbox/faults"
        httpx.post(url, json=fault, trust_env=False).raise_for_status()

    def sandbox_counts(self) -> dict[str, int]:
        """What the mail sandbox counted so far."""
        url = f"{self.state['urls']['sandbox']}/sandbox/counts"
        return dict(httpx.get(url, trust_env=False).json())

    def wait_for_events(self) -> None:
        """Waits until the sandbox has told the webhook about every message."""
        deadline = time.monotonic() + 60
        while self.sandbox_counts()["events_pending"]:
            assert time.monotonic() < deadline, self.sandbox_counts()
            time.sleep(0.1)

    def runs(self) -> dict[str, set[str]]:
        """The ids of all runs so far, by DAG."""
        return {dag: {run["dag_run_id"] for run in self.api.runs(dag)} for dag in CHAIN}

    def follow(self, run_id: str, known: dict[str, set[str]]) -> dict[str, str]:
        """Waits for an ingest run and the runs that its assets start; gives their ids."""
        assert self.api.wait(CHAIN[0], run_id, SECONDS)["state"] == "success"
        ids = {CHAIN[0]: run_id}
        for dag in CHAIN[1:]:
            ids[dag] = self.api.wait_for_new_run(dag, known[dag])["dag_run_id"]
            assert self.api.wait(dag, ids[dag], SECONDS)["state"] == "success", dag
        return ids

    def _as_owner(self) -> psycopg.Connection:
        password, port = self.secrets["owner_password"], self.state["ports"]["postgres"]
        return psycopg.connect(f"postgresql://winback_owner:{password}@127.0.0.1:{port}/winback")


def start(home: Path) -> LiveInstance:
    """Starts it and waits for the run of today, which a new Airflow makes up for by itself."""
    today: date = datetime.now(UTC).date()
    shop = small_shop(home / "data", today)
    # so that yesterday's orders would have been fresh as well
    shop.buy("active-00", 3)
    settings = {
        # whatever time of day the tests run
        "QUIET_HOURS": "",
        "HOME": home,
        "SOURCES": shop.write(),
        "DATASET": "shop",
        "BUSINESS_TIMEZONE": "UTC",
        "SCHEDULE_INGEST": "0 0 * * *",
        "SCHEDULE_OUTREACH": "none",
        "SCHEDULE_EVENTS": "none",
        "SCHEDULE_KPI": "none",
        "SCHEDULE_TRAINING": "none",
        # several requests even for a few people, and a claim that ends while a test waits
        "SEND_BATCH_SIZE": 4,
        "SEND_LEASE_SECONDS": 40,
    }
    environment = os.environ | {f"WINBACK_{name}": str(value) for name, value in settings.items()}
    # an installation may have retries; here Airflow repeats what is killed, and at once
    environment |= {
        "AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "1",
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
    }
    live = LiveInstance(home, shop, environment)
    started = live.winback("up")
    assert started.returncode == 0, started.stderr
    first = live.api.wait_for_new_run(CHAIN[0], [])
    live.follow(first["dag_run_id"], {dag: set() for dag in CHAIN})
    live.wait_for_events()
    for dag in ("winback_events", "winback_kpi"):
        assert live.winback("run", dag).returncode == 0
    return live
