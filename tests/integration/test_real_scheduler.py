"""The main job through a real scheduler: repeated, cleared and backfilled, it sends once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.small_shop import SmallShop, small_shop
from winback.server.airflow_api import AirflowApi
from winback.server.supervisor import Running, running_instance
from winback.settings import settings

CHAIN = ("winback_ingest", "winback_model", "winback_outreach")
SECONDS = 240.0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SmallShop:
    """Its as-of date is today, as in production."""
    folder = tmp_path_factory.mktemp("home") / "data"
    shop = small_shop(folder, datetime.now(UTC).date())
    # so that yesterday and the day before have fresh orders as well
    shop.buy("active-00", 3)
    shop.write()
    return shop


@pytest.fixture(scope="module")
def running(shop: SmallShop) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WINBACK_HOME", str(shop.folder.parent))
        environment.setenv("WINBACK_SOURCES", str(shop.folder / "sources.yaml"))
        environment.setenv("WINBACK_DATASET", "shop")
        environment.setenv("WINBACK_BUSINESS_TIMEZONE", "UTC")
        environment.setenv("WINBACK_SCHEDULE_INGEST", "0 0 * * *")
        environment.setenv("WINBACK_SCHEDULE_EVENTS", "none")
        environment.setenv("WINBACK_SCHEDULE_KPI", "none")
        settings.cache_clear()
        with running_instance("production", progress=lambda _: None) as instance:
            # a fresh Airflow makes up for the last missed tick by itself: that is today's
            run = instance.airflow.wait_for_new_run(CHAIN[0], [])
            follow(instance, {dag: set() for dag in CHAIN}, run)
            yield instance
    settings.cache_clear()


def known_runs(api: AirflowApi) -> dict[str, set[str]]:
    return {dag: {run["dag_run_id"] for run in api.runs(dag)} for dag in CHAIN}


def follow(running: Running, known: dict[str, set[str]], run: dict[str, object]) -> None:
    """Waits for an ingest run and for the two runs that its assets start."""
    api = running.airflow
    assert api.wait(CHAIN[0], str(run["dag_run_id"]), SECONDS)["state"] == "success"
    for dag in CHAIN[1:]:
        started = api.wait_for_new_run(dag, known[dag])
        assert api.wait(dag, started["dag_run_id"], SECONDS)["state"] == "success", dag


def counts(running: Running) -> dict[str, int]:
    answer = httpx.get(f"{running.urls['sandbox']}/sandbox/counts", trust_env=False)
    counted: dict[str, int] = answer.json()
    return counted


def ask(running: Running, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(running.environment["AIRFLOW_CONN_WINBACK_WAREHOUSE"]) as connection:
        return connection.execute(statement.encode()).fetchall()


@pytest.mark.timeout(600)
def test_repeated_cleared_and_backfilled_the_job_sends_once(running: Running) -> None:
    api = running.airflow
    first = counts(running)
    [(n_planned,)] = ask(running, "select count(*) from ops.outreach")
    assert first["accepted"] == first["distinct"] == n_planned >= 10
    [(as_of, _)] = ask(running, "select as_of, snapshot_id from ops.newest_snapshot")
    assert as_of == datetime.now(UTC).date()

    # the whole chain once more for the same date
    known = known_runs(api)
    run_id = api.trigger(CHAIN[0])
    follow(running, known, api.run(CHAIN[0], run_id))
    assert counts(running)["requests"] == first["requests"]

    # the outreach run cleared
    outreach = api.latest_run(CHAIN[2])
    assert outreach is not None
    [(verdicts,)] = ask(running, "select count(*) from ops.verdict")
    api.clear(CHAIN[2], outreach["dag_run_id"])
    assert api.wait(CHAIN[2], outreach["dag_run_id"], SECONDS)["state"] == "success"
    # it really ran again: every candidate got another verdict
    assert ask(running, "select count(*) from ops.verdict")[0][0] > verdicts
    assert counts(running)["requests"] == first["requests"]

    # yesterday backfilled: computed in schemas of its own, nobody selected
    known = known_runs(api)
    yesterday = datetime.combine(as_of - timedelta(days=1), time(), UTC)
    api.backfill(CHAIN[0], yesterday, yesterday)
    run = api.wait_for_new_run(CHAIN[0], known[CHAIN[0]])
    assert run["run_type"] == "backfill"
    assert api.wait(CHAIN[0], run["dag_run_id"], SECONDS)["state"] == "success"
    for dag in CHAIN[1:]:
        started = api.wait_for_new_run(dag, known[dag])
        assert api.wait(dag, started["dag_run_id"], SECONDS)["state"] == "success"
    assert api.task_states(CHAIN[2], started["dag_run_id"]) == {
        "select": "skipped",
        "outreach": "skipped",
    }
    schema = f"marts_asof_{yesterday:%Y%m%d}"
    assert ask(running, f"select count(*) > 0 from {schema}.fct_customer_states") == [(True,)]
    assert ask(running, "select distinct as_of from marts.fct_customer_states") == [(as_of,)]

    last = counts(running)
    assert last["requests"] == first["requests"]
    assert last["max_per_key"] == 1


@pytest.mark.timeout(600)
def test_events_and_kpi_follow(running: Running) -> None:
    api = running.airflow
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    while counts(running)["events_pending"]:
        assert datetime.now(UTC) < deadline
    for dag in ("winback_events", "winback_kpi"):
        assert api.wait(dag, api.trigger(dag), SECONDS)["state"] == "success"
    settled = ask(running, "select count(*) from ops.outreach where state = 'accepted'")
    assert settled == [(0,)]
    [(n_treated, reading)] = ask(
        running, "select n_treated, reading from marts.rpt_kpi_daily where segment = 'all'"
    )
    assert n_treated == ask(running, "select count(*) from ops.outreach")[0][0]
    assert str(reading).startswith("open: people may still come back until")


def test_no_task_log_names_a_person(running: Running) -> None:
    logs = [path for path in Path(running.instance.logs).rglob("*.log") if path.is_file()]
    assert len(logs) > 10
    for path in logs:
        assert b"lapsed-00@" not in path.read_bytes(), path
