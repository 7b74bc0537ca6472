"""The step gate: is this batch fit to act on? Runs a suite, stores the verdict, then raises.

What is expected stands in `expectations/`, one module per gate, with the reason for each. dbt
asserts what holds for any row; a gate judges a batch as a whole. Results are stored without row
values.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from winback.errors import DispatchRefused, GateFailed
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """Something that a gate looks at.

    Attributes:
        name: What it is called in results, such as `raw.orders`.
        query: The rows it consists of.
        expectations: Great Expectations objects; each carries meta `why` and `source`.
        may_be_empty: Whether no rows are fine; only where that can really happen.
    """

    name: str
    query: str
    expectations: Sequence[Any]
    may_be_empty: bool = False


@dataclass(frozen=True)
class Finding:
    """What one expectation found; never a value of a row."""

    subject: str
    expectation: str
    column: str | None
    is_met: bool
    observed: str
    n_unexpected: int | None
    why: str
    source: str

    def __str__(self) -> str:
        column = f"({self.column})" if self.column else ""
        return f"{self.expectation}{column} on {self.subject}: {self.observed}. {self.why}"


def run_gate(gate: str, snapshot_id: int, as_of: date, suffix: str = "") -> None:
    """Judges a snapshot by one gate.

    Args:
        gate: `raw` or `marts`: a module of `expectations/`.
        snapshot_id: The snapshot that is judged.
        as_of: Its date.
        suffix: Suffix of the schemas it was built in.

    Raises:
        GateFailed: An expectation is not met, a table is empty, or there is nothing to check. The
            verdict is stored before.
    """
    subjects = importlib.import_module(f"expectations.{gate}").subjects(snapshot_id, as_of, suffix)
    findings = judge(subjects, warehouse_url())
    failed = [finding for finding in findings if not finding.is_met]
    _store(gate, snapshot_id, findings)
    for finding in findings:
        log.log(
            logging.INFO if finding.is_met else logging.ERROR,
            "%s %s",
            "met   " if finding.is_met else "FAILED",
            finding,
        )
    if failed:
        raise GateFailed(
            f"gate {gate}: {len(failed)} of {len(findings)} expectations failed, nothing will be"
            f" sent from snapshot {snapshot_id}. " + " | ".join(map(str, failed[:3]))
        )


def judge(subjects: Sequence[Subject], url: str) -> list[Finding]:
    """Checks every subject; a table without rows and a suite without expectations fail as well.

    Args:
        subjects: What is checked.
        url: SQLAlchemy URL of the warehouse.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.core.expect_table_row_count_to_be_between import (
        ExpectTableRowCountToBeBetween,
    )

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    tables = context.data_sources.add_postgres("warehouse", connection_string=url)
    findings = []
    for subject in subjects:
        if not subject.expectations:
            findings.append(_empty_suite(subject.name))
            continue
        asset = tables.add_query_asset(subject.name, query=subject.query)
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        expectations = list(subject.expectations)
        if not subject.may_be_empty:
            why = "No rows would make every other check a success."
            meta = {"why": why, "source": "plugins/winback/gate.py"}
            expectations.insert(0, ExpectTableRowCountToBeBetween(min_value=1, meta=meta))
        suite = gx.ExpectationSuite(subject.name, expectations=expectations)
        result = batch.validate(suite, result_format="BASIC")
        findings += [_finding(subject.name, each) for each in result.results]
    return findings or [_empty_suite("the suite")]


def warehouse_url() -> str:
    """The warehouse's URL for SQLAlchemy, acting as the loader."""
    plain = warehouse.url().replace("postgresql://", "postgresql+psycopg://", 1)
    return f"{plain}{'&' if '?' in plain else '?'}options=-crole%3Dwinback_loader"


