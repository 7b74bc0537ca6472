"""Measures of each feed by itself: rows received, quarantine, freshness, future, empty columns.

A row that is gone at its source does not count, nor does a fact that was not known on the as-of
date. What the measures may be stands in `expectations/raw.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection

from winback.extract.feeds import FEEDS, Feed
from winback.extract.loading.raw_tables import pii_columns, raw_columns, raw_key
from winback.gate.subject import Batch, Measure
from winback.settings import settings

# a share of fewer rows moves by chance
COMPARED_FROM = 100
REPEATED = "repeats the key of row"  # how extraction says it
N_REASONS = 3


def measure_feeds(connection: Connection, batch: Batch) -> list[Measure]:
    """Measures every feed that was extracted.

    Args:
        connection: Acts as the loader.
        batch: What is judged.
    """
    measures = [_missing_feeds(batch), *_of_extraction(connection, batch)]
    for name in batch.max_age_days:
        measures += _of_table(connection, batch, FEEDS[name])
        measures += _of_personal_columns(connection, batch, FEEDS[name])
    return measures


def known(feed: Feed, batch: Batch) -> str:
    """The condition that picks the rows of a raw table that counted on the as-of date."""
    as_of_at = settings().as_of_at(batch.as_of).isoformat()
    return f"{feed.name}.deleted_at is null and {feed.name}.{feed.event_time} < '{as_of_at}'"


def shown(feed: Feed, *more: str) -> str:
    """The columns that tell one row from another (key, customer, time), and more."""
    names = [*raw_key(feed)]
    names += [name for name, column in raw_columns(feed) if column.kind == "customer"]
    columns = [f"{feed.name}.{name}" for name in [*names, feed.event_time]]
    return ", ".join(dict.fromkeys([*columns, *more]))


def share(n: int, n_of: int) -> float:
    """Per cent; 0 of nothing."""
    return round(100 * n / n_of, 4) if n_of else 0.0


def empty_columns(feed: Feed) -> list[str]:
    """The columns that may be empty, by their name in `raw`, or in `pii` if they are personal."""
    return [column.raw_name or column.name for column in feed.columns if not column.is_required]


def _missing_feeds(batch: Batch) -> Measure:
    missing = [f.name for f in FEEDS.values() if f.is_required and f.name not in batch.max_age_days]
    detail = ", ".join(missing) or None
    return Measure("all feeds", "n_missing_required_feeds", len(missing), detail=detail)


def _of_table(connection: Connection, batch: Batch, feed: Feed) -> list[Measure]:
    config = settings()
    future_from = datetime.now(UTC)
    if batch.is_live:
        # a clock or a time zone that is slightly off is no lie about the future
        future_from = max(future_from, config.as_of_at(batch.as_of + timedelta(days=2)))
    is_known = known(feed, batch)
    is_future = f"{feed.event_time} > '{future_from.isoformat(timespec='seconds')}'"
    empty = [name for name, column in raw_columns(feed) if not column.is_required]
    counts = [
        "count(*)",
        f"count(*) filter (where {is_future})",
        f"count(*) filter (where {is_known})",
        f"cast(max({feed.event_time}) filter (where {is_known})"
        f" at time zone '{config.business_timezone}' as date)",
        *(f"count(*) filter (where {is_known} and {name} is null)" for name in empty),
    ]
    n_all, n_future, n_known, newest, *n_empty = _one(
        connection, f"select {', '.join(counts)} from raw.{feed.name} where deleted_at is null"
    )
    about = f"raw.{feed.name}"
    rows = f"select {shown(feed)} from {about} where {{}} order by {feed.event_time} desc"
    measures = [
        Measure(about, "n_known", n_known),
        Measure(
            about,
            "future_pct",
            share(n_future, n_all),
            n_future,
            n_all,
            rows=rows.format(f"deleted_at is null and {is_future}"),
        ),
    ]
    if batch.max_age_days[feed.name] is not None:
        measures.append(_age(batch, about, newest))
    for name, n in zip(empty, n_empty, strict=True):
        where = rows.format(f"{is_known} and {name} is null")
        measures += _emptiness(batch, about, name, n, n_known, where)
    return measures


def _age(batch: Batch, about: str, newest: Any) -> Measure:
    if newest is None:
        return Measure(about, "age_days", None, detail="no facts yet")
    detail = f"the newest is of {newest}"
    return Measure(about, "age_days", (batch.as_of - newest).days, detail=detail)


def _of_personal_columns(connection: Connection, batch: Batch, feed: Feed) -> Iterator[Measure]:
    stored = set(pii_columns(feed))
    empty = [
        column.name
        for column in feed.columns
        if not column.is_required and column.raw_name is None and column.name in stored
    ]
    if not empty:
        return
    counts = ", ".join(f"count(*) filter (where {name} is null)" for name in empty)
    n_all, *n_empty = _one(connection, f"select count(*), {counts} from pii.{feed.name}")
    for name, n in zip(empty, n_empty, strict=True):
        rows = f"select {', '.join(raw_key(feed))} from pii.{feed.name} where {name} is null"
        yield from _emptiness(batch, f"raw.{feed.name}", name, n, n_all, rows)


def _emptiness(
    batch: Batch, about: str, column: str, n_empty: int, n_of: int, rows: str
) -> Iterator[Measure]:
    """The share of empty values now, and by how many points it rose."""
    now, before = share(n_empty, n_of), batch.before(about, f"{column}_null_pct")
    yield Measure(about, f"{column}_null_pct", now, n_empty, n_of)
    name = f"{column}_null_rise_points"
    if now == 100 and before in (None, 100):
        yield Measure(about, name, None, detail="nobody fills it")
    elif before is None:
        yield Measure(about, name, None, detail=batch.no_history())
    elif n_of < COMPARED_FROM:
        yield Measure(about, name, None, detail=f"fewer than {COMPARED_FROM} rows")
    else:
        detail = f"empty in {before:.1f} % before, {now:.1f} % now"
        yield Measure(about, name, round(now - before, 4), n_empty, n_of, detail, rows)


_EXTRACTION = """
select run.feed, run.n_received, run.n_quarantined, run.is_whole,
    case when before.is_whole then before.n_received end
