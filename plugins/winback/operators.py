"""The eight steps as Airflow tasks: what a run is about, and which function does the work.

Light to import: DAG files load it on every parse, so the work is imported inside the tasks. Tasks
pass ids and dates, never rows. A run is about one or more snapshots; each carries its as-of date in
the extra of the asset event that starts the next DAG.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import Asset, AssetOrTimeSchedule, CronTriggerTimetable, Param, task
from airflow.sdk.exceptions import AirflowSkipException

from winback.errors import CampaignsNotSent
from winback.settings import settings
from winback.task_termination import ended_by_termination

log = logging.getLogger(__name__)

RAW = Asset("winback://raw")
CANDIDATES = Asset("winback://candidates")
OUTREACH = Asset("winback://outreach")

PARAMS = {
    "as_of": Param(
        None,
        type=["null", "string"],
        format="date",
        title="As-of date",
        description="Facts before 00:00 of this day count. Empty: the day of the run.",
    )
}
DECISIONS = ["pause", "resume", "cancel"]
Snapshot = dict[str, Any]  # {"snapshot_id": 7, "as_of": "1998-01-01"}


def asset_or_time(asset: Asset, cron: str | None) -> Any:
    """The schedule of a DAG that an asset starts, and the clock of the business as well.

    Args:
        asset: The asset.
        cron: In business time; None: only the asset.
    """
    if cron is None:
        return [asset]
    at = CronTriggerTimetable(cron, timezone=settings().business_timezone)
    return AssetOrTimeSchedule(timetable=at, assets=[asset])


def decision_params() -> dict[str, Param]:
    """What a person is asked who stops a campaign; the files' names are offered."""
    return {
        "campaign": Param(
            type="string",
            minLength=1,
            title="Campaign",
            examples=sorted(path.stem for path in settings().campaigns.glob("*.yaml")),
        ),
        "decision": Param("pause", type="string", enum=DECISIONS, title="What is to happen"),
        "reason": Param(
            type="string",
            minLength=1,
            title="Why",
            description="Kept, with your name and the time.",
        ),
    }


def as_of_of(context: Any) -> date:
    """The as-of date of a run: as asked for, else the business day the run is due."""
    asked = (context.get("params") or {}).get("as_of")
    if asked:
        return date.fromisoformat(asked)
    run = context["dag_run"]
    due: datetime = run.logical_date or run.run_after
    return due.astimezone(ZoneInfo(settings().business_timezone)).date()


def snapshots_of(context: Any) -> list[Snapshot]:
    """The snapshots an asset-triggered run is about.

    Events that came while the DAG was busy arrive together. Every backfill among them counts; of
    the live ones only the newest, since it holds all that the others knew.
    """
    events = [
        event.extra
        for each in context["triggering_asset_events"].values()
        for event in each
        if "snapshot_id" in event.extra
    ]
    if not events:
        return _newest_snapshot()
    events.sort(key=lambda extra: extra["snapshot_id"])
    live = [extra for extra in events if extra["purpose"] == "live"]
    return [extra for extra in events if extra["purpose"] != "live" or extra is live[-1]]


def _newest_snapshot() -> list[Snapshot]:
    """For a run that a person started by hand."""
    from winback.errors import SourceError
    from winback.extract.snapshot import newest_live

    found = newest_live()
    if found is None:
        raise SourceError("nothing was extracted yet: run winback_ingest first")
    return [{"snapshot_id": found[0], "as_of": found[1].isoformat(), "purpose": "live"}]


@task(task_id="extract")
def extract(**context: Any) -> list[Snapshot]:
    """Takes a snapshot of every feed."""
    from winback.extract.snapshot import extract as run
    from winback.extract.snapshot import purpose_of

    run_type = str(context["dag_run"].run_type)
    if not settings().dataset and run_type.endswith("scheduled"):
        raise AirflowSkipException("no dataset is chosen yet: see README.md, connect your own data")
    as_of = as_of_of(context)
    purpose = purpose_of(as_of, is_backfill=run_type.endswith("backfill"))
    return [{"snapshot_id": run(as_of, purpose), "as_of": as_of.isoformat(), "purpose": purpose}]


@task(task_id="stage")
def stage(**context: Any) -> list[Snapshot]:
    """Builds and tests the staging models."""
    return _build("stage", snapshots_of(context))


@task(task_id="model")
def model(snapshots: list[Snapshot]) -> list[Snapshot]:
    """Builds and tests the intermediate models and the marts."""
    return _build("model", snapshots)


def _build(part: str, snapshots: list[Snapshot]) -> list[Snapshot]:
    from winback.dbt_build import build, schema_suffix

    for each in snapshots:
        build(part, date.fromisoformat(each["as_of"]), schema_suffix(each["snapshot_id"]))
    return snapshots


def gate(name: str, outlet: Asset) -> Callable[[Any], Any]:
    """A task that judges snapshots by a gate and tells the next DAG about them when they pass."""

    @task(task_id="gate", outlets=[outlet])
    def judge(snapshots: list[Snapshot], **context: Any) -> list[Snapshot]:
        from winback.dbt_build import schema_suffix
        from winback.gate import run_gate

        for each in snapshots:
            suffix = schema_suffix(each["snapshot_id"]) if name == "marts" else ""
            run_gate(name, each["snapshot_id"], date.fromisoformat(each["as_of"]), suffix)
        _announce(context, outlet, snapshots)
        return snapshots

    return judge


