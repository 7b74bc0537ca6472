"""Unsubscribing: signed tokens for the links in messages, and what a click brings about.

A token is the opaque id of a message and a signature. It names nobody, and it does not expire: an
objection must work however old the message is. The page around it is in `web/`.
"""

from __future__ import annotations

import hmac
from uuid import UUID

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

    Returns:
        Whether the message is known. A second click changes nothing and is True as well.
    """
    with warehouse.connect("webhook") as connection:
        found = connection.execute(
            "select 1 from ops.outreach where message_id = %s", (message_id,)
        ).fetchone()
        if found is None:
            return False
        suppression.lock(connection, [message_id])
        suppression.suppress(connection, [message_id], "person", "unsubscribe")
    return True