def require_fit_to_act(snapshot_id: int, as_of: date) -> None:
    """Refuses a snapshot that nobody may be selected or written to from.

    Raises:
        DispatchRefused: It is a backfill, of another date, not the newest, or did not pass.
    """
    with warehouse.connect("sender") as connection:
        row = connection.execute(
            "select purpose, as_of, snapshot_id = (select snapshot_id from ops.newest_snapshot)"
            " from ops.snapshot where snapshot_id = %s",
            (snapshot_id,),
        ).fetchone()
    if row is None:
        raise DispatchRefused(f"there is no snapshot {snapshot_id}: run winback_ingest first")
    purpose, of_date, is_newest = row
    if purpose != "live":
        raise DispatchRefused(
            f"snapshot {snapshot_id} is a backfill: backfills compute, never send"
        )
    if of_date != as_of:
        raise DispatchRefused(f"snapshot {snapshot_id} is of {of_date}, not of {as_of}")
    if not is_newest:
        # an older one does not know who withdrew since, and the marts are of another date
        raise DispatchRefused(
            f"snapshot {snapshot_id} of {as_of} is not the newest complete one: what is planned"
            " goes out with the newest"
        )
    if not has_passed(snapshot_id):
        raise DispatchRefused(
            f"snapshot {snapshot_id} of {as_of} has not passed the gates raw and marts: nothing is"
            " sent; see ops.gate_result, mend the data and run winback_ingest again"
        )


def has_passed(snapshot_id: int) -> bool:
    """Whether the newest verdict of every gate on a snapshot is a pass; no verdict is none."""
    with warehouse.connect("sender") as connection:
        verdicts = dict(
            connection.execute(
                "select distinct on (gate) gate, is_passed from ops.gate_run"
                " where snapshot_id = %s order by gate, gate_run_id desc",
                (snapshot_id,),
            ).fetchall()
        )
    return verdicts == {"raw": True, "marts": True}


def _empty_suite(name: str) -> Finding:
    return Finding(
        name, "suite_not_empty", None, False, "no expectation", None,
        "A gate that checks nothing would let everything through.", "plugins/winback/gate.py",
    )  # fmt: skip


def _finding(subject: str, result: Any) -> Finding:
    config, found = result.expectation_config, result.result
    n_unexpected = found.get("unexpected_count")
    error = (result.exception_info or {}).get("exception_message")
    if error is None:
        error = next(
            (
                info["exception_message"]
                for info in (result.exception_info or {}).values()
                if isinstance(info, dict) and info.get("exception_message")
            ),
            None,
        )
    if error:
        observed = f"could not be checked: {' '.join(str(error).split())[:200]}"
    elif n_unexpected is not None:
        observed = f"{n_unexpected} of {found.get('element_count')} rows do not fit"
    else:
        observed = f"observed {found.get('observed_value')}{_limits(config.kwargs)}"
    return Finding(
        subject=subject,
        expectation=config.type,
        column=config.kwargs.get("column"),
        is_met=bool(result.success),
        observed=observed,
        n_unexpected=n_unexpected,
        why=config.meta["why"],
        source=config.meta["source"],
    )


def _limits(kwargs: dict[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is not None and high is not None:
        return f", expected {low} to {high}"
    if low is not None:
        return f", expected at least {low}"
    return f", expected at most {high}" if high is not None else ""


def _store(gate: str, snapshot_id: int, findings: Sequence[Finding]) -> None:
    n_failed = sum(not finding.is_met for finding in findings)
    with warehouse.connect("loader") as connection:
        row = connection.execute(
            "insert into ops.gate_run (snapshot_id, gate, is_passed, n_expectations, n_failed)"
            " values (%s, %s, %s, %s, %s) returning gate_run_id",
            (snapshot_id, gate, n_failed == 0, len(findings), n_failed),
        ).fetchone()
        assert row is not None
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into ops.gate_result (gate_run_id, table_name, expectation, column_name,"
                " is_met, observed, n_unexpected, why, source)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (
                        row[0],
                        f.subject,
                        f.expectation,
                        f.column,
                        f.is_met,
                        f.observed,
                        f.n_unexpected,
                        f.why,
                        f.source,
                    )
                    for f in findings
                ],
            )