from ops.extract_run as run
left join ops.extract_run as before
    on before.feed = run.feed and before.snapshot_id = %(earlier)s
where run.snapshot_id = %(snapshot)s
"""
# the row whose key is repeated is another one each time
_REASONS = """
select bad.feed, regexp_replace(reason, '[0-9]+$', '…'), count(*)
from quarantine.rejected_row as bad
inner join ops.extract_run as run using (extract_run_id)
cross join unnest(bad.reasons) as reason
where run.snapshot_id = %(snapshot)s
group by 1, 2
order by 3 desc, 2
"""


def _of_extraction(connection: Connection, batch: Batch) -> Iterator[Measure]:
    earlier = batch.earlier.snapshot_id if batch.earlier else None
    params = {"snapshot": batch.snapshot_id, "earlier": earlier}
    reasons: dict[str, dict[str, int]] = {}
    for feed, reason, n in connection.execute(_REASONS, params):
        reasons.setdefault(feed, {})[reason] = n
    for feed, n_received, n_bad, is_whole, n_before in connection.execute(_EXTRACTION, params):
        # one bad row in an increment of ten is no tenth of the feed
        n_of = n_received if is_whole else max(n_received, COMPARED_FROM)
        yield from _quarantined(batch, feed, n_bad, n_of, reasons.get(feed, {}))
        yield _received(batch, f"raw.{feed}", n_received, n_before if is_whole else None)


def _quarantined(
    batch: Batch, feed: str, n_bad: int, n_of: int, reasons: Mapping[str, int]
) -> Iterator[Measure]:
    rows = (
        "select bad.source, bad.row_number, bad.reasons, bad.content"
        " from quarantine.rejected_row as bad"
        " inner join ops.extract_run as run using (extract_run_id)"
        f" where run.snapshot_id = {batch.snapshot_id} and run.feed = '{feed}'{{}}"
        # different reasons first
        " order by row_number() over (partition by bad.reasons order by bad.row_number), 2"
    )
    told = [f"{reason}: {n:,}" for reason, n in reasons.items()]
    detail = "; ".join(told[:N_REASONS] + (["…"] if len(told) > N_REASONS else [])) or None
    pct = share(n_bad, n_of)
    yield Measure(f"raw.{feed}", "quarantined_pct", pct, n_bad, n_of, detail, rows.format(""))
    n_repeated = sum(n for reason, n in reasons.items() if REPEATED in reason)
    is_repeated = (
        f" and exists (select 1 from unnest(bad.reasons) as r where r like '%{REPEATED}%')"
    )
    yield Measure(
        f"raw.{feed}",
        "repeated_keys_pct",
        share(n_repeated, n_of),
        n_repeated,
        n_of,
        rows=rows.format(is_repeated),
    )


def _received(batch: Batch, about: str, n_received: int, n_before: int | None) -> Measure:
    name = "received_of_before_pct"
    if batch.earlier is None:
        return Measure(about, name, None, detail=batch.no_history())
    if n_before is None:
        return Measure(about, name, None, detail="one of the two loads was not of the whole source")
    if n_before < COMPARED_FROM:
        return Measure(about, name, None, detail=f"fewer than {COMPARED_FROM} rows before")
    detail = f"{n_received:,} rows, {n_before:,} on {batch.earlier.as_of}"
    return Measure(about, name, share(n_received, n_before), detail=detail)


def _one(connection: Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row
