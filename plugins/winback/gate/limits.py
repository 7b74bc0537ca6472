"""Limits of a measure, as Great Expectations' objects: at most, at least, between.

A measured subject is one row, so the largest value of a column is the value. Whoever imports this
waits for Great Expectations.
"""

from __future__ import annotations

from typing import Any

from great_expectations.expectations.core.expect_column_max_to_be_between import (
    ExpectColumnMaxToBeBetween,
)


def at_most(column: str, limit: float, expected: str, why: str, source: str) -> Any:
    """The measure may not be larger.

    Args:
        column: Name of the measure.
        limit: Largest value that is fit to act on, in the measure's unit.
        expected: The same in words, such as "at most 2 % of the rows are in quarantine".
        why: Why it matters, and what to do.
        source: The setting, file or document that it comes from.
    """
    return _limit(column, None, limit, expected, why, source)


def at_least(column: str, limit: float, expected: str, why: str, source: str) -> Any:
    """The measure may not be smaller; else as `at_most`."""
    return _limit(column, limit, None, expected, why, source)


def between(column: str, low: float, high: float, expected: str, why: str, source: str) -> Any:
    """The measure lies between two limits, which are fine themselves; else as `at_most`."""
    return _limit(column, low, high, expected, why, source)


def _limit(
    column: str, low: float | None, high: float | None, expected: str, why: str, source: str
) -> Any:
    return ExpectColumnMaxToBeBetween(
        column=column,
        min_value=low,
        max_value=high,
        description=expected,
        notes=why,
        meta={"why": why, "source": source},
    )
