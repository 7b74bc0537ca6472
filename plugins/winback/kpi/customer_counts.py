"""How many customers there are and how many are gone, for any day, from the orders alone."""

from __future__ import annotations

from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from winback.settings import Settings

# of everybody, or of some customers alone
_COUNTED = """
with bought as (
    select coalesce(person.person_key, o.customer_key) as customer_key, o.ordered_at
    from raw.orders as o
    left join ops.person as person using (customer_key)
    where o.deleted_at is null
        and (%(only)s::text[] is null or o.customer_key = any(%(only)s))
),

purchase as (
    select distinct customer_key, (ordered_at at time zone %(zone)s)::date as bought_on
    from bought
),

-- on the days from 181 days after a purchase until the next one, the customer is on the list
silence as (
    select
        bought_on + %(inactive_days)s + 1 as starts_on,
        lead(bought_on) over (partition by customer_key order by bought_on) as ends_on
    from purchase
),

listed as materialized (
    select starts_on, ends_on from silence
    where ends_on is null or ends_on >= starts_on
),

-- as in dim_customers: since registering, or since the first purchase
known as (
    select customer_key, min(since) as since
    from (
        select coalesce(person.person_key, c.customer_key) as customer_key, c.registered_at as since
        from raw.customers as c
        left join ops.person as person using (customer_key)
        where c.deleted_at is null
            and (%(only)s::text[] is null or c.customer_key = any(%(only)s))
        union all
        select customer_key, min(ordered_at) from bought group by customer_key
    ) as seen
    group by customer_key
),

counted as (
    select
        day.as_of,
        (select count(*) from known where known.since < day.known_until)::int as n_customers,
        count(*) filter (where listed.starts_on <= day.as_of
            and (listed.ends_on is null or listed.ends_on >= day.as_of))::int as n_six_months,
        count(*) filter (where listed.starts_on between day.as_of - 29 and day.as_of
            and (listed.ends_on is null or listed.ends_on >= day.as_of))::int as n_newly_inactive,
        count(*) filter (where listed.ends_on between day.as_of - 30 and day.as_of - 1)::int
            as n_returned
    from unnest(%(days)s::date[], %(instants)s::timestamptz[]) as day (as_of, known_until)
    left join listed on listed.starts_on <= day.as_of
    group by day.as_of, day.known_until
),

lapsed as (
    select * from unnest(%(lapsed_days)s::date[], %(lapsed)s::int[]) as l (as_of, n_lapsed)
)
"""

_WRITE = """,

newest as (
    select *, row_number() over (partition by as_of order by revision desc) as position
    from ops.customer_count
),

fresh as (
    select
        counted.as_of,
        -- who was erased since stays in the counts of the days before
        counted.n_customers + coalesce(erased.n_customers, 0) as n_customers,
        counted.n_six_months + coalesce(erased.n_six_months, 0) as n_six_months,
        counted.n_newly_inactive + coalesce(erased.n_newly_inactive, 0) as n_newly_inactive,
        counted.n_returned + coalesce(erased.n_returned, 0) as n_returned,
        -- the states of a day that are no longer there were right when they were
        coalesce(lapsed.n_lapsed + coalesce(erased.n_lapsed, 0), newest.n_lapsed) as n_lapsed,
        coalesce(newest.revision, 0) + 1 as revision,
        row(newest.n_customers, newest.n_six_months, newest.n_newly_inactive, newest.n_returned,
            newest.n_lapsed) as before
    from counted
    left join lapsed using (as_of)
    left join ops.erased_count as erased using (as_of)
    left join newest on newest.as_of = counted.as_of and newest.position = 1
)

insert into ops.customer_count
    (as_of, revision, n_customers, n_six_months, n_lapsed, n_newly_inactive, n_returned)
select as_of, revision, n_customers, n_six_months, n_lapsed, n_newly_inactive, n_returned
from fresh
where before is distinct from
    row(n_customers, n_six_months, n_newly_inactive, n_returned, n_lapsed)
"""


_KEEP_OF_ERASED = """
insert into ops.erased_count as known
    (as_of, n_customers, n_six_months, n_lapsed, n_newly_inactive, n_returned)
select as_of, n_customers, n_six_months, coalesce(n_lapsed, 0), n_newly_inactive, n_returned
from counted
left join lapsed using (as_of)
on conflict (as_of) do update set
    n_customers = known.n_customers + excluded.n_customers,
    n_six_months = known.n_six_months + excluded.n_six_months,
    n_lapsed = known.n_lapsed + excluded.n_lapsed,
    n_newly_inactive = known.n_newly_inactive + excluded.n_newly_inactive,
    n_returned = known.n_returned + excluded.n_returned
"""


def write_customer_counts(
    connection: psycopg.Connection, days: list[date], config: Settings
) -> int:
    """Writes the counts of every day that has none or other ones; returns how many.

    Args:
        connection: As the sender; the caller commits.
        days: The as-of dates.
        config: Settings.
    """
    return connection.execute(_COUNTED + _WRITE, _values(connection, days, config)).rowcount


def keep_counts_of(
    connection: psycopg.Connection, customer_keys: list[str], config: Settings
) -> None:
    """Notes what one person adds to the counts of the past, before that person is erased.

    Args:
        connection: As the owner; the caller commits.
        customer_keys: Every key of the person.
        config: Settings.
    """
    days = [
        day
        for (day,) in connection.execute("select distinct as_of from ops.customer_count").fetchall()
    ]
    if days:
        values = _values(connection, days, config, customer_keys)
        connection.execute(_COUNTED + _KEEP_OF_ERASED, values)


def _values(
    connection: psycopg.Connection,
    days: list[date],
    config: Settings,
    only: list[str] | None = None,
) -> dict[str, Any]:
    lapsed = _lapsed(connection, days, only)
    return {
        "days": days,
        "instants": [config.as_of_at(day) for day in days],
        "zone": config.business_timezone,
        "inactive_days": config.inactive_days,
        "lapsed_days": list(lapsed),
        "lapsed": list(lapsed.values()),
        "only": only,
    }


def _lapsed(
    connection: psycopg.Connection, days: list[date], only: list[str] | None
) -> dict[date, int]:
    """How many had lapsed, for the days whose states were built and still stand."""
    schemas = connection.execute(
        "select table_schema from information_schema.tables"
        " where table_name = 'fct_customer_states'"
        " and (table_schema = 'marts' or table_schema like 'marts\\_asof\\_%%')",
    ).fetchall()
    found: dict[date, int] = {}
    for (schema,) in sorted(schemas, reverse=True):  # `marts` comes last, and counts
        rows = connection.execute(
            sql.SQL(
                "select as_of, count(*) filter (where is_lapsed) from {}.fct_customer_states"
                " where as_of = any(%s) and (%s::text[] is null or customer_key = any(%s))"
                " group by as_of"
            ).format(sql.Identifier(schema)),
            (days, only, only),
        ).fetchall()
        found |= dict(rows)
    return found
