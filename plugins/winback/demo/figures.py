"""The figures that the demo shows, read from the marts as a BI tool reads them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import psycopg
from psycopg.rows import dict_row

_DATES = """
select
    to_char(counts.as_of, 'YYYY-MM-DD') as as_of,
    counts.n_customers, counts.n_lapsed, counts.n_six_months,
    kpi.n_candidates, kpi.n_excluded, kpi.n_holdout, kpi.n_treated, kpi.n_accepted,
    kpi.n_recovered_treated, kpi.n_recovered_holdout,
    cast(kpi.naive_pct as float8) as naive_pct,
    cast(kpi.incremental_pct as float8) as incremental_pct,
    cast(kpi.incremental_low_pct as float8) as incremental_low_pct,
    cast(kpi.incremental_high_pct as float8) as incremental_high_pct,
    kpi.reading
from marts.rpt_customers_daily as counts
inner join marts.rpt_kpi_daily as kpi
    on kpi.cohort = counts.as_of and kpi.segment = 'all' and kpi.as_of = %(last)s
where counts.as_of = any(%(dates)s)
order by counts.as_of
"""
_EXTERNAL_CAMPAIGNS = """
select
    campaign_type, n_campaigns, n_assigned, n_open, n_responded,
    cast(response_pct as float8) as response_pct
from marts.rpt_external_campaigns
order by campaign_type
"""
_ECONOMICS = """
select
    to_char(run.as_of, 'YYYY-MM-DD') as as_of, run.n_judged,
    cast(run.cost_cents as float8) as cost_cents, cast(run.worth_cents as float8) as worth_cents,
    cast(run.lift_pct as float8) as lift_pct, run.lift_from,
    (
        select count(*) from marts.fct_campaign_economics as each
        where each.economics_run_id = run.economics_run_id and each.finding = 'costs_more'
    ) as n_costing_more
from marts.rpt_campaign_economics as run
where run.as_of = %(last)s and run.n_judged > 0
order by run.economics_run_id desc
limit 1
"""


def of_dates(bi: str, dates: Sequence[date]) -> list[dict[str, Any]]:
    """The people first assigned on each date and what became of them, as known on the last.

    Args:
        bi: Address of the warehouse, as the role of BI tools.
        dates: The dates, in order.
    """
    return _rows(bi, _DATES, {"dates": list(dates), "last": dates[-1]})


def of_external_campaigns(bi: str) -> list[dict[str, Any]]:
    """The response to campaigns that were sent elsewhere, a row for each type."""
    return _rows(bi, _EXTERNAL_CAMPAIGNS)


def of_economics(bi: str, last: date) -> dict[str, Any] | None:
    """What was weighed on the last date: costs against returns; None where nobody was judged."""
    rows = _rows(bi, _ECONOMICS, {"last": last})
    return rows[0] if rows else None


def excluded(bi: str) -> dict[str, dict[str, int]]:
    """People excluded per reason and date."""
    rows = _rows(
        bi,
        "select replace(excluded_because, '_', ' ') as reason,"
        " to_char(assigned_on, 'YYYY-MM-DD') as as_of, count(*) as n"
        " from marts.fct_candidates where arm = 'excluded' group by 1, 2 order by 1",
    )
    reasons: dict[str, dict[str, int]] = {}
    for row in rows:
        reasons.setdefault(row["reason"], {})[row["as_of"]] = row["n"]
    return reasons


def _rows(bi: str, query: str, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    with psycopg.connect(bi, row_factory=dict_row) as connection:
        return connection.execute(query.encode(), params).fetchall()
