"""Measures of the marts that outreach selects from, and of the audience against the one before.

What they may be stands in `expectations/marts.py`.
"""

from __future__ import annotations

from psycopg import Connection

from expectations.measures.feeds import COMPARED_FROM, share
from winback.gate.subject import Batch, Measure
from winback.settings import settings

STATES, INACTIVE = "marts.fct_customer_states", "marts.fct_inactive_six_months"
CANDIDATES = "candidates"
# a longer pause, as in a replay, moves an audience by itself
COMPARED_WITHIN_DAYS = 35


def measure_marts(connection: Connection, batch: Batch) -> list[Measure]:
    """Measures the marts of one date.

    Args:
        connection: Acts as the loader.
        batch: What is judged.
    """
    return [
        *_states(connection, batch),
        _inactive(connection, batch),
        *_candidates(connection, batch),
    ]


def _in_schema(table: str, batch: Batch) -> str:
    schema, name = table.split(".")
    return f"{schema}{batch.suffix}.{name}"


def _states(connection: Connection, batch: Batch) -> list[Measure]:
    table = _in_schema(STATES, batch)
    conditions = {
        "n_of_another_date": f"as_of <> '{batch.as_of}'",
        "n_repeated_customers": f"customer_key in (select customer_key from {table}"
        " group by 1 having count(*) > 1)",
        "n_purchases_not_known": "days_since_last_purchase < 1",
    }
    counts = ", ".join(f"count(*) filter (where {each})" for each in conditions.values())
    [(n_all, *found)] = connection.execute(f"select count(*), {counts} from {table}".encode())
    select = f"select customer_key, as_of, state, days_since_last_purchase from {table} where "
    measures = [Measure(STATES, "n_customers", n_all)]
    measures += [
        Measure(STATES, name, n, n, n_all, rows=f"{select}{where} order by customer_key")
        for (name, where), n in zip(conditions.items(), found, strict=True)
    ]
    by_state = dict(
        connection.execute(f"select state, count(*) from {table} group by 1".encode()).fetchall()
    )
    measures += [
        Measure(STATES, f"{state}_pct", share(n, n_all), n, n_all)
        for state, n in sorted(by_state.items())
    ]
    return [*measures, _state_change(batch, {s: share(n, n_all) for s, n in by_state.items()})]


def _state_change(batch: Batch, now: dict[str, float]) -> Measure:
    """The largest change of a state's share; the detail says of which state."""
    name = "state_change_points"
    reason = _not_comparable(batch, batch.before(STATES, "n_customers"))
    if reason or batch.earlier is None:
        return Measure(STATES, name, None, detail=reason)
    before = {
        measure.removesuffix("_pct"): value
        for (about, measure), value in batch.earlier.values.items()
        if about == STATES and measure.endswith("_pct")
    }
    changes = {s: now.get(s, 0.0) - before.get(s, 0.0) for s in sorted({*now, *before})}
    largest = max(changes, key=lambda state: abs(changes[state]))
    detail = (
        f"{largest}: {before.get(largest, 0.0):.1f} % on {batch.earlier.as_of},"
        f" {now.get(largest, 0.0):.1f} % now"
    )
    return Measure(STATES, name, round(abs(changes[largest]), 4), detail=detail)


def _inactive(connection: Connection, batch: Batch) -> Measure:
    table, limit = _in_schema(INACTIVE, batch), settings().inactive_days
    [(n, n_all)] = connection.execute(
        f"select count(*) filter (where days_since_last_purchase <= {limit}), count(*)"
        f" from {table}".encode()
    ).fetchall()
    rows = (
        f"select customer_key, days_since_last_purchase from {table}"
        f" where days_since_last_purchase <= {limit} order by 2"
    )
    return Measure(INACTIVE, "n_bought_within_limit", n, n, n_all, rows=rows)


def _candidates(connection: Connection, batch: Batch) -> list[Measure]:
    [(n, n_customers)] = connection.execute(
        f"select (select count(*) from intermediate{batch.suffix}.int_candidates),"
        f" (select count(*) from marts{batch.suffix}.dim_customers)".encode()
    ).fetchall()
    before = batch.before(CANDIDATES, "n_candidates")
    reason = _not_comparable(batch, before)
    change = detail = None
    if before and batch.earlier and not reason:
        change = round(100 * (n - before) / before, 4)
        detail = f"{n:,} candidates, {before:,.0f} on {batch.earlier.as_of}"
    return [
        Measure(CANDIDATES, "n_candidates", n),
        Measure(CANDIDATES, "candidates_pct", share(n, n_customers), n, n_customers),
        Measure(CANDIDATES, "candidates_change_pct", change, detail=detail or reason),
    ]


def _not_comparable(batch: Batch, n_before: float | None) -> str | None:
    if batch.earlier is None or n_before is None:
        return batch.no_history()
    if (batch.as_of - batch.earlier.as_of).days > COMPARED_WITHIN_DAYS:
        return f"the snapshot before is more than {COMPARED_WITHIN_DAYS} days older"
    if n_before < COMPARED_FROM:
        return f"fewer than {COMPARED_FROM} before"
    return None
