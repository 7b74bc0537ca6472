"""The demo on The Complete Journey."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.integration.complete_journey import RESPONSE
from winback.demo.demo_data import DATA

pytestmark = pytest.mark.timeout(600)


def demo(home: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return winback(home, "demo", *flags, "--exit")


def winback(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"WINBACK_HOME": str(home), "COLUMNS": "120"}
    command = [sys.executable, "-m", "winback", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_whole_demo(journey: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "completejourney").symlink_to(journey)
    result = demo(tmp_path, "--data", "completejourney")
    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    dates = summary["dates"]
    assert [each["as_of"] for each in dates] == ["2017-09-01", "2017-11-01", "2018-01-01"]
    assert [each["n_customers"] for each in dates] == [2_430, 2_452, 2_469]
    assert [each["n_six_months"] for each in dates] == [26, 39, 58]
    for each in dates:
        parts = each["n_excluded"] + each["n_holdout"] + each["n_treated"]
        assert each["n_candidates"] == parts
        assert each["n_accepted"] == each["n_treated"] > 30
    # the windows of the first two have closed, that of the last has not
    assert [each["naive_pct"] is None for each in dates] == [False, False, True]
    shares = {each["campaign_type"]: each["response_pct"] for each in summary["external_campaigns"]}
    assert {kind: round(share, 1) for kind, share in shares.items()} == RESPONSE
    said = " ".join(result.stdout.split())
    for text in (
        "simulated after real shopping habits",
        "not for research, nor for business decisions",
        "are made up",
        "16.6 %",
        "6.5 %",
        "5.9 %",
        "came back within 60 days: many of the lapsed were only pausing",
    ):
        assert text in said, text
    assert "purchases are real" not in said
    assert "simulated" in summary["caveat"]
    # a command that comes after the demo works on the demo's data, not on CDNOW's
    loaded = winback(tmp_path, "sources", "load", "products")
    assert loaded.stdout == "products: 92,331 received = 92,331 passed + 0 quarantined\n"


def test_a_choice_that_can_not_be_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for flags, mend in (
        (("--data", "dunnhumby"), "--data dunnhumby: write one of cdnow, completejourney"),
        (("--data", "completejourney", "--break", "orders"), "leave out --data completejourney"),
    ):
        result = demo(tmp_path, *flags)
        assert result.returncode == 1
        assert mend in " ".join(result.stderr.split())
        assert "data" not in result.stdout
        assert not (tmp_path / "data").exists()


def test_the_dates_leave_room_for_history_and_windows() -> None:
    dates = DATA["completejourney"].dates
    assert dates[0] - timedelta(days=180) > date(2017, 1, 1)
    assert all(later > earlier + timedelta(days=60) for earlier, later in pairwise(dates))
