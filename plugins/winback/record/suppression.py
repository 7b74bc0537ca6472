"""Objections and dead addresses: kept for ever as hashes, and what is planned ends at once.

Called by the unsubscribe page and by the step record, each within its own transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import psycopg

Scope = Literal["address", "person"]

# Rows are locked before anything is written, and always in this order: the page, the step record
# and the sender touch the same rows at the same time, and would wait for each other for ever.
_LOCK = """
select o.message_id from ops.outreach as o
where o.message_id = any(%(ids)s) or o.state in ('planned', 'claimed') and (
    o.address_hash in (
        select told.address_hash from ops.outreach as told where told.message_id = any(%(ids)s)
    )
    or o.customer_key in (
        select told.customer_key from ops.outreach as told where told.message_id = any(%(ids)s)
    )
    or o.address_hash = any(%(hashes)s)
)
order by o.message_id
for no key update of o
"""

_STORE = """
insert into ops.suppression (address_hash, customer_key, scope, reason, message_id)
select address_hash, case when %(scope)s = 'person' then customer_key end, %(scope)s, %(reason)s,
    message_id
from ops.outreach where message_id = any(%(ids)s)
order by address_hash, customer_key, message_id
on conflict do nothing
"""

_CANCEL = """
update ops.outreach as o set state = 'cancelled', reason = 'suppressed', settled_at = now(),
    fence = o.fence + 1
from ops.outreach as told
where told.message_id = any(%(ids)s) and o.state in ('planned', 'claimed')
    and (
        o.address_hash = told.address_hash
        or %(scope)s = 'person' and o.customer_key = told.customer_key
    )
"""


def nobodys(connection: psycopg.Connection, message_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these messages are nobody's any more, since the person was erased."""
    rows = connection.execute(
        # all of their names are one random name since
        "select message_id from ops.outreach"
        " where message_id = any(%s) and customer_key = lapse_id",
        (list(message_ids),),
    ).fetchall()
    return {message_id for (message_id,) in rows}


def lock(
    connection: psycopg.Connection,
    message_ids: Sequence[UUID],
    address_hashes: Sequence[str] = (),
) -> None:
    """Locks these messages and all that is planned for the same people and addresses.

    Once in a transaction, and before it suppresses anybody.

    Args:
        connection: The caller commits.
        message_ids: Messages of the ledger.
        address_hashes: Addresses whose planned messages are locked as well.
    """
    connection.execute(_LOCK, {"ids": list(message_ids), "hashes": list(address_hashes)})


def lock_for_all(connection: psycopg.Connection) -> None:
    """Lets one batch of events suppress at a time: two of them find the same people by their
    messages and by their addresses, in whichever order. After `lock`."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended('ops.suppression', 1))")


def suppress(
    connection: psycopg.Connection, message_ids: Sequence[UUID], scope: Scope, reason: str
) -> None:
    """Suppresses whoever these messages went to and cancels what is planned for them.

    Args:
        connection: The caller commits; the messages are locked by `lock`.
        message_ids: Messages of the ledger.
        scope: Whether the address alone is meant, or the person under any address.
        reason: Why, one of the words that `ops.suppression` knows.
    """
    if message_ids:
        values = {"ids": list(message_ids), "scope": scope, "reason": reason}
        connection.execute(_STORE, values)
        connection.execute(_CANCEL, values)


def suppress_people(
    connection: psycopg.Connection, address_hashes: Sequence[str], reason: str
) -> None:
    """Suppresses whoever has these addresses, and the addresses themselves.

    For objections to messages that the ledger does not have. What is planned for the addresses is
    locked by `lock`.
    """
    suppress_addresses(connection, address_hashes, reason)
    connection.execute(
        "insert into ops.suppression (address_hash, customer_key, scope, reason)"
        " select email_hash, customer_key, 'person', %s from raw.customers"
        " where email_hash = any(%s) order by 1, 2 on conflict do nothing",
        (reason, list(address_hashes)),
    )


def suppress_addresses(
    connection: psycopg.Connection, address_hashes: Sequence[str], reason: str
) -> None:
    """Suppresses addresses that no message of the ledger belongs to; their planned messages are
    locked by `lock`."""
    connection.execute(
        "insert into ops.suppression (address_hash, scope, reason)"
        " select distinct a, 'address', %s from unnest(%s::text[]) as a order by 2, 1"
        " on conflict do nothing",
        (reason, list(address_hashes)),
    )
    connection.execute(
        "update ops.outreach set state = 'cancelled', reason = 'suppressed', settled_at = now(),"
        " fence = fence + 1 where address_hash = any(%s) and state in ('planned', 'claimed')",
        (list(address_hashes),),
    )
