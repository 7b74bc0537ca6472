"""Great Expectations judges: subjects in, findings and its own results out.

One ephemeral context per gate. Results carry counts and no row's values: the lists of unexpected
values that Great Expectations would add are switched off, and so is its usage reporting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from winback.gate.subject import Finding, Subject

# Great Expectations' lists of values stay out of its results, and so out of pages and tables
RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}


@dataclass(frozen=True)
class Judgement:
    """What came of the subjects.

    Attributes:
        findings: One per expectation.
        results: Great Expectations' own result of each suite, for its pages.
    """

    findings: list[Finding]
    results: list[Any]


def judge(subjects: Sequence[Subject], url: str) -> Judgement:
    """Checks every subject; a table without rows and a suite without expectations fail as well.

    Args:
        subjects: What is checked.
        url: SQLAlchemy URL of the warehouse.
    """
    import great_expectations as gx

    tables = _context().data_sources.add_postgres("warehouse", connection_string=url)
    findings: list[Finding] = []
    results = []
    for subject in subjects:
        if not subject.expectations:
            findings.append(_empty_suite(subject.name))
            continue
        asset = tables.add_query_asset(subject.name, query=subject.query)
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        expectations = [_some_rows(), *subject.expectations]
        suite = gx.ExpectationSuite(subject.name, expectations=expectations)
        result = batch.validate(suite, result_format=RESULT_FORMAT)
        results.append(result)
        findings += [_finding(subject, each) for each in result.results]
    return Judgement(findings or [_empty_suite("the suite")], results)


def _context() -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    # the pages are ours (data_docs.py): without this, each context leaves a folder behind in /tmp
    stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    config = DataContextConfig(
        store_backend_defaults=stores,
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _some_rows() -> Any:
    from great_expectations.expectations.core.expect_table_row_count_to_be_between import (
        ExpectTableRowCountToBeBetween,
    )

    return ExpectTableRowCountToBeBetween(
        min_value=1,
        description="at least one row",
        meta={
            "why": "No rows would make every other check a success.",
            "source": "plugins/winback/gate/judging.py",
        },
    )


def _empty_suite(name: str) -> Finding:
    return Finding(
        subject=name,
        expectation="suite_not_empty",
        column=None,
        expected="at least one expectation",
        is_met=False,
        observed="no expectation",
        n_unexpected=None,
        why="A gate that checks nothing would let everything through.",
        source="plugins/winback/gate/judging.py",
        can_be_accepted=False,
    )


def _finding(subject: Subject, result: Any) -> Finding:
    config, found = result.expectation_config, result.result
    column = config.kwargs.get("column")
    n_unexpected = found.get("unexpected_count")
    problem = _problem(result.exception_info or {})
    if problem:
        observed = f"could not be checked: {' '.join(problem.split())[:200]}"
    elif n_unexpected is not None:
        observed = f"{n_unexpected} of {found.get('element_count')} rows do not fit"
    else:
        observed = f"observed {found.get('observed_value')}"
    return Finding(
        subject=subject.name,
        expectation=config.type,
        column=column,
        expected=config.description or _limits(config.kwargs),
        is_met=bool(result.success),
        observed=observed,
        n_unexpected=n_unexpected,
        why=config.meta["why"],
        source=config.meta["source"],
        can_be_accepted=not problem
        and column is not None
        and column not in subject.indispensable
        and found.get("observed_value", n_unexpected) is not None,
    )


def _problem(exception_info: Any) -> str | None:
    """What went wrong while an expectation was checked; Great Expectations nests it or does not."""
    if "exception_message" in exception_info:
        message = exception_info["exception_message"]
        return None if message is None else str(message)
    messages = [info.get("exception_message") for info in exception_info.values()]
    return next((str(each) for each in messages if each), None)


def _limits(kwargs: dict[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"at least {low}"
    return f"at most {high}" if high is not None else "that every row fits"
