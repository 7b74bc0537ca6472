"""The steps of one day, one after the other as in the DAGs, without Airflow."""

from __future__ import annotations

from datetime import date

from winback.dbt_build import PARTS, run_part, schema_suffix
from winback.extract.snapshot import extract, purpose_of
from winback.gate import has_passed, run_gate
from winback.select.selection import Selected, select
from winback.warehouse import connection as warehouse


def up_to_gate(as_of: date, *, is_backfill: bool = False) -> int:
    """Extracts, stages, models and gates; returns the snapshot."""
    snapshot_id = extract(as_of, purpose_of(as_of, is_backfill=is_backfill))
    run_gate("raw", snapshot_id, as_of)
    suffix = schema_suffix(snapshot_id)
    # without the data tests, which the tests of DAGs and models run
    for part in PARTS:
        results = run_part(["--quiet", "run"], part, as_of, suffix)
        assert {status for status, _ in results.values()} == {"success"}, results
    run_gate("marts", snapshot_id, as_of, suffix)
    return snapshot_id


def up_to_select(as_of: date) -> tuple[int, list[Selected]]:
    """As `up_to_gate`, then selects."""
    snapshot_id = up_to_gate(as_of)
    return snapshot_id, select(snapshot_id, as_of)


def gates_have_passed(snapshot_id: int) -> bool:
    """What the steps that act on a snapshot are told."""
    with warehouse.connect("sender") as connection:
        return has_passed(connection, snapshot_id)
