"""What allows a message beside consent: being a customer, calls to businesses, letters."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.consent_shop import AS_OF, FOUR, Shop, ago

# The existing-customer rule


@pytest.mark.parametrize(
    ("country", "kind", "allows"),
    [
        ("DE", "consumer", True),
        ("DE", "business", True),
        ("de", "consumer", True),
        ("CH", "consumer", True),
        ("CH", "business", True),
        # the list of those who want no e-mail is not looked up
        ("AT", "consumer", False),
        ("AT", "business", False),
        ("FR", "consumer", False),
        (None, "consumer", False),
        ("DE", None, True),
    ],
)
def test_existing_customers_by_country(
    shop: Shop, country: str | None, kind: str | None, allows: bool
) -> None:
    shop.customer(country=country, kind=kind, **FOUR)
    verdict = shop.verdict()
    assert verdict.reasons == ([] if allows else ["consent_missing"])
    if allows:
        assert verdict.evidence["ground"] == "existing_customer"
        assert verdict.evidence["since"].startswith(str(AS_OF - timedelta(days=300)))
        assert "consent" not in verdict.evidence


@pytest.mark.parametrize("channel", ["phone", "ads"])
def test_the_rule_is_for_e_mail_alone(shop: Shop, channel: str) -> None:
    shop.customer(**FOUR)
    assert shop.verdict(channel=channel).reasons == ["consent_missing"]


@pytest.mark.parametrize(
    "changed",
    [
        {"address_from_sale_at": None},
        {"similar_goods_at": None},
        {"opt_out_notice_at": None},
        {"address_from_sale_at": ago(0)},
        {"similar_goods_at": ago(0)},
        # told only after the address was taken
        {"opt_out_notice_at": ago(298)},
        # the first order came later: the address is that of a cart
        {"address_from_sale_at": ago(302), "opt_out_notice_at": ago(302)},
    ],
)
def test_three_of_four_conditions_are_none(shop: Shop, changed: dict[str, object]) -> None:
    shop.customer(**FOUR | changed)
    assert shop.verdict().reasons == ["consent_missing"]


def test_an_objection_ends_the_rule_and_a_consent_until_a_new_one(shop: Shop) -> None:
    shop.customer(objected_at=ago(10), **FOUR)
    assert shop.verdict().reasons == ["objected", "consent_missing"]
    shop.consent()
    assert shop.verdict().reasons == ["objected"]
    shop.consent(consent_id="new", granted_at=ago(5), confirmed_at=ago(5))
    assert shop.verdict().reasons == []


def test_an_objection_from_as_of_on_is_not_known_yet(shop: Shop) -> None:
    shop.customer(objected_at=ago(0), **FOUR)
    assert shop.verdict().reasons == []


def test_who_took_a_consent_back_is_no_existing_customer(shop: Shop) -> None:
    shop.customer(**FOUR)
    shop.consent(withdrawn_at=ago(2))
    verdict = shop.verdict()
    assert verdict.reasons == ["consent_withdrawn"]
    assert "ground" not in verdict.evidence


@pytest.mark.parametrize("channel", ["email", "letter"])
def test_a_withdrawal_that_names_somebody_else_leaves_no_other_ground(
    shop: Shop, channel: str
) -> None:
    """An older name of the shop, perhaps, or one that is written in another way."""
    shop.customer(**FOUR)
    assert shop.verdict(channel=channel).reasons == []
    shop.consent(channel=channel, advertiser="Example Shop GmbH", withdrawn_at=ago(5))
    shop.consent(consent_id="open", channel=channel, confirmed_at=None)
    verdict = shop.verdict(channel=channel)
    assert "consent_withdrawn" in verdict.reasons
    assert verdict.evidence["consent"] == "consent of ada"
    assert verdict.evidence["withdrawn"].startswith(ago(5)[:10])
    # an express consent to us is none of the other's affair
    shop.consent(consent_id="ours", channel=channel, advertiser="Example Shop")
    verdict = shop.verdict(channel=channel)
    assert (verdict.reasons, verdict.evidence["consent"]) == ([], "ours")
    assert "withdrawn" not in verdict.evidence


@pytest.mark.parametrize(
    ("channel", "kind", "after"),
    [
        ("email", "consumer", {"confirmed_at": None}),
        ("email", "consumer", {"email_hash": "hash of another address"}),
        ("phone", "business", {"ground": "presumed"}),
        ("letter", "consumer", {"confirmed_at": None}),
    ],
)
def test_nothing_less_than_a_new_consent_undoes_a_withdrawal(
    shop: Shop, channel: str, kind: str, after: dict[str, object]
) -> None:
    shop.customer(kind=kind, **FOUR)
    shop.consent(channel=channel, withdrawn_at=ago(20))
    assert shop.verdict(channel=channel).reasons == ["consent_withdrawn"]
    shop.consent(
        consent_id="b", channel=channel, **{"granted_at": ago(10), "confirmed_at": ago(10)} | after
    )
    verdict = shop.verdict(channel=channel)
    assert verdict.reasons == ["consent_withdrawn"]
    assert verdict.evidence["consent"] == "consent of ada"
    shop.consent(consent_id="c", channel=channel, granted_at=ago(5), confirmed_at=ago(5))
    assert shop.verdict(channel=channel).reasons == []


def test_who_withdrew_what_was_never_confirmed_has_withdrawn(shop: Shop) -> None:
    shop.customer(**FOUR)
    shop.consent(confirmed_at=None, withdrawn_at=ago(20))
    shop.consent(consent_id="b", granted_at=ago(10), confirmed_at=None)
    assert shop.verdict().reasons == ["consent_withdrawn"]


def test_a_withdrawal_whose_row_is_gone_stands(shop: Shop) -> None:
    shop.customer(**FOUR)
    shop.consent(withdrawn_at=ago(20), deleted_at=ago(10))
    assert shop.verdict().reasons == ["consent_withdrawn"]
    shop.consent(consent_id="b", granted_at=ago(20), confirmed_at=ago(20))
    # of the same instant: the withdrawal wins
    assert shop.verdict().reasons == ["consent_withdrawn"]


def test_an_objection_is_lifted_by_what_was_confirmed_after_it_alone(shop: Shop) -> None:
    shop.customer(objected_at=ago(100))
    shop.consent(granted_at=ago(5), confirmed_at=ago(300))
    assert shop.verdict().reasons == ["objected"]


def test_an_objection_holds_for_the_address_under_whichever_number(shop: Shop) -> None:
    shop.customer("gone", email_hash="same", objected_at=ago(90), deleted_at=ago(85))
    shop.customer("anew", email_hash="same", registered_at=ago(50), **FOUR)
    assert "objected" in shop.verdict("anew").reasons
    shop.consent("anew")
    assert shop.verdict("anew").reasons == ["objected"]
    shop.consent("anew", consent_id="later", granted_at=ago(80), confirmed_at=ago(80))
    assert shop.verdict("anew").reasons == []


def test_the_rule_lapses_without_use_as_a_consent_does(shop: Shop) -> None:
    old = {"address_from_sale_at": ago(740), "opt_out_notice_at": ago(740)}
    shop.customer(**FOUR | old)
    shop.put(
        "raw.orders", order_id="first", customer_key="ada", ordered_at=ago(740),
        amount_cents=100, currency="EUR", snapshot_id=1,
    )  # fmt: skip
    assert shop.verdict().reasons == ["consent_missing"]
    shop.sent(100)
    assert shop.verdict().reasons == []


# Calls to businesses, and letters


@pytest.mark.parametrize(
    ("country", "kind", "allows"),
    [
        ("DE", "business", True),
        ("DE", "consumer", False),
        ("DE", None, False),
        ("AT", "business", False),
        ("CH", "business", False),
        ("FR", "business", False),
    ],
)
def test_presumed_consent_is_for_calls_to_businesses_on_recorded_grounds(
    shop: Shop, country: str, kind: str | None, allows: bool
) -> None:
    shop.customer(country=country, kind=kind)
    assert shop.verdict(channel="phone").reasons == ["consent_missing"]
    shop.consent(channel="phone", ground="presumed", confirmed_at=None)
    verdict = shop.verdict(channel="phone")
    assert verdict.reasons == ([] if allows else ["consent_missing"])
    assert verdict.evidence["consent"] == "consent of ada"


@pytest.mark.parametrize(
    ("advertiser", "reasons"),
    [(" EXAMPLE Shop", []), ("Old Shop GmbH", ["consent_for_another_advertiser"])],
)
def test_a_consent_by_our_own_mail_is_for_whom_its_words_name(
    shop: Shop, advertiser: str, reasons: list[str]
) -> None:
    shop.customer()
    shop.put(
        "ops.consent_text", text_version="v1", channel="email", purpose="marketing",
        language="en", advertiser=advertiser, content=f"I agree to e-mails of {advertiser}",
    )  # fmt: skip
    shop.put(
        "ops.opt_in_request", customer_key="ada", address_hash="hash of ada", channel="email",
        purpose="marketing", text_version="v1", source="till", requested_by="me",
        requested_at=ago(30), confirmed_at=ago(29), expires_at=ago(16), state="delivered",
    )  # fmt: skip
    assert shop.verdict().reasons == reasons


@pytest.mark.parametrize("n_days_since_the_call", [None, 100])
def test_presumed_consent_stands_in_for_a_consent_that_has_lapsed(
    shop: Shop, n_days_since_the_call: int | None
) -> None:
    shop.customer(kind="business")
    shop.consent(consent_id="lapsed", channel="phone", granted_at=ago(1000), confirmed_at=ago(1000))
    assert shop.verdict(channel="phone").reasons == ["consent_unused_too_long"]
    shop.consent(consent_id="newer", channel="phone", ground="presumed", confirmed_at=None)
    if n_days_since_the_call:
        shop.sent(n_days_since_the_call, channel="phone")
    verdict = shop.verdict(channel="phone")
    assert verdict.reasons == []
    assert (verdict.evidence["ground"], verdict.evidence["consent"]) == (
        "presumed_consent",
        "newer",
    )
    shop.consent(consent_id="in use", channel="phone", granted_at=ago(500), confirmed_at=ago(500))
    assert shop.verdict(channel="phone").evidence["consent"] == "in use"


def test_presumed_consent_is_none_for_e_mail(shop: Shop) -> None:
    shop.customer(kind="business")
    shop.consent(ground="presumed")
    assert shop.verdict().reasons == ["consent_missing"]


@pytest.mark.parametrize(
    ("country", "allows"), [("DE", True), ("AT", True), ("CH", True), ("FR", False), (None, False)]
)
def test_letters_until_objection(shop: Shop, country: str | None, allows: bool) -> None:
    shop.customer(country=country)
    verdict = shop.verdict(channel="letter")
    assert verdict.reasons == ([] if allows else ["consent_missing"])
    assert verdict.evidence.get("ground") == ("until_objection" if allows else None)
    shop.warehouse.execute("update raw.customers set objected_at = %s", (ago(1),))
    assert "objected" in shop.verdict(channel="letter").reasons


def test_only_what_goes_to_an_e_mail_address_needs_one(shop: Shop) -> None:
    shop.customer(email_hash=None)
    for channel in ("email", "ads", "phone"):
        shop.consent(consent_id=channel, channel=channel)
    assert shop.verdict().reasons == ["no_address"]
    assert shop.verdict(channel="ads").reasons == ["no_address"]
    assert shop.verdict(channel="phone").reasons == []
    assert shop.verdict(channel="letter").reasons == []
