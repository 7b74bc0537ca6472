"""The step kpi: writes one snapshot per day, and a new revision where late data changed a figure.

Estimators are in `incremental.py`; what BI tools read are the views `rpt_kpi_daily` and
`rpt_customers_daily`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg import sql

from winback.errors import GateFailed
from winback.kpi.customer_counts import write_customer_counts
from winback.kpi.incremental import Stratum, stratified_newcombe
from winback.kpi.reading import reading
from winback.settings import Settings, settings
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

# late orders of this many days back still become a revision by themselves
REVISED_DAYS = 7
ALL = "all"
# everybody whose window is closed, whatever the cohort; only so do small daily cohorts add up
ALL_COHORTS = "all_cohorts"
COUNTS = (
    "n_excluded", "n_holdout", "n_treated", "n_accepted", "n_delivered", "n_bounced",
    "n_unsubscribed", "n_unknown",
)  # fmt: skip
FIGURES = (
    "is_window_closed", "n_candidates", *COUNTS, "n_recovered_treated", "n_recovered_holdout",
    "naive_pct", "incremental_pct", "incremental_low_pct", "incremental_high_pct", "reading",
)  # fmt: skip


def write_snapshots(as_of: date) -> int:
    """Writes the snapshots of `as_of`, of every day before it that has none, and of the last week.

    Args:
        as_of: Facts before 00:00 of this business day count.

    Returns:
        How many rows were new or changed.

    Raises:
        GateFailed: The newest batch was refused by its gate, or not judged yet: what it brought
            stands in the raw tables, so nothing can be measured until it is mended.
    """
    config = settings()
    with warehouse.connect("sender") as connection:
        _require_passed_batch(connection)
        connection.execute("select pg_advisory_xact_lock(hashtextextended('kpi', 1))")
        days = _days(connection, as_of)
        n_rows = write_customer_counts(connection, days, config)
        for row in _figures(connection, days, config):
            n_rows += _write_revision(connection, row)
    log.info("kpi: %s days up to %s, %s rows new or changed", len(days), as_of, n_rows)
    return n_rows


def _require_passed_batch(connection: psycopg.Connection) -> None:
    row = connection.execute(
        "select s.snapshot_id, s.as_of, verdict.is_fit from ops.snapshot as s"
        " left join ops.gate_verdict as verdict"
        " on verdict.snapshot_id = s.snapshot_id and verdict.gate = 'raw'"
        " where s.completed_at is not null and s.purpose <> 'load'"
        " order by s.snapshot_id desc limit 1"
    ).fetchone()
    if row is not None and not row[2]:
        said = "was refused by" if row[2] is False else "has not been judged yet by"
        raise GateFailed(
            f"snapshot {row[0]} of {row[1]} {said} gate raw: nothing is measured from it;"
            " mend the data and run winback_ingest again, then winback_kpi"
        )


def _days(connection: psycopg.Connection, as_of: date) -> list[date]:
    first, written = connection.execute(
        "select (select min(as_of) from ops.snapshot where purpose = 'live'),"
        " (select array_agg(distinct as_of) from ops.customer_count)"
    ).fetchone() or (None, None)
    start = min(first or as_of, as_of)
    done = set(written or ())
    days = [start + timedelta(days=n) for n in range((as_of - start).days + 1)]
    fresh_from = as_of - timedelta(days=REVISED_DAYS)
    return [day for day in days if day >= fresh_from or day not in done]


_OUTCOMES = """
with told as (
    -- a resend stands for the message that a person gave up; it is cancelled when that one arrives
    select
        o.campaign_id, o.lapse_id, min(o.accepted_at) as accepted_at,
        (array_agg(o.state order by o.state = 'cancelled', o.resend_of is null))[1] as state,
        bool_or(exists (
            select 1 from ops.suppression as s
            where s.message_id = o.message_id and s.reason = 'unsubscribe'
        )) as has_unsubscribed
    from ops.outreach as o
    group by o.campaign_id, o.lapse_id
),

-- worked out once for each person, not once for each day
outcome as materialized (
    select
        a.campaign_id, a.as_of as cohort, a.stratum, a.arm,
        a.window_ends_at, a.as_of + a.window_days as closes_on,
        told.state, told.accepted_at,
        a.has_unsubscribed or coalesce(told.has_unsubscribed, false) as has_unsubscribed,
        -- of somebody erased the outcome was kept, and the orders were not
        coalesce(a.recovered_at, (
            select min(p.ordered_at) from raw.orders as p
            where p.customer_key = any(coalesce(person.members, array[a.customer_key]))
                and p.deleted_at is null
                and p.ordered_at > a.window_starts_at
                and p.ordered_at <= a.window_ends_at
        )) as recovered_at
    from ops.assignment as a
    left join ops.person as person on person.customer_key = a.customer_key
    left join told
        on told.campaign_id = a.campaign_id and told.lapse_id = a.lapse_id and a.arm = 'treated'
)

