"""Tokens of unsubscribe links: they name one message, last for ever, and can not be made up."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winback.errors import SettingsError
from winback.record.unsubscribe import message_of, token
from winback.settings import settings

ID = UUID("12345678-90ab-4def-8123-4567890abcde")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_KEY", "test key")


@given(st.uuids())
def test_a_token_leads_back_to_its_message(message_id: UUID) -> None:
    assert message_of(token(message_id)) == message_id


def test_a_token_is_one_part_of_a_web_address_and_names_nobody() -> None:
    assert token(ID).isalnum()
    assert token(ID).isascii()
    assert len(token(ID)) == 64
    assert token(ID) == token(ID) != token(uuid4())


def test_no_character_of_a_token_may_be_changed() -> None:
    good = token(ID)
    for position, character in enumerate(good):
        other = "0" if character != "0" else "1"
        assert message_of(good[:position] + other + good[position + 1 :]) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "0" * 64, "0" * 32, str(ID), token.__name__, "ä" * 64, "\ud800" * 64, "\0" * 64,
        "{" + "1" * 30 + "}", "urn:uuid:" + "1" * 55, "9" * 100_000,
    ],
)  # fmt: skip
def test_garbage_is_nobodys_token(text: str) -> None:
    assert message_of(text) is None


def test_only_the_very_text_counts() -> None:
    good = token(ID)
    for text in (good.upper(), good + "0", good[:-1], f" {good}", f"{good}\n", f"{ID}{good[32:]}"):
        assert text != good
        assert message_of(text) is None


def test_another_key_makes_other_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    good = token(ID)
    monkeypatch.setenv("WINBACK_KEY", "another")
    settings.cache_clear()
    assert message_of(good) is None


def test_without_a_key_there_are_no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_KEY", "")
    settings.cache_clear()
    with pytest.raises(SettingsError, match="the setting `key` is empty"):
        token(ID)