@task(task_id="train")
def train(**context: Any) -> list[int]:
    """Fits rhythm and value models to what the marts know; gives their runs."""
    from winback.training.training import date_of_marts
    from winback.training.training import train as run

    if context["dag_run"].run_type == "backfill":
        raise AirflowSkipException("a past date is computed with the models of that time")
    as_of = date_of_marts()
    if as_of is None:
        raise AirflowSkipException("no marts yet: winback_model builds them")
    return run(as_of)


@task(task_id="select")
def select(**context: Any) -> list[Snapshot]:
    """Judges and draws the candidates; a backfill selects nobody, nor does a run by the clock."""
    from winback.extract.snapshot import newest_live
    from winback.outreach.campaign_state import anything_waits
    from winback.select.selection import select as run
    from winback.warehouse import connection as warehouse

    if context["dag_run"].run_type == "backfill":
        raise AirflowSkipException("a backfill computes and never sends")
    if context["dag_run"].run_type == "scheduled":
        if newest_live() is None:
            raise AirflowSkipException("nothing was extracted yet")
        with warehouse.connect("sender") as connection:
            if not anything_waits(connection):
                raise AirflowSkipException("nothing waits to be sent")
        return _newest_snapshot()
    live = [each for each in snapshots_of(context) if each["purpose"] == "live"]
    if not live:
        raise AirflowSkipException("a backfill computes and never sends")
    for each in live:
        run(each["snapshot_id"], date.fromisoformat(each["as_of"]))
    return live


@task(task_id="outreach", outlets=[OUTREACH])
def outreach(snapshots: list[Snapshot], **context: Any) -> dict[str, dict[str, int]]:
    """Warns the account owners, sends what is planned and writes the lists; fails in the end when
    a campaign could not be sent or was stopped on the way, so that a person hears of it."""
    from winback.kpi.warning_record import record_warnings
    from winback.outreach.dispatch import outreach as run
    from winback.outreach.lists import write_list
    from winback.outreach.warning_list import write_warning_list
    from winback.record.events import work_through_inbox

    # who objected, and whose address is dead, whether or not the step record ran since
    work_through_inbox()
    if warning := settings().quiet_warning():
        log.warning("%s", warning)
    done: dict[str, dict[str, int]] = {}
    not_sent: CampaignsNotSent | None = None
    for each in snapshots:
        as_of = date.fromisoformat(each["as_of"])
        record_warnings(as_of)
        write_warning_list(settings().home / "lists", as_of)
        try:
            with ended_by_termination():
                sent = run(each["snapshot_id"], as_of)
        except CampaignsNotSent as error:
            sent, not_sent = error.sent, error
        for campaign, counts in sent.items():
            done[campaign] = dict(counts)
            path, n_people = write_list(settings().home / "lists", campaign, as_of)
            log.info("%s people on %s", n_people, path)
    if not_sent is not None:
        raise not_sent
    _announce(context, OUTREACH, snapshots)
    _fail_if_stopped(context)
    return done


@task(task_id="hold")
def hold(**context: Any) -> dict[str, Any]:
    """Pauses, resumes or cancels a campaign, as the person who triggered the run decides."""
    from winback.outreach import campaign_state
    from winback.outreach.decisions import Decision
    from winback.outreach.taking_back import take_back_campaign
    from winback.warehouse import connection as warehouse

    asked = context["params"]
    who = context["dag_run"].triggering_user_name or "somebody in Airflow"
    campaign, word = asked["campaign"], asked["decision"]
    with warehouse.connect("sender") as connection:
        n = campaign_state.decide(connection, campaign, Decision(word, asked["reason"], who))
    log.info("%s, by %s: %s; %s messages of it wait or were cancelled", campaign, who, word, n)
    if word == "resume":
        return {"n_messages": n}
    taken_back = take_back_campaign(campaign)
    for why, n_left in taken_back.left.items():
        log.warning("%s messages could not be taken back: %s", n_left, why)
    return {"n_messages": n, "taken_back": dict(taken_back.moved), "left": taken_back.left}


@task(task_id="record")
def record(**context: Any) -> dict[str, int]:
    """Turns the webhook's inbox into events, states and suppressions; fails in the end when a
    campaign was stopped for what they tell."""
    from winback.record.events import record as run

    done = dict(run())
    _fail_if_stopped(context)
    return done


@task(task_id="kpi")
def kpi(**context: Any) -> int:
    """Writes the KPI snapshots up to the as-of date."""
    from winback.kpi.snapshot import write_snapshots

    return write_snapshots(as_of_of(context))


def _fail_if_stopped(context: Any) -> None:
    from winback.outreach.campaign_state import require_none_stopped_since
    from winback.warehouse import connection as warehouse

    with warehouse.connect("sender") as connection:
        require_none_stopped_since(connection, context["dag_run"].start_date)


def _announce(context: Any, asset: Asset, snapshots: Sequence[Snapshot]) -> None:
    context["outlet_events"][asset].extra = dict(snapshots[-1])
