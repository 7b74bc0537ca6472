"""When a started Airflow can be used: its components live and every DAG file is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from winback.errors import ServerError
from winback.server.airflow_api import AirflowApi

_COMPONENTS = {
    "scheduler": "latest_scheduler_heartbeat",
    "dag_processor": "latest_dag_processor_heartbeat",
}
_LOOK_AGAIN_SECONDS = 0.2


def wait_until_ready(
    api: AirflowApi,
    dags_folder: Path,
    started: datetime,
    check: Callable[[], None],
    timeout: float = 120.0,
) -> None:
    """Waits for the API, the scheduler, the DAG processor and all DAGs.

    Args:
        api: Of the Airflow that was started.
        dags_folder: Its DAG files.
        started: When; what Airflow's database says of earlier times does not count.
        check: Raises when a process has died meanwhile.
        timeout: Seconds to wait at most.

    Raises:
        ServerError: A DAG file or a plugin can not be imported, a DAG file defines nothing, or
            time is up.
    """
    deadline = time.monotonic() + timeout
    awaited = _dag_files(dags_folder)
    missing: list[str] = ["api-server"]
    while True:
        check()
        try:
            missing = _silent_components(api, started)
            if not missing:
                _refuse_broken_plugins(api)
                missing = _unknown_files(api, awaited, started)
        except ServerError as error:
            if "does not answer" not in str(error):
                raise
        if not missing:
            return
        if time.monotonic() > deadline:
            raise ServerError(
                f"Airflow was not ready within {timeout:.0f} s, it waits for "
                f"{', '.join(missing)}: look at ./winback logs"
            )
        time.sleep(_LOOK_AGAIN_SECONDS)


def _dag_files(folder: Path) -> set[str]:
    """The files Airflow will look into; it passes over those that mention no DAG."""
    found = set()
    for path in folder.rglob("*.py"):
        text = path.read_bytes().lower()
        if b"dag" in text and b"airflow" in text:
            found.add(str(path.relative_to(folder)))
    return found


def _silent_components(api: AirflowApi, started: datetime) -> list[str]:
    health = api.health()
    return [
        name
        for name, heartbeat in _COMPONENTS.items()
        if health[name]["status"] != "healthy" or _time(health[name][heartbeat]) < started
    ]


def _refuse_broken_plugins(api: AirflowApi) -> None:
    # without its plugin Airflow would run, and nobody could unsubscribe
    for error in api.plugin_import_errors():
        said = [line for line in error["error"].splitlines() if line.strip()]
        raise ServerError(f"the plugin {error['source']} can not be imported: {said[-1]}")


def _unknown_files(api: AirflowApi, awaited: set[str], started: datetime) -> list[str]:
    for error in api.import_errors():
        if _time(error["timestamp"]) >= started and error["filename"] in awaited:
            said = [line for line in error["stack_trace"].splitlines() if line.strip()]
            raise ServerError(
                f"dags/{error['filename']} can not be imported: {said[-1] if said else 'no reason'}"
            )
    parsed = {
        dag["relative_fileloc"]
        for dag in api.dags()
        if dag["last_parsed_time"] and _time(dag["last_parsed_time"]) >= started
    }
    return [f"a DAG in dags/{name}" for name in sorted(awaited - parsed)]


def _time(text: str | None) -> datetime:
    if text is None:
        return datetime.min.replace(tzinfo=UTC)
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
