"""Triggers a DAG of the running instance and follows the run to its end, for `./winback run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from winback.errors import ServerError, WinbackError
from winback.server import airflow_environment, instance
from winback.server.airflow_api import AirflowApi
from winback.server.instance import Instance, RunningState

_HOURS_24 = 86_400.0


class RunFailed(WinbackError):
    """A task failed; the message is the task's own."""


@dataclass(frozen=True)
class FinishedRun:
    """How a run ended.

    Args:
        run_id: Airflow's id of the run.
        states: The state of each task.
        logs: Folder of the tasks' logs.
        failure: What the first failed task said, and which one it was; None after a success.
    """

    run_id: str
    states: Mapping[str, str | None]
    logs: Path
    failure: str | None


def api_of(ours: Instance, state: RunningState) -> AirflowApi:
    """A client of the running instance's Airflow."""
    return AirflowApi(
        state.urls["airflow"], airflow_environment.ADMIN, ours.secrets()["admin_password"]
    )


def run(
    dag_id: str, as_of: date | None, on_states: Callable[[Mapping[str, str | None]], None]
) -> FinishedRun:
    """Triggers a DAG and waits for the end of the run.

    Args:
        dag_id: Which; a paused one is let run.
        as_of: The business date it works for; today when left out.
        on_states: Takes the state of each task at every look.

    Raises:
        ServerError: Nothing runs here, or there is no such DAG.
    """
    found = instance.running()
    if found is None or not found[1].ready:
        raise ServerError(
            found[1].say() if found else "nothing runs here: start it with ./winback up"
        )
    ours, state = found
    api = api_of(ours, state)
    try:
        _let_run(api, dag_id)
        run_id = api.trigger(dag_id, {"as_of": as_of.isoformat()} if as_of else {})
        api.wait(dag_id, run_id, _HOURS_24, lambda _: on_states(api.task_states(dag_id, run_id)))
        states = api.task_states(dag_id, run_id)
        on_states(states)
        logs = ours.logs / "airflow" / f"dag_id={dag_id}" / f"run_id={run_id}"
        return FinishedRun(run_id, states, logs, first_failure(api, dag_id, run_id))
    finally:
        api.close()


def first_failure(api: AirflowApi, dag_id: str, run_id: str) -> str | None:
    """What the first failed task of a run said, led by its name; None when none failed."""
    failed = [task for task in api.task_instances(dag_id, run_id) if task["state"] == "failed"]
    if not failed:
        run = api.run(dag_id, run_id)
        return f"the run ended as {run['state']}" if run["state"] == "failed" else None
    task = min(failed, key=lambda task: task["end_date"] or "~")
    log = api.task_log(dag_id, run_id, task["task_id"], task["try_number"])
    return f"{task['task_id']}: {error_of(log) or 'failed without an error in its log'}"


def error_of(log: list[dict[str, Any]]) -> str | None:
    """The error that ended a task: its message alone when winback raised it on purpose."""
    for event in reversed(log):
        for raised in event.get("error_detail") or ():
            kind, message = raised.get("exc_type", ""), str(raised.get("exc_value", ""))
            return message if _is_ours(kind) else f"{kind}: {message}"
    return None


def _is_ours(kind: str) -> bool:
    from winback import errors

    known = getattr(errors, kind.rpartition(".")[2], None)
    return isinstance(known, type) and issubclass(known, WinbackError)


def _let_run(api: AirflowApi, dag_id: str) -> None:
    known = {dag["dag_id"]: dag for dag in api.dags()}
    if dag_id not in known:
        names = ", ".join(sorted(known)) or "none"
        raise ServerError(f"there is no DAG {dag_id!r}; the DAGs here are: {names}")
    if known[dag_id]["is_paused"]:
        api.unpause(dag_id)
