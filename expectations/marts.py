"""Gate `marts`: are the tables that outreach selects from of this date, whole and plausible?

Here stand the limits, each with its reason; how a number is measured stands in `measures/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from expectations.measures.tables import CANDIDATES, INACTIVE, STATES, measure_marts
from winback.gate import Batch, Measure, Subject, measured
from winback.gate.limits import at_least, at_most, between
from winback.settings import settings


def measures(connection: Connection, batch: Batch) -> list[Measure]:
    """What the gate measures before it judges; as the loader."""
    return measure_marts(connection, batch)


def subjects(
    snapshot_id: int,
    as_of: Any = None,
    suffix: str = "",
    max_age_days: Mapping[str, int | None] | None = None,
) -> list[Subject]:
    """What the gate looks at.

    Args:
        snapshot_id: The snapshot the marts were built from and that was measured.
        as_of: Not used: it went into the measures.
        suffix: Not used: it went into the measures.
        max_age_days: Not used: the gate of the raw tables judges feeds.
    """
    return [
        measured(snapshot_id, STATES, _states(), indispensable=["n_customers"]),
        measured(snapshot_id, INACTIVE, _inactive()),
        measured(snapshot_id, CANDIDATES, _candidates()),
    ]


def _states() -> list[Any]:
    limit = settings().max_state_change_points
    return [
        at_least(
            "n_customers",
            1,
            "at least one customer",
            "No rows would make every other check a success.",
            "dbt_project/models/marts/winback/fct_customer_states.yml",
        ),
        at_most(
            "n_of_another_date",
            0,
            "every row is of the as-of date",
            "The marts are of another date: they were not rebuilt from this snapshot.",
            "docs/naming.md, as_of",
        ),
        at_most(
            "n_repeated_customers",
            0,
            "one state for each customer",
            "Two states for one customer would put the same person on two lists.",
            "dbt_project/models/marts/winback/fct_customer_states.yml",
        ),
        at_most(
            "n_purchases_not_known",
            0,
            "every last purchase lies before the as-of date",
            "A purchase on or after the as-of date is not known on it.",
            "docs/naming.md, as_of",
        ),
        at_most(
            "state_change_points",
            limit,
            f"no state's share of the customers moved by more than {limit:g} points",
            "People do not change that fast together: more likely orders are missing, or a rule"
            " or setting changed. Look at it before many are written to.",
            "setting max_state_change_points",
        ),
    ]


def _inactive() -> list[Any]:
    days = settings().inactive_days
    return [
        at_most(
            "n_bought_within_limit",
            0,
            f"nobody on the list bought within {days} days",
            "Somebody who bought within the limit is on the list of the inactive.",
            "setting inactive_days",
        )
    ]


def _candidates() -> list[Any]:
    ceiling, change = settings().max_candidates_pct, settings().max_candidates_change_pct
    return [
        at_most(
            "candidates_pct",
            ceiling,
            f"at most {ceiling:g} % of the customers are candidates",
            "Nearly everybody looks lost: more likely orders are missing.",
            "setting max_candidates_pct",
        ),
        between(
            "candidates_change_pct",
            -change,
            change,
            f"at most {change:g} % more or fewer candidates than the time before",
            "An audience that jumps means that orders are missing or came twice, or that a rule"
            " changed: everybody added would be written to at once.",
            "setting max_candidates_change_pct",
        ),
    ]
