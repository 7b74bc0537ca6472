"""The step gate: measures a snapshot, has it judged, keeps the verdict, and raises on a failure."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from psycopg import Connection

from winback.errors import GateFailed
from winback.gate import data_docs, records, screen
from winback.gate.acceptance import accepted_run_that_covers
from winback.gate.examples import examples_of
from winback.gate.judging import judge
from winback.gate.subject import Finding, Measure, Subject
from winback.gate.wording import with_unit
from winback.settings import settings
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

Measures = Mapping[tuple[str, str], Measure]


def run_gate(gate: str, snapshot_id: int, as_of: date, suffix: str = "") -> None:
    """Judges a snapshot by one gate.

    Args:
        gate: `raw` or `marts`: a module of `expectations/`.
        snapshot_id: The snapshot that is judged.
        as_of: Its date.
        suffix: Suffix of the schemas it was built in.

    Raises:
        GateFailed: An expectation is not met, a table is empty, or there is nothing to check; and
            no person accepted that for this snapshot. The verdict is stored before.
    """
    suite = importlib.import_module(f"expectations.{gate}")
    with warehouse.connect("loader") as connection:
        batch = records.read_batch(connection, gate, snapshot_id, suffix)
        measures = {(m.about, m.name): m for m in suite.measures(connection, batch)}
        records.write_measures(connection, snapshot_id, measures.values())
    subjects, not_judged = _judged_now(
        suite.subjects(snapshot_id, as_of, suffix, batch.max_age_days), measures
    )
    judgement = judge(subjects, warehouse_url())
    with warehouse.connect("loader") as connection:
        findings = [_explained(connection, each, measures) for each in judgement.findings]
        findings += not_judged
        accepted_as = accepted_run_that_covers(connection, gate, snapshot_id, findings)
        gate_run_id = records.write_run(connection, gate, snapshot_id, findings, accepted_as)
        run = records.read_run(connection, gate_run_id)
    folder = settings().home / "gates"
    for line in screen.lines(run, findings, data_docs.page_of(folder, run)):
        log.log(_level(run), "%s", line.plain)
    data_docs.write_page(folder, run, judgement.results, not_judged)
    if _level(run) == logging.ERROR:
        raise GateFailed(_message(run, findings))


def _level(run: records.GateRun) -> int:
    if run.is_passed:
        return logging.INFO
    return logging.ERROR if run.accepted_run is None else logging.WARNING


def warehouse_url() -> str:
    """The warehouse's URL for SQLAlchemy, acting as the loader."""
    plain = warehouse.url().replace("postgresql://", "postgresql+psycopg://", 1)
    return f"{plain}{'&' if '?' in plain else '?'}options=-crole%3Dwinback_loader"


def _judged_now(
    subjects: Sequence[Subject], measures: Measures
) -> tuple[list[Subject], list[Finding]]:
    """Takes out what can not be judged yet; that is said, and is no failure."""
    now, later = [], []
    for subject in subjects:
        judged = []
        for expectation in subject.expectations:
            measure = measures.get((subject.name, expectation.column))
            if measure is not None and measure.value is None:
                later.append(_not_judged(subject, expectation, str(measure.detail)))
            else:
                judged.append(expectation)
        now.append(replace(subject, expectations=judged))
    return now, later


def _not_judged(subject: Subject, expectation: object, reason: str) -> Finding:
    config = expectation.configuration  # type: ignore[attr-defined]
    return Finding(
        subject=subject.name,
        expectation=config.type,
        column=config.kwargs["column"],
        expected=config.description,
        is_met=True,
        observed="not judged yet",
        n_unexpected=None,
        why=config.meta["why"],
        source=config.meta["source"],
        not_judged=reason,
    )


def _explained(connection: Connection, finding: Finding, measures: Measures) -> Finding:
    """Says in a measure's own words what was seen, and for a failure shows rows."""
    measure = measures.get((finding.subject, str(finding.column)))
    if measure is None or measure.value is None:
        return finding
    explained = replace(finding, observed=with_unit(measure), n_unexpected=measure.n_rows)
    if finding.is_met or not measure.rows:
        return explained
    return replace(explained, rows=measure.rows, examples=examples_of(connection, measure.rows))


def _message(run: records.GateRun, findings: Sequence[Finding]) -> str:
    failed = [finding for finding in findings if not finding.is_met]
    parts = [
        f"gate {run.gate}: {run.n_failed} of {run.n_expectations} expectations failed, nothing"
        f" will be sent from snapshot {run.snapshot_id} of {run.as_of}",
        *map(str, failed[:3]),
        f"see ./winback gate show {run.gate_run_id}; mend it and run winback_ingest again, or let"
        f' it pass on purpose: ./winback gate accept {run.gate_run_id} --reason "…"',
    ]
    return " | ".join(parts)
