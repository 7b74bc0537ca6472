"""The mail provider's event webhook: who may call it, and keeping what it brought.

A batch is checked by its signature before anything in it is read, then stored as it came. What it
says is worked out later, in `events.py`. The HTTP route around it is in `web/`.
"""

from __future__ import annotations

import base64
import re
import time
from collections import defaultdict
from contextlib import ExitStack, suppress
from functools import lru_cache

import psycopg
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from winback.errors import SettingsError
from winback.warehouse import connection as warehouse

MAX_BODY_BYTES = 1 << 20
SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"
# A post that opens a connection of its own spends more time on that than on all the rest (10 of
# 12 ms). By address of the warehouse; as many as there ever were posts at once, at most the threads
# of the web server.
_idle: defaultdict[str, list[tuple[ExitStack, psycopg.Connection]]] = defaultdict(list)


def is_genuine(
    body: bytes, signature: str, timestamp: str, keys: str, max_age_seconds: int
) -> bool:
    """Whether a batch was signed by the provider, and recently.

    Args:
        body: The raw body.
        signature: Base64 of an ECDSA signature over timestamp and body.
        timestamp: Seconds since 1970, as sent.
        keys: The provider's public key, base64 of DER; while another takes its place both, with a
            comma between. Whichever signed, it is believed.
        max_age_seconds: An older (or later) timestamp is refused.

    Raises:
        SettingsError: A key is missing or no key.
    """
    public_keys = _public_keys(keys)
    # int() would take blanks, signs and digits of other scripts, and numbers of any length
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return False
    try:
        signed = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    if not any(_has_signed(key, signed, timestamp.encode() + body) for key in public_keys):
        return False
    return abs(time.time() - int(timestamp)) <= max_age_seconds


def keep(body: bytes) -> None:
    """Stores a genuine batch for `events.record`; returns once it is committed.

    Raises:
        ServerError: The warehouse does not answer.
    """
    idle = _idle[warehouse.url()]
    while idle:
        try:
            held, connection = idle.pop()
        except IndexError:  # another thread was quicker
            break
        # The server may have ended it meanwhile. If that was after the commit, the batch is stored
        # twice, which `events.record` bears: the provider repeats itself as well.
        with held, suppress(psycopg.OperationalError):
            _insert(connection, body)
            idle.append((held.pop_all(), connection))
            return
    with ExitStack() as opened:
        connection = opened.enter_context(warehouse.connect("webhook", autocommit=True))
        _insert(connection, body)
        idle.append((opened.pop_all(), connection))


def _insert(connection: psycopg.Connection, body: bytes) -> None:
    connection.execute("insert into pii.webhook_inbox (body) values (%s)", (body,))


def _has_signed(key: ec.EllipticCurvePublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=1)
def _public_keys(keys: str) -> tuple[ec.EllipticCurvePublicKey, ...]:
    return tuple(_public_key(key.strip()) for key in keys.split(","))


def _public_key(key: str) -> ec.EllipticCurvePublicKey:
    try:
        public_key = serialization.load_der_public_key(base64.b64decode(key, validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(
            "sendgrid_webhook_key is not the public key of the signed event webhook (or two with a"
            " comma between): copy it from the provider's settings to WINBACK_SENDGRID_WEBHOOK_KEY"
        ) from error
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise SettingsError("sendgrid_webhook_key must be an elliptic curve key")
    return public_key
