"""The feed declarations hold together, and their reference in the docs is theirs."""

from __future__ import annotations

import pytest

from winback.extract.feed_reference import PATH, reference
from winback.extract.feeds import FEEDS, Feed
from winback.extract.loading.raw_tables import pii_columns, raw_columns, raw_key


@pytest.mark.parametrize("feed", FEEDS.values(), ids=list(FEEDS))
def test_a_feed_is_sound(feed: Feed) -> None:
    names = [column.name for column in feed.columns]
    assert len(names) == len(set(names))
    assert feed.doc.startswith("One row per ")
    assert feed.column(feed.event_time).kind == "timestamp"
    for name in (*feed.key, feed.event_time):
        assert feed.column(name).is_required, f"{name} identifies or dates a row"
    for column in feed.columns:
        assert column.doc
        has_limits = column.minimum is not None or column.maximum is not None
        assert not has_limits or column.kind in ("integer", "number", "cents")
        assert not column.allowed or column.kind == "text"
        assert column.references is None or len(FEEDS[column.references].key) == 1
    assert not [c.name for c in feed.columns if c.kind == "cents"] or "currency" in names
    assert feed.switches_on


@pytest.mark.parametrize("feed", FEEDS.values(), ids=list(FEEDS))
def test_personal_columns_have_no_place_in_raw(feed: Feed) -> None:
    stored = {name for name, _ in raw_columns(feed)}
    personal = {column.name for column in feed.personal_columns}
    assert stored.isdisjoint(personal | {c.name for c in feed.columns if c.kind == "customer"})
    assert personal <= set(pii_columns(feed))
    assert set(raw_key(feed)) <= stored


def test_the_feeds_are_those_of_the_design() -> None:
    assert set(FEEDS) == {
        "customers", "orders", "order_lines", "products", "returns", "deliveries", "payments",
        "complaints", "reviews", "consents", "contact_preferences", "contacts", "carts",
        "contracts", "visits", "usage", "referrals", "survey_answers", "appointments",
        "improvements", "external_assignments", "notes",
    }  # fmt: skip


def test_the_required_feeds() -> None:
    assert {feed.name for feed in FEEDS.values() if feed.is_required} == {"customers", "orders"}


def test_the_feed_reference_follows_the_declaration() -> None:
    assert PATH.read_text(encoding="utf-8") == reference(), (
        "run `PYTHONPATH=plugins .venv/bin/python -m winback.extract.feed_reference`"
    )


def test_what_stays_for_ever_once_it_was_told() -> None:
    assert {
        (feed.name, column.name)
        for feed in FEEDS.values()
        for column in feed.columns
        if column.is_for_ever
    } == {("customers", "objected_at"), ("consents", "withdrawn_at")}
