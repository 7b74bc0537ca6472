"""The few calls of Airflow's REST API (v2) that winback makes, on this machine only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from winback.errors import ServerError

Json = dict[str, Any]
TERMINAL = frozenset({"success", "failed"})
_POLL_SECONDS = 0.3
_PAGE = 100  # Airflow's own limit


class AirflowApi:
    """A client of one Airflow, logged in as `user`."""

    def __init__(self, url: str, user: str, password: str) -> None:
        """Opens no connection yet.

        Args:
            url: Such as `http://127.0.0.1:8080`.
            user: A user of the SimpleAuthManager.
            password: Theirs.
        """
        self._url = url
        self._login = {"username": user, "password": password}
        # a proxy of the environment would take loopback for somewhere else
        self._http = httpx.Client(base_url=url, timeout=60.0, trust_env=False)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def health(self) -> Json:
        """The state of each component, with its last heartbeat."""
        return self._get("/api/v2/monitor/health")

    def dags(self) -> list[Json]:
        """Every DAG that is not stale."""
        return self._all("/api/v2/dags", "dags")

    def import_errors(self) -> list[Json]:
        """The DAG files that could not be imported: `filename`, `stack_trace`, `timestamp`."""
        return self._all("/api/v2/importErrors", "import_errors")

    def plugin_import_errors(self) -> list[Json]:
        """The plugins the API server could not import: `source` and `error`."""
        found: list[Json] = self._get("/api/v2/plugins/importErrors")["import_errors"]
        return found

    def unpause(self, dag_id: str) -> None:
        """Lets a DAG run."""
        self.set_paused(dag_id, False)

    def set_paused(self, dag_id: str, is_paused: bool) -> None:
        """Pauses a DAG or lets it run."""
        self._ask("PATCH", f"/api/v2/dags/{_id(dag_id)}", json={"is_paused": is_paused})

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        logical_date: datetime | None = None,
    ) -> str:
        """Starts a run and gives its id."""
        body = {
            "conf": dict(conf or {}),
            "logical_date": logical_date.isoformat() if logical_date else None,
        }
        answer = self._ask("POST", f"/api/v2/dags/{_id(dag_id)}/dagRuns", json=body)
        return str(answer["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> Json:
        """One run: `state`, `run_type`, `start_date`, `end_date`, `conf`, …."""
        return self._get(_run_path(dag_id, run_id))

    def runs(self, dag_id: str) -> list[Json]:
        """All runs of a DAG, oldest first."""
        return self._all(f"/api/v2/dags/{_id(dag_id)}/dagRuns", "dag_runs", order_by="id")

    def latest_run(self, dag_id: str) -> Json | None:
        """The newest run of a DAG; None before the first."""
        path = f"/api/v2/dags/{_id(dag_id)}/dagRuns"
        found: list[Json] = self._get(path, limit=1, order_by="-id")["dag_runs"]
        return found[0] if found else None

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """The task instances of a run."""
        return self._all(f"{_run_path(dag_id, run_id)}/taskInstances", "task_instances")

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """The state of each task of a run, by task id, in the order they started."""
        instances = sorted(
            self.task_instances(dag_id, run_id), key=lambda task: task["start_date"] or "~"
        )
        return {task["task_id"]: task["state"] for task in instances}

    def wait(
        self,
        dag_id: str,
        run_id: str,
        timeout: float = 600.0,
        on_tick: Callable[[Json], None] | None = None,
    ) -> Json:
        """Waits until a run has ended, well or not.

        Args:
            dag_id: Of the run.
            run_id: Which.
            timeout: Seconds to wait at most.
            on_tick: Called with the run at every look.

        Raises:
            ServerError: It had not ended in time.
        """

        def ended() -> Json | None:
            run = self.run(dag_id, run_id)
            if on_tick:
                on_tick(run)
            return run if run["state"] in TERMINAL else None

        return _until(ended, timeout, f"{dag_id} ({run_id}) did not end")

    def wait_for_new_run(self, dag_id: str, known: Iterable[str], timeout: float = 120.0) -> Json:
        """Waits for a run that is not among the `known` run ids, as one that an asset triggers."""
        seen = set(known)

        def new() -> Json | None:
            return next((run for run in self.runs(dag_id) if run["dag_run_id"] not in seen), None)

        return _until(new, timeout, f"no new run of {dag_id} began")

    def clear(self, dag_id: str, run_id: str, *, only_failed: bool = False) -> None:
        """Makes a run's tasks run again."""
        body = {"dry_run": False, "only_failed": only_failed}
        self._ask("POST", f"{_run_path(dag_id, run_id)}/clear", json=body)

    def backfill(
        self,
        dag_id: str,
        from_date: datetime,
        to_date: datetime,
        run_conf: Mapping[str, Any] | None = None,
        *,
        reprocess: str = "none",
    ) -> int:
        """Creates a backfill and gives its id; `reprocess` is none, failed or completed."""
        body = {
            "dag_id": dag_id,
            "from_date": from_date.isoformat(),
            "to_date": to_date.isoformat(),
            "dag_run_conf": dict(run_conf or {}),
            "reprocess_behavior": reprocess,
            "max_active_runs": 1,
        }
        return int(self._ask("POST", "/api/v2/backfills", json=body)["id"])

    def backfill_state(self, backfill_id: int) -> Json:
        """A backfill; `completed_at` is null while it runs."""
        return self._get(f"/api/v2/backfills/{backfill_id}")

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> list[Json]:
        """The log of one try of a task: events with `event`, `level`, `error_detail`, …."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{_id(task_id)}/logs/{try_number}"
        content = self._get(path, full_content=True)["content"]
        return [line if isinstance(line, dict) else {"event": line} for line in content]

    def _all(self, path: str, key: str, **query: Any) -> list[Json]:
        found: list[Json] = []
        while True:
            page = self._get(path, limit=_PAGE, offset=len(found), **query)
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    def _get(self, path: str, **query: Any) -> Json:
        return self._ask("GET", path, params=query)

    def _ask(self, method: str, path: str, **arguments: Any) -> Json:
        try:
            answer = self._http.request(method, path, **arguments)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self._authenticate()
                answer = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise ServerError(
                f"Airflow at {self._url} does not answer ({type(error).__name__}): "
                "look at ./winback status and ./winback logs"
            ) from error
        if answer.is_error:
            raise ServerError(f"Airflow refused {method} {path}: {_reason(answer)}")
        content: Json = answer.json() if answer.content else {}
        return content

    def _authenticate(self) -> None:
        answer = self._http.post("/auth/token", json=self._login)
        if answer.is_error:
            raise ServerError(f"Airflow's login failed: {_reason(answer)}")
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _until(look: Callable[[], Json | None], timeout: float, complaint: str) -> Json:
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise ServerError(f"{complaint} within {timeout:.0f} s: look at ./winback logs")
        time.sleep(_POLL_SECONDS)


def _reason(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:200]
    return f"{detail} ({answer.status_code})"


def _id(name: str) -> str:
    return quote(name, safe="")


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{_id(dag_id)}/dagRuns/{_id(run_id)}"
