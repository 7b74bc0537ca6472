"""Keyed hashes: stable, apart by purpose, useless without the key."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from winback.errors import SettingsError
from winback.privacy.keyed_hash import address_hash, customer_key, keyed_hash


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_KEY", "test key")


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_it_is_hmac_sha256_of_purpose_and_text(length: int) -> None:
    key = "ä" * (length // 2) + "k" * (length % 2)
    assert len(key.encode()) == length
    expected = hmac.new(key.encode(), "email\x1fjörg@example.com".encode(), hashlib.sha256)
    assert keyed_hash("email", "jörg@example.com", key) == expected.hexdigest()[:32]
    assert keyed_hash("email", "jörg@example.com") != expected.hexdigest()[:32]


def test_purpose_key_and_dataset_keep_hashes_apart() -> None:
    hashes = {
        keyed_hash("email", "1"),
        keyed_hash("phone", "1"),
        keyed_hash("email", "1", key="other"),
        customer_key("shop", "1"),
        customer_key("cdnow", "1"),
    }
    assert len(hashes) == 5


def test_an_address_is_known_however_it_is_written() -> None:
    assert address_hash("email", " Ada@Example.COM ") == address_hash("email", "ada@example.com")
    assert address_hash("letter", "Main St 1") != address_hash("letter", "main st 1")


def test_without_a_key_there_is_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_KEY", "")
    with pytest.raises(SettingsError, match="set WINBACK_KEY"):
        customer_key("shop", "1")
