"""Gate `marts`: are the tables that outreach selects from of this date, whole and plausible?"""

from __future__ import annotations

from datetime import date
from typing import Any

import great_expectations.expectations as gxe

from winback.gate import Subject
from winback.settings import settings


def subjects(snapshot_id: int, as_of: date, suffix: str) -> list[Subject]:
    """What the gate looks at.

    Args:
        snapshot_id: The snapshot the marts were built from; they do not carry it.
        as_of: Its date, which every mart must bear.
        suffix: Suffix of the schemas the marts were built in.
    """
    config = settings()
    marts = f"marts{suffix}"
    return [
        Subject(
            f"{marts}.fct_customer_states",
            "select customer_key, as_of, days_since_last_purchase"
            f" from {marts}.fct_customer_states",
            [
                gxe.ExpectColumnDistinctValuesToEqualSet(
                    column="as_of",
                    value_set=[as_of],
                    meta=_meta(
                        "The marts are of another date: they were not rebuilt from this snapshot.",
                        "docs/naming.md, as_of",
                    ),
                ),
                gxe.ExpectColumnValuesToBeUnique(
                    column="customer_key",
                    meta=_meta(
                        "Two states for one customer would put the same person on two lists.",
                        "dbt_project/models/marts/winback/fct_customer_states.yml",
                    ),
                ),
                gxe.ExpectColumnValuesToBeBetween(
                    column="days_since_last_purchase",
                    min_value=1,
                    meta=_meta(
                        "A purchase on or after the as-of date is not known on it.",
                        "docs/naming.md, as_of",
                    ),
                ),
            ],
        ),
        Subject(
            f"{marts}.fct_inactive_six_months",
            f"select days_since_last_purchase from {marts}.fct_inactive_six_months",
            [
                gxe.ExpectColumnValuesToBeBetween(
                    column="days_since_last_purchase",
                    min_value=config.inactive_days + 1,
                    meta=_meta(
                        "Somebody who bought within the limit is on the list of the inactive.",
                        "setting inactive_days",
                    ),
                )
            ],
            may_be_empty=True,
        ),
        Subject(
            "candidates",
            "select round(100.0 * candidates.n / nullif(customers.n, 0), 2) as candidates_pct"
            f" from (select count(*) as n from intermediate{suffix}.int_candidates) as candidates,"
            f" (select count(*) as n from {marts}.dim_customers) as customers",
            [
                gxe.ExpectColumnMaxToBeBetween(
                    column="candidates_pct",
                    max_value=config.max_candidates_pct,
                    meta=_meta(
                        "Nearly everybody looks lost: more likely orders are missing.",
                        "setting max_candidates_pct",
                    ),
                )
            ],
        ),
    ]


def _meta(why: str, source: str) -> dict[str, Any]:
    return {"why": why, "source": source}
