"""Suppressions: what lifts one, and what does not."""

from __future__ import annotations

import psycopg
import pytest

from tests.consent_shop import FOUR, Shop, ago
from winback.privacy.keyed_hash import address_hash


def suppress(shop: Shop, at: str, scope: str = "person", reason: str = "unsubscribe") -> None:
    shop.put(
        "ops.suppression", address_hash="hash of ada", scope=scope, reason=reason,
        customer_key="ada" if scope == "person" else None, suppressed_at=at,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        ("address", "bounce"), ("address", "dropped"), ("person", "unsubscribe"),
        ("person", "spam_report"), ("person", "objection"),
    ],
)  # fmt: skip
def test_only_a_new_express_consent_lifts_a_suppression(
    shop: Shop, scope: str, reason: str
) -> None:
    shop.customer()
    shop.consent()
    suppress(shop, ago(100), scope, reason)
    assert shop.verdict().reasons == ["suppressed"]
    # asked for before, confirmed afterwards
    shop.consent(consent_id="b", granted_at=ago(101), confirmed_at=ago(99))
    assert shop.verdict().reasons == ["suppressed"]
    shop.consent(consent_id="c", granted_at=ago(90), confirmed_at=None)
    assert shop.verdict().reasons == ["suppressed"]
    # of a business, on grounds that it never said
    shop.consent(consent_id="p", granted_at=ago(85), confirmed_at=ago(85), ground="presumed")
    assert shop.verdict().reasons == ["suppressed"]
    shop.consent(consent_id="d", granted_at=ago(80), confirmed_at=ago(80), email_hash="other")
    assert "suppressed" in shop.verdict().reasons
    shop.consent(consent_id="e", granted_at=ago(70), confirmed_at=ago(70))
    assert shop.verdict().reasons == []
    taken_back = "update raw.consents set withdrawn_at = %s where consent_id = 'e'"
    shop.warehouse.execute(taken_back, (ago(60),))
    assert shop.verdict().reasons == ["suppressed", "consent_withdrawn"]
    shop.warehouse.execute(taken_back, (None,))
    # other channels keep quiet until there is one for them, but for an address that died
    assert ("suppressed" in shop.verdict(channel="letter").reasons) == (scope == "person")


def test_a_consent_that_has_lapsed_lifts_nothing_any_more(shop: Shop) -> None:
    shop.customer(**FOUR)
    suppress(shop, ago(1000))
    shop.consent(granted_at=ago(900), confirmed_at=ago(900))
    # being an existing customer is a ground only for whoever did not object
    verdict = shop.verdict()
    assert verdict.reasons == ["suppressed"]
    assert verdict.evidence["suppression"] == 1
    shop.sent(400)
    verdict = shop.verdict()
    assert (verdict.reasons, verdict.evidence["ground"]) == ([], "consent")
    assert "suppression" not in verdict.evidence
    # the newest objection is the one that counts
    suppress(shop, ago(300), reason="objection")
    verdict = shop.verdict()
    assert (verdict.reasons, verdict.evidence["suppression"]) == (["suppressed"], 2)


def test_letters_until_objection_are_no_ground_after_a_consent_that_has_lapsed(
    shop: Shop,
) -> None:
    shop.customer()
    suppress(shop, ago(1000))
    shop.consent(channel="letter", granted_at=ago(900), confirmed_at=ago(900))
    assert shop.verdict(channel="letter").reasons == ["suppressed"]


@pytest.mark.parametrize("reason", ["bounce", "dropped"])
def test_an_address_that_died_blocks_no_other_number_and_no_other_channel(
    shop: Shop, reason: str
) -> None:
    shop.customer()
    shop.customer("bob")
    shop.consent("bob")
    shop.consent("bob", consent_id="calls", channel="phone")
    shop.put(
        "ops.customer_merge", customer_key="ada", winner_key="bob",
        evidence="email_without_plus_part", email_hash="hash of bob", merged_as_of=ago(200),
    )  # fmt: skip
    suppress(shop, ago(100), "address", reason)
    assert shop.verdict("bob").reasons == shop.verdict("bob", channel="phone").reasons == []
    # what a person said reaches everything that is theirs
    suppress(shop, ago(100), "address", "spam_report")
    assert shop.verdict("bob").reasons == ["suppressed"]


def test_the_existing_customer_rule_lifts_nothing(shop: Shop) -> None:
    shop.customer(**FOUR)
    suppress(shop, ago(301))
    assert shop.verdict().reasons == ["suppressed"]


def test_who_objects_again_after_a_new_consent_has_objected(shop: Shop) -> None:
    shop.customer()
    suppress(shop, ago(100))
    shop.consent(granted_at=ago(50), confirmed_at=ago(50))
    assert shop.verdict().reasons == []
    with psycopg.connect(shop.warehouse.url) as connection:
        connection.execute("set role winback_webhook")
        connection.execute(
            "insert into ops.suppression (address_hash, customer_key, scope, reason)"
            " values ('hash of ada', 'ada', 'person', 'unsubscribe') on conflict do nothing"
        )
    assert shop.verdict().reasons == ["suppressed"]
    assert shop.warehouse.execute(
        "select count(*), max(suppressed_at) = %s, max(renewed_at) > now() - interval '1 hour'"
        " from ops.suppression",
        (ago(100),),
    ) == [(1, True, True)]


def test_a_suppression_survives_erasure_and_a_new_registration(shop: Shop) -> None:
    """The hash is that of the normalised address, and needs no row of the customer."""
    hashed = address_hash("email", "ada@example.com")
    shop.customer(email_hash=hashed)
    shop.consent()
    shop.put(
        "ops.suppression", address_hash=hashed, customer_key="ada", scope="person",
        reason="unsubscribe", suppressed_at=ago(100),
    )  # fmt: skip
    for table in ("raw.customers", "raw.orders", "raw.consents"):
        shop.warehouse.execute(f"delete from {table}")
    shop.customer("new number", email_hash=address_hash("email", " Ada@Example.COM "))
    shop.consent("new number", granted_at=ago(200), confirmed_at=ago(200))
    assert shop.verdict("new number").reasons == ["suppressed"]
