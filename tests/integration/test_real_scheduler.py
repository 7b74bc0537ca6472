"""The main job through a real scheduler: repeated, cleared and backfilled, it sends once."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from time import monotonic, sleep

import pytest

from tests.live import CHAIN, SECONDS, LiveInstance

pytestmark = pytest.mark.timeout(600)


def test_the_first_run_of_the_day_selects_sends_and_measures(live: LiveInstance) -> None:
    [(as_of, _)] = live.ask("select as_of, snapshot_id from ops.newest_snapshot")
    assert as_of == live.shop.as_of
    counted = live.sandbox_counts()
    [(n_planned,)] = live.ask("select count(*) from ops.outreach where resend_of is null")
    assert counted["accepted"] == counted["distinct"] == n_planned >= 10
    assert live.ask("select count(*) from ops.outreach where state = 'accepted'") == [(0,)]
    [(n_treated, reading)] = live.ask(
        "select n_treated, reading from marts.rpt_kpi_daily where segment = 'all'"
    )
    assert n_treated == n_planned
    assert reading.startswith("open: people may still come back until")
    lists = list((live.home / "lists" / str(as_of)).glob("*.csv"))
    assert [path.name for path in lists] == ["welcome_back.csv"]
    assert lists[0].stat().st_mode & 0o077 == 0


def test_commands_work_with_the_instance_from_any_shell(live: LiveInstance) -> None:
    loaded = live.winback("sources", "load", "orders")
    assert loaded.returncode == 0, loaded.stderr
    assert "passed + 0 quarantined" in loaded.stdout
    listed = live.winback("gate", "list")
    assert "marts" in listed.stdout and "passed" in listed.stdout, listed.stderr
    feeds = live.winback("sources", "list").stdout
    assert "orders.csv" in feeds
    assert "reasons for leaving" in feeds, "what is off without complaints"
    assert live.winback("customers", "merged").returncode == 0
    refused = live.winback("customers", "unmerge", "nobody", "--reason", "a test")
    assert refused.returncode == 1
    assert "no customer 'nobody' is merged" in refused.stderr


def test_a_repeated_run_sends_nothing_more(live: LiveInstance) -> None:
    before = live.sandbox_counts()["requests"]
    known = live.runs()
    ids = live.follow(live.api.trigger(CHAIN[0]), known)
    assert live.api.task_states(CHAIN[2], ids[CHAIN[2]])["outreach"] == "success"
    assert live.sandbox_counts()["requests"] == before


def test_a_cleared_run_sends_nothing_more(live: LiveInstance) -> None:
    before = live.sandbox_counts()["requests"]
    run = live.api.latest_run(CHAIN[2])
    assert run is not None
    [(verdicts,)] = live.ask("select count(*) from ops.verdict")
    live.api.clear(CHAIN[2], run["dag_run_id"])
    assert live.api.wait(CHAIN[2], run["dag_run_id"], SECONDS)["state"] == "success"
    # it really ran again: every candidate got another verdict
    assert live.ask("select count(*) from ops.verdict")[0][0] > verdicts
    assert live.sandbox_counts()["requests"] == before


def test_two_runs_that_are_triggered_at_once_send_once(live: LiveInstance) -> None:
    live.forget_messages()
    before = live.sandbox_counts()
    with ThreadPoolExecutor(2) as pool:
        run_ids = list(pool.map(lambda _: live.api.trigger(CHAIN[2]), range(2)))
    for run_id in run_ids:
        assert live.api.wait(CHAIN[2], run_id, SECONDS)["state"] == "success"
        assert set(live.api.task_states(CHAIN[2], run_id).values()) == {"success"}
    after = live.sandbox_counts()
    [(n, n_people)] = live.ask("select count(*), count(distinct address_hash) from ops.outreach")
    assert after["accepted"] - before["accepted"] == n == n_people >= 10
    assert after["max_per_key"] == 1


def test_a_task_that_is_killed_is_retried_by_airflow_and_sends_the_rest(live: LiveInstance) -> None:
    live.forget_messages()
    before = live.sandbox_counts()
    run = live.api.latest_run(CHAIN[2])
    assert run is not None
    run_id = run["dag_run_id"]
    n_tries = tries_of_outreach(live, run_id)
    # both connections of the worker wait for an answer that does not come
    live.fault("hang_after_accept", requests=2, seconds=30)
    live.api.clear(CHAIN[2], run_id)
    deadline = monotonic() + SECONDS
    while live.sandbox_counts()["requests"] < before["requests"] + 2:
        assert monotonic() < deadline, "the task sends nothing"
        sleep(0.1)
    [(worker, n_under_way)] = live.ask(
        "select claimed_by, count(*) from ops.outreach where state = 'dispatching' group by 1"
    )
    os.kill(int(worker.rpartition(":")[2]), signal.SIGKILL)
    assert live.api.wait(CHAIN[2], run_id, SECONDS)["state"] == "success"
    # the clear began one, and Airflow another after the kill
    assert tries_of_outreach(live, run_id) == n_tries + 2
    [(n_by_others,)] = live.ask(
        f"select count(*) from ops.outreach where claimed_by <> '{worker}' and state = 'accepted'"
    )
    assert n_by_others > 0
    live.wait_for_events()
    assert live.winback("run", "winback_events").returncode == 0
    [(n, n_told)] = live.ask(
        "select count(*), count(*) filter (where state in ('delivered', 'bounced', 'dropped'))"
        " from ops.outreach"
    )
    after = live.sandbox_counts()
    assert n_under_way + n_by_others <= n_told
    assert after["accepted"] - before["accepted"] == n_told
    assert after["max_per_key"] == 1
    assert live.ask("select count(*) from ops.outreach where state in ('planned', 'claimed')") == [
        (n - n_told,)
    ]


def tries_of_outreach(live: LiveInstance, run_id: str) -> int:
    instances = live.api.task_instances(CHAIN[2], run_id)
    [tries] = [each["try_number"] for each in instances if each["task_id"] == "outreach"]
    return int(tries)


def test_a_campaign_is_stopped_by_a_button_in_airflow(live: LiveInstance) -> None:
    state = "select state from ops.campaign where campaign_id = 'welcome_back'"
    for word, expected in (("pause", "paused"), ("resume", "running")):
        said = {"campaign": "welcome_back", "decision": word, "reason": "a test"}
        run_id = live.api.trigger("winback_hold", said)
        assert live.api.wait("winback_hold", run_id, SECONDS)["state"] == "success"
        assert live.ask(state) == [(expected,)]
    assert live.ask(
        "select decision, decided_by, reason from ops.outreach_decision order by decision_id"
    ) == [("pause", "admin", "a test"), ("resume", "admin", "a test")]


def test_a_backfill_computes_in_schemas_of_its_own_and_selects_nobody(live: LiveInstance) -> None:
    before = live.sandbox_counts()
    known = live.runs()
    yesterday = datetime.combine(live.shop.as_of - timedelta(days=1), time(), UTC)
    live.api.backfill(CHAIN[0], yesterday, yesterday)
    run = live.api.wait_for_new_run(CHAIN[0], known[CHAIN[0]])
    assert run["run_type"] == "backfill"
    ids = live.follow(run["dag_run_id"], known)
    assert live.api.task_states(CHAIN[2], ids[CHAIN[2]]) == {
        "select": "skipped",
        "outreach": "skipped",
    }
    schema = f"marts_asof_{yesterday:%Y%m%d}"
    assert live.ask(f"select count(*) > 0 from {schema}.fct_customer_states") == [(True,)]
    newest = live.ask("select distinct as_of from marts.fct_customer_states")
    assert newest == [(live.shop.as_of,)]
    after = live.sandbox_counts()
    assert after["requests"] == before["requests"]
    assert after["max_per_key"] == 1


def test_the_command_answers_questions(live: LiveInstance) -> None:
    asked = live.winback("sql", "select state, count(*) from marts.fct_customer_states group by 1")
    assert asked.returncode == 0
    assert "sleeping" in asked.stdout
    feeds = live.winback("sources", "list")
    assert feeds.returncode == 0, feeds.stderr
    present, absent = feeds.stdout.split("not mapped")
    rows = {line.split()[0]: line for line in present.splitlines() if line.strip()}
    assert "orders.csv" in rows["orders"]
    assert "order_lines" in absent and "order_lines" not in rows
    refused = live.winback("sql", "select * from pii.customers")
    assert refused.returncode == 1
    assert refused.stderr.strip().splitlines() == [refused.stderr.strip()]
    assert "permission denied for schema pii" in refused.stderr
    told = live.winback("sql", "--owner", "select count(*) from ops.outreach", "--csv")
    assert told.returncode == 0, told.stderr
    assert int(told.stdout.split()[1]) >= 10
    again = live.winback("up")
    assert again.returncode == 1
    assert f"winback runs already at {live.state['urls']['airflow']}" in again.stderr
    unknown = live.winback("run", "winback_nothing")
    assert unknown.returncode == 1
    assert "winback_kpi" in unknown.stderr


def test_no_log_names_a_person(live: LiveInstance) -> None:
    logs = [path for path in (live.home / "logs").rglob("*") if path.is_file()]
    assert len(logs) > 10
    for path in logs:
        assert b"lapsed-00@" not in path.read_bytes(), path
