"""What a worker left behind that ended: its claims are planned anew, its requests are unknown.

A worker shows that it lives by its lease. Every other change of state is `ledger.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

import psycopg

log = logging.getLogger(__name__)


def release_dead_claims(connection: psycopg.Connection) -> None:
    """Plans anew what a worker had claimed whose lease ended, and gives back its portion."""
    connection.execute(
        "update ops.outreach set state = 'planned', portion_day = null where message_id in ("
        "  select message_id from ops.outreach"
        "  where is_pending and state = 'claimed' and lease_until < now()"
        # who holds the row is at work on it
        "  order by message_id for no key update skip locked)"
    )


def settle_dead_dispatches(
    connection: psycopg.Connection, among: Sequence[UUID] | None = None
) -> int:
    """Makes unknown what a worker was sending when it died, and says so; returns how many.

    Args:
        connection: In a transaction that locks no other messages afterwards, unless it has locked
            all of these: everybody locks them in one order.
        among: Of these messages alone.
    """
    n_dead = connection.execute(
        "update ops.outreach set state = 'unknown', settled_at = now(),"
        " reason = 'the worker ended while the request was under way'"
        " where message_id in ("
        "  select message_id from ops.outreach"
        "  where is_pending and state = 'dispatching' and lease_until < now()"
        "   and (%(among)s::uuid[] is null or message_id = any(%(among)s))"
        # who holds the row is settling it
        "  order by message_id for no key update skip locked)",
        {"among": None if among is None else list(among)},
    ).rowcount
    if n_dead:
        log.warning("%s messages of an ended worker are unknown now", n_dead)
    return n_dead
