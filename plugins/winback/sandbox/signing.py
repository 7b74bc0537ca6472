"""The signature of event batches: ECDSA P-256 over timestamp and raw body.

Checking a signature belongs to the webhook of winback, not here.
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from winback.errors import ServerError

SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"


def new_private_key() -> bytes:
    """A fresh P-256 key as unencrypted PEM, to be written to the file the sandbox is given."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class Signer:
    """Signs event batches with one private key."""

    def __init__(self, private_key_pem: bytes) -> None:
        """Reads the key.

        Args:
            private_key_pem: An unencrypted PEM of a P-256 key.

        Raises:
            ServerError: The text is no such key.
        """
        try:
            key = serialization.load_pem_private_key(private_key_pem, password=None)
        except (ValueError, TypeError) as error:
            raise ServerError(f"the sandbox's private key can not be read: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ServerError("the sandbox's private key must be an elliptic curve key, P-256")
        self._key = key

    def headers(self, timestamp: int, body: bytes) -> dict[str, str]:
        """The two headers that sign `body` as posted at `timestamp` (seconds since 1970)."""
        stamp = str(timestamp)
        signature = self._key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {
            SIGNATURE_HEADER: base64.b64encode(signature).decode(),
            TIMESTAMP_HEADER: stamp,
        }

    def public_key(self) -> str:
        """The verification key as the provider shows it: base64 of DER, without PEM lines."""
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()
