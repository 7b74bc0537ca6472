"""Whose events are believed: signature, age and key."""

from __future__ import annotations

import base64
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from winback.errors import SettingsError
from winback.record.webhook import SIGNATURE_HEADER, TIMESTAMP_HEADER, is_genuine
from winback.sandbox.signing import Signer, new_private_key

SIGNER = Signer(new_private_key())
BODY = '[{"event":"delivered","email":"ä@example.com"}]\r\n'.encode()


def signed(at: int, body: bytes = BODY, signer: Signer = SIGNER) -> tuple[str, str]:
    headers = {name.lower(): value for name, value in signer.headers(at, body).items()}
    return headers[SIGNATURE_HEADER.lower()], headers[TIMESTAMP_HEADER.lower()]


def check(signature: str, timestamp: str, body: bytes = BODY, key: str | None = None) -> bool:
    key = SIGNER.public_key() if key is None else key
    return is_genuine(body, signature, timestamp, key, 600)


@pytest.mark.parametrize("age", [0, 590, -590])
def test_a_genuine_batch_is_believed(age: int) -> None:
    assert check(*signed(int(time.time()) - age))


def test_raw_bytes_are_signed_whatever_they_are() -> None:
    for body in (b"", b"\xff\x00", b"[]", b"x" * 100_000):
        assert check(*signed(int(time.time()), body), body)


@pytest.mark.parametrize("age", [700, -700, 10**9])
def test_an_old_or_future_batch_is_not(age: int) -> None:
    assert not check(*signed(int(time.time()) - age))


def test_an_altered_body_or_time_or_a_foreign_key_is_not() -> None:
    now = int(time.time())
    signature, timestamp = signed(now)
    assert check(signature, timestamp)
    assert not check(signature, timestamp, BODY + b" ")
    assert not check(signature, timestamp, BODY.strip())
    assert not check(signature, str(now + 1))
    assert not check(signature, timestamp, key=Signer(new_private_key()).public_key())
    assert not check(*signed(now, signer=Signer(new_private_key())))


@pytest.mark.parametrize("between", [",", " , "])
def test_while_a_key_takes_the_place_of_another_both_are_believed(between: str) -> None:
    now = int(time.time())
    old, new, foreign = (Signer(new_private_key()) for _ in range(3))
    keys = old.public_key() + between + new.public_key()
    assert check(*signed(now, signer=old), key=keys)
    assert check(*signed(now, signer=new), key=keys)
    assert not check(*signed(now, signer=foreign), key=keys)
    assert not check(*signed(now - 3600, signer=new), key=keys)
    assert check(*signed(now, signer=new), key=new.public_key())
    assert not check(*signed(now, signer=old), key=new.public_key())


@pytest.mark.parametrize("signature", ["", "x", "AAAA", "ä", "=" * 99, "A" * 100_000, "\x00"])
def test_garbage_instead_of_a_signature_is_not(signature: str) -> None:
    assert not check(signature, str(int(time.time())))


@pytest.mark.parametrize(
    "timestamp", ["", "now", "1e9", "-1", " 1", "1_0", "1" * 400, "1" * 5000, "٣", "nan", "0x1"]
)
def test_garbage_instead_of_a_time_is_not(timestamp: str) -> None:
    # signed by the right key, so that nothing but the time is wrong
    key = serialization.load_pem_private_key(PEM, None)
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(timestamp.encode() + BODY, ec.ECDSA(hashes.SHA256()))
    public = Signer(PEM).public_key()
    assert not check(base64.b64encode(signature).decode(), timestamp, key=public)


PEM = new_private_key()
RSA = (
    rsa.generate_private_key(65537, 2048)
    .public_key()
    .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "copy it from the provider's settings to WINBACK_SENDGRID_WEBHOOK_KEY"),
        ("not base64!", "is not the public key"),
        ("AAAA", "is not the public key"),
        (f"{SIGNER.public_key()},", "or two with a comma between"),
        (f"{SIGNER.public_key()} {SIGNER.public_key()}", "or two with a comma between"),
        ("ä", "is not the public key"),
        (base64.b64encode(RSA).decode(), "must be an elliptic curve key"),
    ],
)
def test_a_missing_or_wrong_key_believes_nobody_and_says_so(key: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        check(*signed(int(time.time())), key=key)
