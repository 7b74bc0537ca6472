"""What is kept of the gates: measures, runs with their findings, and what a person let pass.

Nothing here judges. A measure is kept once per snapshot, a run and an acceptance for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Json

from winback.errors import GateFailed, WinbackError
from winback.gate.subject import Batch, Earlier, Finding, Measure


class UnknownRun(WinbackError):
    """There is no gate run of that number."""


@dataclass(frozen=True)
class GateRun:
    """One run of a gate.

    Attributes:
        gate_run_id: Its number, what people call it by.
        gate: `raw` or `marts`.
        snapshot_id: What was judged.
        as_of: The snapshot's date.
        purpose: `live` or `backfill`.
        is_passed: Whether every expectation was met.
        n_expectations: How many could be judged.
        n_failed: How many were not met.
        decided_at: When.
        accepted_by: Who let it pass on purpose, if anybody did.
        accepted_at: When.
        reason: Why.
        accepted_run: The run that was accepted: this one, or an earlier one of the same snapshot
            with the same failures.
    """

    gate_run_id: int
    gate: str
    snapshot_id: int
    as_of: date
    purpose: str
    is_passed: bool
    n_expectations: int
    n_failed: int
    decided_at: datetime
    accepted_by: str | None
    accepted_at: datetime | None
    reason: str | None
    accepted_run: int | None


_RUNS = """
select run.gate_run_id, run.gate, run.snapshot_id, snapshot.as_of, snapshot.purpose, run.is_passed,
    run.n_expectations, run.n_failed, run.decided_at, acceptance.accepted_by,
    acceptance.accepted_at, acceptance.reason, acceptance.gate_run_id as accepted_run
from ops.gate_run as run
inner join ops.snapshot as snapshot using (snapshot_id)
left join ops.gate_acceptance as acceptance
    on acceptance.gate_run_id = coalesce(run.accepted_as, run.gate_run_id)
"""


def newest_runs(connection: Connection, n: int) -> list[GateRun]:
    """The newest runs, newest first."""
    with connection.cursor(row_factory=class_row(GateRun)) as cursor:
        return cursor.execute(_RUNS + " order by run.gate_run_id desc limit %s", (n,)).fetchall()


def read_run(connection: Connection, gate_run_id: int) -> GateRun:
    """One run.

    Raises:
        UnknownRun: There is none of that number.
    """
    with connection.cursor(row_factory=class_row(GateRun)) as cursor:
        run = cursor.execute(_RUNS + " where run.gate_run_id = %s", (gate_run_id,)).fetchone()
    if run is None:
        raise UnknownRun(f"there is no gate run {gate_run_id}: ./winback gate list shows them")
    return run


def read_findings(connection: Connection, gate_run_id: int) -> list[Finding]:
    """What a run found, in the order in which it was judged."""
    with connection.cursor(row_factory=class_row(Finding)) as cursor:
        return cursor.execute(
            'select table_name as subject, expectation, column_name as "column",'
            " coalesce(expected, '') as expected, is_met, observed, n_unexpected, why, source,"
            " not_judged, can_be_accepted, rows, examples"
            " from ops.gate_result where gate_run_id = %s order by gate_result_id",
            (gate_run_id,),
        ).fetchall()


def read_batch(connection: Connection, gate: str, snapshot_id: int, suffix: str) -> Batch:
    """What there is to judge of a snapshot, and what it is compared with.

    Raises:
        GateFailed: There is no such snapshot.
    """
    row = connection.execute(
        "select as_of, purpose = 'live' from ops.snapshot where snapshot_id = %s", (snapshot_id,)
    ).fetchone()
    if row is None:
        raise GateFailed(f"there is no snapshot {snapshot_id}: run winback_ingest first")
    as_of, is_live = row
    ages = connection.execute(
        "select run.feed, status.max_age_days from ops.extract_run as run"
        " left join ops.feed_status as status using (feed)"
        " where run.snapshot_id = %s order by run.extract_run_id",
        (snapshot_id,),
    ).fetchall()
    earlier = _earlier(connection, gate, snapshot_id) if is_live else None
    return Batch(snapshot_id, as_of, is_live, suffix, dict(ages), earlier)


def _earlier(connection: Connection, gate: str, snapshot_id: int) -> Earlier | None:
    row = connection.execute(
        "select before.snapshot_id, before.as_of from ops.snapshot as now"
        " inner join ops.snapshot as before on before.dataset = now.dataset"
        " and before.purpose = 'live' and before.as_of <= now.as_of"
        " and before.snapshot_id < now.snapshot_id"
        " inner join ops.gate_verdict as verdict on verdict.snapshot_id = before.snapshot_id"
        " where now.snapshot_id = %s and verdict.gate = %s and verdict.is_fit"
        " order by before.as_of desc, before.snapshot_id desc limit 1",
        (snapshot_id, gate),
    ).fetchone()
    if row is None:
        return None
    measures = connection.execute(
        "select about, measure, cast(value as float8) from ops.gate_measure"
        " where snapshot_id = %s and value is not null",
        (row[0],),
    )
    return Earlier(row[0], row[1], {(about, name): value for about, name, value in measures})


def write_measures(connection: Connection, snapshot_id: int, measures: Iterable[Measure]) -> None:
    """Keeps what was measured of a snapshot, in place of what was measured of it before."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.gate_measure (snapshot_id, about, measure, value, n_rows, n_of,"
            " detail) values (%s, %s, %s, %s, %s, %s, %s)"
            " on conflict (snapshot_id, about, measure) do update set value = excluded.value,"
            " n_rows = excluded.n_rows, n_of = excluded.n_of, detail = excluded.detail,"
            " measured_at = now()",
            [(snapshot_id, m.about, m.name, m.value, m.n_rows, m.n_of, m.detail) for m in measures],
        )


def write_run(
    connection: Connection,
    gate: str,
    snapshot_id: int,
    findings: Sequence[Finding],
    accepted_as: int | None,
) -> int:
    """Keeps the verdict and every finding; returns the run's number.

    Args:
        connection: Acts as the loader.
        gate: `raw` or `marts`.
        snapshot_id: What was judged.
        findings: What was found.
        accepted_as: The accepted run that covers every failure, if there is one.
    """
    n_failed = sum(not finding.is_met for finding in findings)
    n_judged = sum(finding.not_judged is None for finding in findings)
    [(gate_run_id,)] = connection.execute(
        "insert into ops.gate_run (snapshot_id, gate, is_passed, n_expectations, n_failed,"
        " accepted_as) values (%s, %s, %s, %s, %s, %s) returning gate_run_id",
        (snapshot_id, gate, n_failed == 0, n_judged, n_failed, accepted_as),
    ).fetchall()
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.gate_result (gate_run_id, table_name, expectation, column_name,"
            " expected, is_met, observed, n_unexpected, why, source, not_judged, can_be_accepted,"
            " rows, examples)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [_result_row(gate_run_id, finding) for finding in findings],
        )
    return int(gate_run_id)


def _result_row(gate_run_id: int, found: Finding) -> tuple[object, ...]:
    return (
        gate_run_id,
        found.subject,
        found.expectation,
        found.column,
        found.expected,
        found.is_met,
        found.observed,
        found.n_unexpected,
        found.why,
        found.source,
        found.not_judged,
        found.can_be_accepted,
        found.rows,
        Json(list(found.examples)),
    )
