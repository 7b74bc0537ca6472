"""Measures over several feeds, and of orders over time: what points to nothing, currencies, totals,
and whether a day brought as many orders as its weekday usually does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from statistics import median

from psycopg import Connection

from expectations.measures.feeds import known, share, shown
from winback.extract.feeds import FEEDS, Column, Feed
from winback.extract.loading.raw_tables import raw_key
from winback.gate.subject import Batch, Measure
from winback.settings import settings

ORDERS, LINES = FEEDS["orders"], FEEDS["order_lines"]
HISTORY_WEEKS = 8
NEEDED_WEEKS = 4
JUDGED_FROM = 10  # fewer orders a day, or a week, vary too much to say anything


def measure_sales(connection: Connection, batch: Batch) -> list[Measure]:
    """Measures what spans feeds.

    Args:
        connection: Acts as the loader.
        batch: What is judged.
    """
    present = [FEEDS[name] for name in batch.max_age_days]
    measures = [_currencies(connection, batch, present), _negative(connection, batch)]
    for feed in present:
        for column, target in references(feed):
            if target in present:
                measures.append(_unmatched(connection, batch, feed, column, target))
    if LINES in present:
        measures.append(_differing_totals(connection, batch))
    measures.append(_orders_of_usual(connection, batch))
    return measures


def references(feed: Feed) -> Iterator[tuple[Column, Feed]]:
    """The columns of a feed that hold another feed's key, and which feed that is."""
    for column in feed.columns:
        target = "customers" if column.kind == "customer" else column.references
        if target is not None and target != feed.name:
            yield column, FEEDS[target]


def _unmatched(
    connection: Connection, batch: Batch, feed: Feed, column: Column, target: Feed
) -> Measure:
    name = f"{feed.name}.{column.raw_name}"
    (key,) = raw_key(target)
    tables = (
        f"raw.{feed.name} left join raw.{target.name}"
        f" on {target.name}.{key} = {name} and {target.name}.deleted_at is null"
        f" where {known(feed, batch)} and {name} is not null"
    )
    is_lost = f"{target.name}.{key} is null"
    [(n_of, n_lost)] = connection.execute(
        f"select count(*), count(*) filter (where {is_lost}) from {tables}".encode()
    ).fetchall()
    return Measure(
        f"raw.{feed.name}",
        f"{column.raw_name}_unmatched_pct",
        share(n_lost, n_of),
        n_lost,
        n_of,
        rows=f"select {shown(feed, name)} from {tables} and {is_lost}"
        f" order by {feed.name}.{feed.event_time} desc",
    )


def _currencies(connection: Connection, batch: Batch, present: list[Feed]) -> Measure:
    """Amounts of orders and of their lines are added up and compared."""
    feeds = [feed for feed in (ORDERS, LINES) if feed in present]
    counts: Counter[str] = Counter()
    for feed in feeds:
        query = (
            f"select currency, count(*) from raw.{feed.name} where {known(feed, batch)} group by 1"
        )
        counts.update(dict(connection.execute(query.encode()).fetchall()))
    usual = max(counts, key=lambda currency: counts[currency], default="")
    rows = " union all ".join(
        f"(select '{feed.name}' as feed, order_id, ordered_at, currency, amount_cents"
        f" from raw.{feed.name} where {known(feed, batch)} and currency <> '{usual}')"
        for feed in feeds
    )
    return Measure(
        "all feeds",
        "n_currencies",
        len(counts),
        counts.total() - counts[usual],
        counts.total(),
        ", ".join(f"{n:,} in {currency}" for currency, n in counts.most_common()),
        rows,
    )


def _negative(connection: Connection, batch: Batch) -> Measure:
    is_negative = f"{known(ORDERS, batch)} and amount_cents < 0"
    [(n,)] = connection.execute(
        f"select count(*) from raw.orders where {is_negative}".encode()
    ).fetchall()
    rows = f"select {shown(ORDERS)}, amount_cents from raw.orders where {is_negative}"
    return Measure("raw.orders", "n_negative_amounts", n, n, rows=rows)


def _differing_totals(connection: Connection, batch: Batch) -> Measure:
    tolerance = settings().order_total_tolerance_pct / 100
    totals = (
        f"select {shown(ORDERS)}, orders.amount_cents, lines.lines_cents, lines.n_lines"
        " from raw.orders inner join (select order_id, count(*) as n_lines,"
        " sum(amount_cents) as lines_cents from raw.order_lines"
        f" where {known(LINES, batch)} group by 1) as lines using (order_id)"
        f" where {known(ORDERS, batch)}"
    )
    # each line may have been rounded
    differs = (
        "abs(lines_cents - amount_cents)"
        f" > greatest(n_lines, cast({tolerance} * amount_cents as bigint))"
    )
    [(n_of, n)] = connection.execute(
        f"select count(*), count(*) filter (where {differs}) from ({totals}) as totals".encode()
    ).fetchall()
    rows = f"select * from ({totals}) as totals where {differs} order by ordered_at desc"
    return Measure("raw.order_lines", "differing_totals_pct", share(n, n_of), n, n_of, rows=rows)


def _orders_of_usual(connection: Connection, batch: Batch) -> Measure:
    config = settings()
    last = batch.as_of - timedelta(days=1 + config.orders_delay_days)
    since = config.as_of_at(last - timedelta(weeks=HISTORY_WEEKS + 1)).isoformat()
    by_day = connection.execute(
        f"select cast(ordered_at at time zone '{config.business_timezone}' as date), count(*)"
        f" from raw.orders where {known(ORDERS, batch)} and ordered_at >= '{since}'"
        " group by 1".encode()
    )
    value, detail = orders_of_usual(dict(by_day.fetchall()), last)
    return Measure("raw.orders", "usual_orders_pct", value, detail=detail)


def orders_of_usual(by_day: Mapping[date, int], last: date) -> tuple[float | None, str]:
    """How many orders the last complete day brought, in per cent of what its weekday usually does.

    Usual is the median of up to eight earlier weeks. Where that is less than ten orders a day, the
    last seven days are compared with earlier weeks instead.

    Args:
        by_day: Orders per business day.
        last: The last complete day.

    Returns:
        The share, None where it can not be told; and what was compared, or why not.
    """
    first = min(by_day, default=last)
    days = [last - timedelta(weeks=n) for n in range(1, HISTORY_WEEKS + 1)]
    same_weekdays = [by_day.get(day, 0) for day in days if day >= first]
    if len(same_weekdays) >= NEEDED_WEEKS and median(same_weekdays) >= JUDGED_FROM:
        usual = median(same_weekdays)
        seen = f"{by_day.get(last, 0):,} on {last:%A %Y-%m-%d}"
        return _share_of(by_day.get(last, 0), usual), f"{seen}, usually {usual:,.0f}"
    weeks = [_week(by_day, day) for day in days if day - timedelta(days=6) >= first]
    if len(weeks) < NEEDED_WEEKS:
        return None, f"no history yet: fewer than {NEEDED_WEEKS} weeks of orders"
    if median(weeks) < JUDGED_FROM:
        return None, f"fewer than {JUDGED_FROM} orders a week"
    seen = f"{_week(by_day, last):,} in the week up to {last}"
    return _share_of(_week(by_day, last), median(weeks)), f"{seen}, usually {median(weeks):,.0f}"


def _week(by_day: Mapping[date, int], last: date) -> int:
    return sum(by_day.get(last - timedelta(days=n), 0) for n in range(7))


def _share_of(n: int, usual: float) -> float:
    return round(100 * n / usual, 4)
