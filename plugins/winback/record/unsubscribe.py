"""Unsubscribing: signed tokens for the links in messages, and what a click brings about.

A token is the opaque id of a message and a signature. It names nobody, and it does not expire: an
objection must work however old the message is. The page around it is in `web/`.
"""

from __future__ import annotations

import hmac
from uuid import UUID

import psycopg

from winback.privacy.keyed_hash import keyed_hash
from winback.record import suppression
from winback.warehouse import connection as warehouse


def token(message_id: UUID) -> str:
    """The token for the unsubscribe link of a message."""
    return f"{message_id.hex}{keyed_hash('unsubscribe', message_id.hex)}"


def message_of(text: str) -> UUID | None:
    """The message whose token this is; None for any other text."""
    try:
        message_id = UUID(hex=text[:32])
        given = text.encode()
    except ValueError:
        return None
    return message_id if hmac.compare_digest(token(message_id).encode(), given) else None


def unsubscribe(message_id: UUID) -> bool:
    """Suppresses the person a message went to, and cancels what was planned for them.

    Of a mail that asked for a consent only the address: whoever reads it may be somebody else than
    the customer who gave it.

    Returns:
        Whether the message is known. A second click changes nothing and is True as well.
    """
    with warehouse.connect("webhook") as connection:
        found = connection.execute(
            "select 1 from ops.outreach where message_id = %s", (message_id,)
        ).fetchone()
        if found is None:
            return _refuse_consent(connection, message_id)
        suppression.lock(connection, [message_id])
        suppression.suppress(connection, [message_id], "person", "unsubscribe")
    return True


def _refuse_consent(connection: psycopg.Connection, request_id: UUID) -> bool:
    asked = connection.execute(
        "select address_hash from ops.opt_in_request where request_id = %s", (request_id,)
    ).fetchone()
    if asked is None:
        return False
    suppression.suppress_addresses(connection, [asked[0]], "unsubscribe")
    return True
