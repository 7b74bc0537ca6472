"""Keyed hashes: what stands for a person or an address wherever names must not.

Without the key nobody can test whether a known address is in the data. The key is a setting; a
warehouse that changed its key would no longer recognise its own suppressions, so it never does.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256

import idna

from winback.errors import SettingsError
from winback.settings import settings

LENGTH = 32
# of SHA-256, in bytes
BLOCK = 64


def keyed_hash(purpose: str, text: str, key: str | None = None) -> str:
    """HMAC-SHA256 of a text, as 32 hex digits (128 bits).

    Args:
        purpose: Keeps hashes of different things apart, e.g. `email`.
        text: What is hashed.
        key: The secret; the setting `key` when left out.

    Raises:
        SettingsError: There is no key.
    """
    return hasher(purpose, key=key)(text)


def hasher(purpose: str, prefix: str = "", key: str | None = None) -> Callable[[str], str]:
    """A function that hashes one text after the other as `keyed_hash` does, in half the time.

    Args:
        purpose: Keeps hashes of different things apart, e.g. `email`.
        prefix: Stands before every text.
        key: The secret; the setting `key` when left out.

    Raises:
        SettingsError: There is no key.
    """
    key = settings().key if key is None else key
    if not key:
        raise SettingsError(
            "the setting `key` is empty: set WINBACK_KEY to a long random text and keep it for ever"
        )
    # as RFC 2104 defines it: the standard library's object takes half as long again for each text
    secret = key.encode()
    block = (sha256(secret).digest() if len(secret) > BLOCK else secret).ljust(BLOCK, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in block) + f"{purpose}\x1f{prefix}".encode())
    outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def hashed(text: str) -> str:
        within = inner.copy()
        within.update(text.encode())
        each = outer.copy()
        each.update(within.digest())
        return each.hexdigest()[:LENGTH]

    return hashed


def customer_key(dataset: str, source_customer_id: str) -> str:
    """The key under which a customer of a dataset is known everywhere in the warehouse."""
    return customer_hasher(dataset)(source_customer_id)


def customer_hasher(dataset: str) -> Callable[[str], str]:
    """`customer_key` for many customers of one dataset."""
    return hasher("customer", f"{dataset}\x1f")


def normalise_email(address: str) -> str:
    """The form of an e-mail address that is hashed.

    No blanks around it, lower case, one way of writing accents (Unicode's form C), and the domain
    as the DNS has it (IDNA, UTS 46).
    """
    plain = address.strip().lower()
    if plain.isascii():
        return plain
    name, at, domain = unicodedata.normalize("NFC", plain).rpartition("@")
    # what is no name of the DNS stays as it is
    with suppress(idna.IDNAError):
        domain = idna.encode(domain, uts46=True).decode()
    return f"{name}{at}{domain}"


def address_hash(channel: str, address: str) -> str:
    """The keyed hash of a contact address, after normalising it."""
    return keyed_hash(channel, normalise_email(address) if channel == "email" else address.strip())
