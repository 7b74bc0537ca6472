"""Unsubscribing: signed tokens for the links in messages, and what a click brings about.

A token is the opaque id of a message and a signature. It names nobody, and it does not expire: an
objection must work however old the message is. The page around it is in `web/`.
"""

from __future__ import annotations

import hmac
from uuid import UUID

import psycopg

from winback.privacy.keyed_hash import keyed_hash
from winback.warehouse import connection as warehouse


def token(message_id: UUID) -> str:
    """The token for the unsubscribe link of a message."""
    return f"{message_id.hex}{keyed_hash('unsubscribe', message_id.hex)}"


def message_of(text: str) -> UUID | None:
    """The message whose token this is; None for any other text."""
    try:
        message_id = UUID(hex=text[:32])
    except ValueError:
        return None
    return message_id if hmac.compare_digest(token(message_id).encode(), text.encode()) else None


def unsubscribe(message_id: UUID) -> bool:
    """Suppresses the person a message went to, and cancels what was planned for them.

    Returns:
        Whether the message is known. A second click changes nothing and is True as well.
    """
    with warehouse.connect("webhook") as connection:
        found = connection.execute(
            "select address_hash, customer_key from ops.outreach where message_id = %s",
            (message_id,),
        ).fetchone()
        if found is None:
            return False
        suppress(connection, message_id, found[0], found[1], "unsubscribe")
    return True


def suppress(
    connection: psycopg.Connection,
    message_id: UUID,
    address_hash: str,
    customer_key: str,
    reason: str,
) -> None:
    """Stores an objection of a person and cancels everything planned for them, in one transaction."""
    connection.execute(
        "insert into ops.suppression (address_hash, customer_key, scope, reason, message_id)"
        " values (%s, %s, 'person', %s, %s) on conflict do nothing",
        (address_hash, customer_key, reason, message_id),
    )
    connection.execute(
        "update ops.outreach set state = 'cancelled', reason = 'suppressed', settled_at = now(),"
        " fence = fence + 1"
        " where customer_key = %s and state in ('planned', 'claimed')",
        (customer_key,),
    )
