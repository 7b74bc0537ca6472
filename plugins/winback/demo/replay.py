"""`./winback demo`: the main job on real data, one date after the other, in the real scheduler.

Nothing here selects, sends or measures: it triggers the DAGs, waits for them, and shows what they
wrote. What it runs on is in `demo_data.py`, what the screen says in `report.py` with figures from
`figures.py`, what a broken batch looks like in `broken_batch.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import httpx

from winback.demo import figures, report
from winback.demo.broken_batch import break_feed as write_broken_batch
from winback.demo.demo_data import DemoData, choose
from winback.errors import GateFailed, ServerError, WinbackError
from winback.server.instance import instance, only_one
from winback.server.supervisor import Running, running_instance
from winback.server.triggered_run import first_failure
from winback.settings import settings

CHAIN = ("winback_ingest", "winback_model", "winback_outreach")
RUN_SECONDS = 300.0
EVENT_SECONDS = 120.0
SUMMARY = "summary.json"

Step = Callable[[str], Any]


def run_demo(exit: bool, break_feed: str | None, data_name: str) -> int:
    """Runs the demo in an instance of its own, empty at the start.

    Args:
        exit: Stop everything at the end instead of waiting for Ctrl-C.
        break_feed: Break this feed's batch, to see the gate stop it; CDNOW's only.
        data_name: What it runs on, a key of `demo_data.DATA`.

    Returns:
        The exit code.

    Raises:
        WinbackError: Something did not work; nothing is left running.
    """
    started = time.monotonic()
    data = choose(data_name)
    if break_feed and data.name != "cdnow":
        raise WinbackError(
            f"--break {break_feed} damages the files of cdnow: leave out --data {data.name}"
        )
    with only_one():
        pass  # says that one runs already before anything is prepared
    folder = settings().home / "data"
    screen = report.Screen(n_steps=3 + 2 + (1 if break_feed else 5 * len(data.dates) + 1))
    with screen.live():
        with screen.step(f"{data.label} data"):
            data.provide(folder / data.name)
        extra = dict(data.environment)
        if break_feed:
            broken = instance("demo").installation / "demo-broken-data"
            with screen.step(f"a broken batch of {break_feed}"):
                write_broken_batch(break_feed, folder / data.name, broken / data.name)
            extra["WINBACK_DATA"] = str(broken)
        with running_instance(
            "demo", fresh=True, extra_environment=extra, progress=screen.note
        ) as running:
            screen.finished(running.phase_seconds)
            if break_feed:
                message = _stopped_by_gate(running, data.dates[0], screen)
                screen.stop()
                report.show_broken(break_feed, message, _accepted(running))
            else:
                for as_of in data.dates:
                    if as_of == data.dates[-1]:
                        # before it, so that the last selection weighs costs against returns
                        with screen.step("models fitted and judged"):
                            _run(running, "winback_training", {})
                    _replay(running, as_of, screen)
                seconds = round(time.monotonic() - started, 1)
                summary = _summary(running, data, seconds, screen.seconds)
                _write(instance("demo").home / SUMMARY, summary)
                screen.stop()
                excluded = figures.excluded(running.environment["AIRFLOW_CONN_WINBACK_BI"])
                report.show_summary(summary, excluded, data)
            report.show_files(instance("demo").home, has_figures=not break_feed)
            if not exit:
                report.show_addresses(running)
                running.wait_for_end()
    report.show_stopped_again()
    return 0


def _replay(running: Running, as_of: date, screen: report.Screen) -> None:
    api = running.airflow
    known = {dag: {run["dag_run_id"] for run in api.runs(dag)} for dag in CHAIN[1:]}
    conf = {"as_of": as_of.isoformat()}
    with screen.step(f"{as_of}  extract, gate"):
        _run(running, CHAIN[0], conf)
    for dag, what in ((CHAIN[1], "stage, model, gate"), (CHAIN[2], "select, outreach")):
        with screen.step(f"{as_of}  {what}"):
            run = api.wait_for_new_run(dag, known[dag])
            _finish(running, dag, run["dag_run_id"])
    with screen.step(f"{as_of}  answers, record"):
        _wait_for_events(running)
        _run(running, "winback_events", {})
    with screen.step(f"{as_of}  kpi"):
        _run(running, "winback_kpi", conf)


def _stopped_by_gate(running: Running, as_of: date, screen: report.Screen) -> str:
    api = running.airflow
    with screen.step(f"{as_of}  extract, gate"):
        run_id = api.trigger(CHAIN[0], {"as_of": as_of.isoformat()})
        api.wait(CHAIN[0], run_id, RUN_SECONDS, lambda _: running.check())
        message = first_failure(api, CHAIN[0], run_id)
    if message is None or not message.startswith("gate: gate raw"):
        raise GateFailed(f"the gate did not stop the broken batch: {message or 'it passed'}")
    followed = [dag for dag in CHAIN[1:] if api.runs(dag)]
    if followed:
        raise GateFailed(f"{followed[0]} ran although the gate had failed")
    return message.removeprefix("gate: ")


def _run(running: Running, dag: str, conf: Mapping[str, Any]) -> None:
    _finish(running, dag, running.airflow.trigger(dag, conf))


def _finish(running: Running, dag: str, run_id: str) -> None:
    run = running.airflow.wait(dag, run_id, RUN_SECONDS, lambda _: running.check())
    if run["state"] != "success":
        said = first_failure(running.airflow, dag, run_id)
        raise WinbackError(f"{dag} failed in {said}; the log is in {running.instance.logs}")


def _wait_for_events(running: Running) -> None:
    deadline = time.monotonic() + EVENT_SECONDS
    while _counts(running)["events_pending"]:
        running.check()
        if time.monotonic() > deadline:
            raise ServerError("the sandbox did not get rid of its events: see ./winback logs")
        time.sleep(0.2)


def _counts(running: Running) -> dict[str, int]:
    answer = httpx.get(f"{running.urls['sandbox']}/sandbox/counts", trust_env=False, timeout=30)
    counts: dict[str, int] = answer.raise_for_status().json()
    return counts


def _accepted(running: Running) -> int:
    return _counts(running)["accepted"]


def _summary(
    running: Running, data: DemoData, seconds: float, phases: Mapping[str, float]
) -> dict[str, Any]:
    bi = running.environment["AIRFLOW_CONN_WINBACK_BI"]
    summary = {
        "seconds": seconds,
        "dates": figures.of_dates(bi, data.dates),
        "phases": dict(phases),
        "made_up": data.made_up,
    }
    if economics := figures.of_economics(bi, data.dates[-1]):
        summary["economics"] = economics
    campaigns = figures.of_external_campaigns(bi)
    if campaigns:
        summary["external_campaigns"] = campaigns
    if data.caveat:
        summary["caveat"] = " ".join(data.caveat)
    return summary


def _write(path: Path, summary: dict[str, Any]) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)