select
    day.as_of, o.campaign_id, o.cohort, o.stratum,
    bool_and(o.window_ends_at < day.known_until) as is_window_closed,
    max(o.closes_on) as closes_on,
    count(*) filter (where o.arm = 'excluded') as n_excluded,
    count(*) filter (where o.arm = 'holdout') as n_holdout,
    count(*) filter (where o.arm = 'treated') as n_treated,
    count(o.accepted_at) as n_accepted,
    count(*) filter (where o.state = 'delivered') as n_delivered,
    count(*) filter (where o.state = 'bounced') as n_bounced,
    count(*) filter (where o.has_unsubscribed) as n_unsubscribed,
    count(*) filter (where o.state = 'unknown') as n_unknown,
    count(*) filter (where o.arm = 'treated' and o.recovered_at < day.known_until)
        as n_recovered_treated,
    count(*) filter (where o.arm = 'holdout' and o.recovered_at < day.known_until)
        as n_recovered_holdout
from outcome as o
inner join unnest(%(days)s::date[], %(instants)s::timestamptz[]) as day (as_of, known_until)
    on o.cohort <= day.as_of
group by day.as_of, o.campaign_id, o.cohort, o.stratum
order by day.as_of, o.campaign_id, o.cohort, o.stratum
"""


def _figures(
    connection: psycopg.Connection, days: list[date], config: Settings
) -> list[dict[str, Any]]:
    cursor = connection.execute(
        _OUTCOMES, {"days": days, "instants": [config.as_of_at(day) for day in days]}
    )
    names = [column.name for column in cursor.description or ()]
    cohorts: dict[tuple[date, str, date], list[dict[str, Any]]] = defaultdict(list)
    for values in cursor:
        row = dict(zip(names, values, strict=True))
        cohorts[row["as_of"], row["campaign_id"], row["cohort"]].append(row)
    rows = []
    closed: dict[tuple[date, str], list[dict[str, Any]]] = defaultdict(list)
    for (as_of, campaign, cohort), strata in cohorts.items():
        if all(each["is_window_closed"] for each in strata):
            closed[as_of, campaign] += strata
        key = {"as_of": as_of, "campaign_id": campaign, "cohort": cohort}
        rows.append(key | {"segment": ALL} | _measure(strata))
        rows += [key | {"segment": each["stratum"]} | _measure([each]) for each in strata]
    for (as_of, campaign), strata in closed.items():
        first = min(each["cohort"] for each in strata)
        key = {"as_of": as_of, "campaign_id": campaign, "cohort": first}
        rows.append(key | {"segment": ALL_COHORTS} | _measure(strata))
    return rows


def _measure(strata: list[dict[str, Any]]) -> dict[str, Any]:
    total = {name: sum(row[name] for row in strata) for name in COUNTS}
    is_closed = all(row["is_window_closed"] for row in strata)
    figures: dict[str, Any] = {
        "is_window_closed": is_closed,
        "n_candidates": total["n_excluded"] + total["n_holdout"] + total["n_treated"],
        **total,
        **dict.fromkeys(FIGURES[-7:-1]),
    }
    counts = [
        Stratum(r["n_treated"], r["n_recovered_treated"], r["n_holdout"], r["n_recovered_holdout"])
        for r in strata
    ]
    effect = stratified_newcombe(counts) if is_closed else None
    if is_closed:
        recovered = sum(s.n_recovered_treated for s in counts)
        figures |= {
            "n_recovered_treated": recovered,
            "n_recovered_holdout": sum(s.n_recovered_holdout for s in counts),
            "naive_pct": round(100 * recovered / total["n_accepted"], 4)
            if total["n_accepted"]
            else None,
        }
    if effect is not None:
        figures |= {
            "incremental_pct": round(100 * effect.difference, 4),
            "incremental_low_pct": round(100 * effect.low, 4),
            "incremental_high_pct": round(100 * effect.high, 4),
        }
    closes_on = max(row["closes_on"] for row in strata)
    return figures | {"reading": reading(counts, effect, is_closed, closes_on)}


def _write_revision(connection: psycopg.Connection, row: dict[str, Any]) -> int:
    key = ("as_of", "campaign_id", "cohort", "segment")
    cast = {
        name: sql.SQL("{}::{}").format(sql.Placeholder(name), sql.SQL(_TYPES.get(name, "int")))
        for name in (*key, *FIGURES)
    }
    statement = sql.SQL(
        "with newest as ("
        " select * from ops.kpi_snapshot where as_of = %(as_of)s and campaign_id = %(campaign_id)s"
        " and cohort = %(cohort)s and segment = %(segment)s order by revision desc limit 1)"
        " insert into ops.kpi_snapshot ({columns}, revision)"
        " select {values}, coalesce((select revision from newest), 0) + 1"
        " where not exists (select 1 from newest"
        " where row({figures}) is not distinct from row({new}))"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, cast)),
        values=sql.SQL(", ").join(cast.values()),
        figures=sql.SQL(", ").join(map(sql.Identifier, FIGURES)),
        new=sql.SQL(", ").join(cast[name] for name in FIGURES),
    )
    return connection.execute(statement, row).rowcount


_TYPES = {
    "as_of": "date", "campaign_id": "text", "cohort": "date", "segment": "text",
    "is_window_closed": "boolean", "naive_pct": "numeric(9, 4)",
    "incremental_pct": "numeric(9, 4)", "incremental_low_pct": "numeric(9, 4)",
    "incremental_high_pct": "numeric(9, 4)", "reading": "text",
}  # fmt: skip
