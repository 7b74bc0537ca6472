"""Confirming a consent: signed tokens for the links of opt-in mails, and what a click brings about.

A token is the opaque id of a request and a signature. It names nobody; the request expires. How a
request is sent is `privacy/opt_in_request.py`; the page is in `web/`.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from winback.privacy.keyed_hash import keyed_hash
from winback.warehouse import connection as warehouse

State = Literal["open", "confirmed", "expired"]


@dataclass(frozen=True)
class Request:
    """What somebody is asked to agree to.

    Attributes:
        content: The words.
        language: Of the words.
        state: Confirmed ones stay so, whatever the date.
    """

    content: str
    language: str
    state: State


_FIND = """
select t.content, t.language,
    case
        when r.confirmed_at is not null then 'confirmed'
        when r.expires_at <= now() then 'expired'
        else 'open'
    end
from ops.opt_in_request as r
inner join ops.consent_text as t using (text_version)
where r.request_id = %s
"""


def token(request_id: UUID) -> str:
    """The token for the link that confirms a request."""
    return f"{request_id.hex}{keyed_hash('opt_in', request_id.hex)}"


def request_of(text: str) -> UUID | None:
    """The request whose token this is; None for any other text."""
    try:
        request_id = UUID(hex=text[:32])
        given = text.encode()
    except ValueError:
        return None
    return request_id if hmac.compare_digest(token(request_id).encode(), given) else None


def find(request_id: UUID) -> Request | None:
    """The request as it stands; changes nothing. None when it is unknown."""
    with warehouse.connect("webhook") as connection:
        row = connection.execute(_FIND, (request_id,)).fetchone()
    return None if row is None else Request(*row)


def confirm(request_id: UUID) -> Request | None:
    """Confirms a request unless it has expired; a second click keeps the time of the first.

    Returns:
        The request as it stands afterwards; None when it is unknown.
    """
    with warehouse.connect("webhook") as connection:
        connection.execute(
            "update ops.opt_in_request set confirmed_at = now()"
            " where request_id = %s and confirmed_at is null and expires_at > now()",
            (request_id,),
        )
        row = connection.execute(_FIND, (request_id,)).fetchone()
    return None if row is None else Request(*row)
