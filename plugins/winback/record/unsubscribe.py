"""Unsubscribing: signed tokens for the links in messages, and what a click brings about.

A token is the opaque id of a message and a signature. It names nobody, and it does not expire: an
objection must work however old the message is. The page around it is in `web/`.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from uuid import UUID

import psycopg

from winback.privacy.keyed_hash import hasher
from winback.record import suppression
from winback.warehouse import connection as warehouse


def token(message_id: UUID) -> str:
    """The token for the unsubscribe link of a message."""
    return tokens()(message_id)


def tokens() -> Callable[[UUID], str]:
    """`token` for many messages."""
    hashed = hasher("unsubscribe")

    def token_of(message_id: UUID) -> str:
        text = message_id.hex
        return f"{text}{hashed(text)}"

    return token_of


def message_of(text: str) -> UUID | None:
    """The message whose token this is; None for any other text."""
    try:
        message_id = UUID(hex=text[:32])
        given = text.encode()
    except ValueError:
        return None
    return message_id if hmac.compare_digest(token(message_id).encode(), given) else None


def trial_id() -> UUID:
    """An id for a test mail: of a kind that no message of the ledger can have.

    A UUID has its version in the first half; here that half is zero.
    """
    return UUID(int=secrets.randbits(64))


def is_trial(text: str) -> bool:
    """Whether a link is that of a test mail or a preview: no signature, since it does nothing."""
    try:
        message_id = UUID(hex=text)
    except ValueError:
        return False
    return message_id.hex == text and message_id.int < 2**64


def unsubscribe(message_id: UUID) -> bool:
    """Suppresses the person a message went to, and cancels what was planned for them.

    Of a mail that asked for a consent only the address: whoever reads it may be somebody else than
    the customer who gave it.

    Returns:
        Whether the message is known, and whose it is. A second click changes nothing and is True
        as well.
    """
    with warehouse.connect("webhook") as connection:
        found = connection.execute(
            "select 1 from ops.outreach where message_id = %s", (message_id,)
        ).fetchone()
        if found is None:
            return _refuse_consent(connection, message_id)
        if suppression.nobodys(connection, [message_id]):
            return False
        suppression.lock(connection, [message_id])
        suppression.suppress(connection, [message_id], "person", "unsubscribe")
    return True


def was_erased(message_id: UUID) -> bool:
    """Whether nobody can tell any more whom a message went to, since they were erased.

    Of a mail that asked for a consent nothing is left at all.

    Args:
        message_id: Of a link that carries our signature.
    """
    with warehouse.connect("webhook") as connection:
        if suppression.nobodys(connection, [message_id]):
            return True
        [(is_known,)] = connection.execute(
            "select exists (select 1 from ops.outreach where message_id = %(id)s)"
            " or exists (select 1 from ops.opt_in_request where request_id = %(id)s)",
            {"id": message_id},
        ).fetchall()
    return not is_known


def _refuse_consent(connection: psycopg.Connection, request_id: UUID) -> bool:
    asked = connection.execute(
        "select address_hash from ops.opt_in_request where request_id = %s", (request_id,)
    ).fetchone()
    if asked is None:
        return False
    suppression.lock(connection, [], [asked[0]])
    suppression.suppress_addresses(connection, [asked[0]], "unsubscribe")
    return True
