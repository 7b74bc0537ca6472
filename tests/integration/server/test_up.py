"""`./winback up`, `status` and `down` as one whole."""

import json
import os
import subprocess
import sys

import httpx
import pytest

from tests.server_processes import marked_with
from winback.server import (
    postgres_place,
    processes,
)
from winback.settings import PROJECT

pytestmark = pytest.mark.timeout(180)


@pytest.mark.timeout(400)
def test_up_status_down(tmp_path):
    home = tmp_path / "a home"
    environment = {
        **os.environ,
        "WINBACK_HOME": str(home),
        "PYTHONPATH": f"{PROJECT}/plugins:{PROJECT}",
        **{f"WINBACK_SCHEDULE_{name}": "none" for name in ("INGEST", "OUTREACH", "EVENTS", "KPI")},
    }

    def winback(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "winback", *arguments],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    try:
        up = winback("up")
        assert (up.returncode, up.stderr) == (0, "")
        state = json.loads((home / "run" / "state.json").read_text())
        assert state["urls"]["airflow"] in up.stdout

        # the plugin is there: it refuses what is not signed, instead of not being found
        webhook = httpx.post(
            # the first answer of a server on a busy machine
            f"{state['urls']['airflow']}/winback/webhook", trust_env=False, timeout=60,
        )  # fmt: skip
        assert webhook.status_code not in (404, 405)

        second = winback("up")
        assert second.returncode == 1
        assert f"winback runs already at {state['urls']['airflow']}" in second.stderr
        assert second.stderr.count("\n") == 1

        status = winback("status")
        assert status.returncode == 0
        assert state["urls"]["airflow"] in status.stdout

        unknown = winback("run", "winback_nonsense")
        assert unknown.returncode == 1
        assert "no DAG 'winback_nonsense'" in unknown.stderr

        query = winback("sql", "--csv", "select current_user as me, 1 + 1 as two")
        assert query.stdout == "me,two\nwinback_bi,2\n"
        assert "read-only" in winback("sql", "create table public.x ()").stderr
        assert "personal" not in winback("sql", "select * from pii.nothing").stdout

        assert "scheduler" in winback("logs").stdout
    finally:
        down = winback("down")
    assert (down.returncode, down.stdout) == (0, "stopped winback\n")
    assert marked_with(f"{home}#") == []
    postmaster = state["pids"]["postgres"]
    assert processes.started_at(postmaster) is None
    assert winback("status").returncode == 3
    assert winback("sql", "--csv", "select 1 as one").stdout == "one\n1\n"
    postgres_place.wipe(home / "postgres")
