"""What became of mails that asked for a consent: their own states, and addresses that are dead.

They are no rows of the send ledger (`events.py`), and who reads one may be somebody else than the
customer who gave the address: whatever speaks against it concerns the address alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import psycopg

from winback.record.vocabulary import Event, Kind

_BEFORE = ["dispatching", "unknown", "accepted"]
# Which kinds lead to a state, and which states they end; in this order, since batches hold several.
FORWARD: tuple[tuple[str, tuple[Kind, ...], list[str]], ...] = (
    ("accepted", ("processed", "deferred"), ["dispatching", "unknown"]),
    ("delivered", ("delivered", "opened", "clicked", "spam_report", "unsubscribed"), _BEFORE),
    ("dropped", ("dropped",), _BEFORE),
    ("bounced", ("bounced", "blocked"), [*_BEFORE, "delivered"]),
)


def refused(
    connection: psycopg.Connection, told: Sequence[tuple[Event, UUID]]
) -> dict[str, list[str]]:
    """The addresses that are dead or that speak against being written to, by reason.

    Args:
        connection: As the sender.
        told: New events, each with the request it is about.
    """
    against = [(event.suppresses[1], asked) for event, asked in told if event.suppresses]
    if not against:
        return {}
    hashes: dict[UUID, str] = dict(
        connection.execute(
            "select request_id, address_hash from ops.opt_in_request where request_id = any(%s)",
            ([request_id for _, request_id in against],),
        ).fetchall()
    )
    found: dict[str, list[str]] = {}
    for reason, request_id in against:
        found.setdefault(reason, []).append(hashes[request_id])
    return found


def apply(connection: psycopg.Connection, told: Sequence[tuple[Event, UUID]]) -> None:
    """Moves requests forward; the caller commits.

    Args:
        connection: As the sender.
        told: New events, each with the request it is about.
    """
    if not told:
        return
    connection.execute(
        "select 1 from ops.opt_in_request where request_id = any(%s)"
        " order by request_id for no key update",
        ([request_id for _, request_id in told],),
    )
    for state, kinds, from_states in FORWARD:
        connection.execute(
            "update ops.opt_in_request set state = %s, reason = null,"
            " settled_at = now() where request_id = any(%s) and state = any(%s)",
            (
                state,
                [request_id for event, request_id in told if event.kind in kinds],
                from_states,
            ),
        )
