"""By how much a measure raises the chance to come back: measured where it can be, else assumed.

A lift is relative: who would hardly come by themselves is not pulled in by a mail as often as who
nearly would. What is made of it is `economics.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

import psycopg

from winback.kpi.reading import FEWEST_EXPECTED
from winback.kpi.snapshot import ALL, ALL_COHORTS
from winback.select.campaigns import Campaign

# The ratio of Mantel and Haenszel: with the weights of the incremental effect, the treated share
# over that of the holdout, so that the two never contradict each other.
_MEASURED = """
with newest as (
    select * from ops.kpi_snapshot
    where campaign_id = %(campaign)s and segment = %(all_cohorts)s and as_of <= %(as_of)s
    order by as_of desc, revision desc
    limit 1
),

ranked as (
    select each.*, row_number() over (
        partition by each.cohort, each.segment order by each.revision desc
    ) as position
    from ops.kpi_snapshot as each
    inner join newest on newest.campaign_id = each.campaign_id and newest.as_of = each.as_of
    where each.segment not in (%(all)s, %(all_cohorts)s)
),

pooled as (
    select
        sum(n_recovered_treated * n_holdout / (n_treated + n_holdout)::numeric) as treated,
        sum(n_recovered_holdout * n_treated / (n_treated + n_holdout)::numeric) as holdout
    from ranked
    where position = 1 and is_window_closed and n_treated > 0 and n_holdout > 0
)

select
    newest.reading,
    (newest.n_recovered_treated + newest.n_recovered_holdout)
        * least(newest.n_treated, newest.n_holdout)
        >= %(fewest)s * (newest.n_treated + newest.n_holdout)
        and (newest.incremental_low_pct > 0 or newest.incremental_high_pct < 0),
    round(100 * (pooled.treated / nullif(pooled.holdout, 0) - 1), 4)
from newest
cross join pooled
"""


@dataclass(frozen=True)
class Lift:
    """So many per cent more come back than by themselves; below 0: fewer."""

    pct: Decimal
    source: Literal["assumed", "measured"]
    because: str


def lift_of(connection: psycopg.Connection, campaign: Campaign, as_of: date) -> Lift:
    """The lift to count with: measured once the campaign's own holdout shows one, else assumed.

    It shows one when windows are closed, buyers are enough and the interval of the incremental
    effect leaves out zero.

    Args:
        connection: As the sender.
        campaign: The campaign.
        as_of: What was measured up to this date counts.
    """
    row = connection.execute(
        _MEASURED,
        {
            "campaign": campaign.name,
            "as_of": as_of,
            "all": ALL,
            "all_cohorts": ALL_COHORTS,
            "fewest": FEWEST_EXPECTED,
        },
    ).fetchone()
    assumed = Decimal(str(campaign.assumed_lift_pct))
    if row is None:
        return Lift(assumed, "assumed", "no window of this campaign has closed yet")
    reading, is_shown, measured = row
    if not is_shown:
        return Lift(assumed, "assumed", reading)
    if measured is None:
        # nobody of the holdout came: more did of the treated, but not so many times more
        return Lift(assumed, "assumed", f"{reading}; nobody of the holdout came back")
    return Lift(measured, "measured", reading)
