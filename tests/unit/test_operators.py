"""What a run is about: its as-of date, and the snapshots that asset events name."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from winback import operators
from winback.settings import settings


def run(kind: str = "scheduled", **times: datetime | None) -> Any:
    due = datetime(2025, 3, 1, 23, 30, tzinfo=UTC)
    return SimpleNamespace(run_type=kind, logical_date=None, run_after=due, **times)


def snapshot(snapshot_id: int, as_of: str, purpose: str) -> dict[str, Any]:
    return {"snapshot_id": snapshot_id, "as_of": as_of, "purpose": purpose}


def told(*extras: dict[str, Any]) -> Any:
    events = [SimpleNamespace(extra=extra) for extra in extras]
    return {"triggering_asset_events": {operators.RAW: events}}


def test_the_date_is_the_one_asked_for_else_the_business_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WINBACK_BUSINESS_TIMEZONE", "Europe/Berlin")
    settings.cache_clear()
    asked = {"params": {"as_of": "1998-06-30"}, "dag_run": run()}
    assert operators.as_of_of(asked) == date(1998, 6, 30)
    # half past eleven in UTC is the next day already in Berlin
    for params in ({"as_of": None}, {}, None):
        assert operators.as_of_of({"params": params, "dag_run": run()}) == date(2025, 3, 2)
    backfilled = SimpleNamespace(logical_date=datetime(2025, 1, 5, 4, tzinfo=UTC), run_after=None)
    assert operators.as_of_of({"params": {}, "dag_run": backfilled}) == date(2025, 1, 5)


def test_every_backfill_counts_but_only_the_newest_live_snapshot() -> None:
    first, second = snapshot(1, "2025-03-01", "live"), snapshot(4, "2025-03-02", "live")
    old, older = snapshot(2, "2025-01-05", "backfill"), snapshot(3, "2025-01-04", "backfill")
    assert operators.snapshots_of(told(second, old, first, older)) == [old, older, second]
    assert operators.snapshots_of(told(first)) == [first]
    assert operators.snapshots_of(told(old)) == [old]


def test_a_schedule_without_a_dataset_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings().dataset == ""
    with pytest.raises(AirflowSkipException, match="no dataset is chosen yet"):
        operators.extract.function(dag_run=run("scheduled"), params={})


def test_a_run_by_the_clock_selects_nobody_and_sends_what_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    selected = []
    monkeypatch.setattr("winback.select.selection.select", lambda *given: selected.append(given))
    monkeypatch.setattr("winback.extract.snapshot.newest_live", lambda: (7, date(2025, 3, 1)))
    monkeypatch.setattr("winback.warehouse.connection.connect", nullcontext)
    monkeypatch.setattr("winback.outreach.campaign_state.anything_waits", lambda _: True)
    newest = snapshot(7, "2025-03-01", "live")
    by_clock = {"dag_run": run("scheduled"), "triggering_asset_events": {}}
    assert operators.select.function(**by_clock) == [newest]
    assert selected == []
    by_asset = {"dag_run": run("asset_triggered"), **told(newest)}
    assert operators.select.function(**by_asset) == [newest]
    assert selected == [(7, date(2025, 3, 1))]


def test_when_nothing_waits_the_clock_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # most of all when today's snapshot is not there yet, and nothing could be sent from the newest
    monkeypatch.setattr("winback.extract.snapshot.newest_live", lambda: (7, date(2025, 3, 1)))
    monkeypatch.setattr("winback.warehouse.connection.connect", nullcontext)
    monkeypatch.setattr("winback.outreach.campaign_state.anything_waits", lambda _: False)
    with pytest.raises(AirflowSkipException, match="nothing waits"):
        operators.select.function(dag_run=run("scheduled"), triggering_asset_events={})


def test_a_backfill_selects_and_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    selected = []
    monkeypatch.setattr("winback.select.selection.select", lambda *given: selected.append(given))
    monkeypatch.setattr("winback.extract.snapshot.newest_live", lambda: (7, date(2025, 3, 1)))
    with pytest.raises(AirflowSkipException, match="a backfill computes and never sends"):
        operators.select.function(dag_run=run("backfill"), triggering_asset_events={})
    assert selected == []


def test_before_anything_was_extracted_the_clock_starts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("winback.extract.snapshot.newest_live", lambda: None)
    with pytest.raises(AirflowSkipException, match="nothing was extracted yet"):
        operators.select.function(dag_run=run("scheduled"), triggering_asset_events={})
