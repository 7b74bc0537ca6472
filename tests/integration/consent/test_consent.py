"""What makes a consent one, and how long it holds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.consent_shop import AS_OF, FOUR, Shop, ago


def test_a_confirmed_consent_allows_and_is_named_as_evidence(shop: Shop) -> None:
    shop.customer()
    shop.consent()
    verdict = shop.verdict()
    assert verdict.reasons == []
    assert verdict.evidence["ground"] == "consent"
    assert verdict.evidence["consent"] == "consent of ada"
    assert verdict.evidence["since"].startswith(str(AS_OF - timedelta(days=300)))


@pytest.mark.parametrize(
    ("consent", "reason"),
    [
        (None, "consent_missing"),
        ({"confirmed_at": None}, "consent_unconfirmed"),
        ({"confirmed_at": ago(0)}, "consent_unconfirmed"),
        ({"withdrawn_at": ago(1)}, "consent_withdrawn"),
        ({"granted_at": ago(0), "confirmed_at": ago(0)}, "consent_missing"),
        ({"deleted_at": ago(1)}, "consent_missing"),
        ({"channel": "phone"}, "consent_missing"),
        ({"purpose": "survey"}, "consent_missing"),
        ({"purpose": "tracking"}, "consent_missing"),
        ({"email_hash": "hash of an older address"}, "consent_for_another_address"),
        ({"advertiser": "Somebody Else Ltd"}, "consent_for_another_advertiser"),
        ({"granted_at": ago(740), "confirmed_at": ago(740)}, "consent_unused_too_long"),
    ],
)
def test_anything_less_forbids(shop: Shop, consent: dict[str, object] | None, reason: str) -> None:
    shop.customer()
    if consent is not None:
        shop.consent(**consent)
    assert shop.verdict().reasons == [reason]


@pytest.mark.parametrize(
    "consent",
    [
        {"purpose": "marketing"},
        {"email_hash": "hash of ada"},
        {"advertiser": " Example Shop"},
        {"ground": "express"},
        {"withdrawn_at": ago(0)},
        # 24 months are 730 days here
        {"granted_at": ago(730), "confirmed_at": ago(730)},
        # asked for long ago, and confirmed within the time
        {"granted_at": ago(800), "confirmed_at": ago(700)},
    ],
)
def test_no_more_is_asked_for(shop: Shop, consent: dict[str, object]) -> None:
    shop.customer()
    shop.consent(**consent)
    assert shop.verdict().reasons == []


def test_a_use_keeps_a_consent_alive(shop: Shop) -> None:
    shop.customer()
    shop.consent(granted_at=ago(1000), confirmed_at=ago(1000))
    shop.sent(740)
    assert shop.verdict().reasons == ["consent_unused_too_long"]
    shop.sent(700, state="planned")
    assert shop.verdict().reasons == ["consent_unused_too_long"]
    shop.sent(400)
    assert shop.verdict().reasons == []


def test_what_has_lapsed_does_not_come_alive_by_a_later_message(shop: Shop) -> None:
    shop.customer(**FOUR)
    shop.consent(granted_at=ago(1000), confirmed_at=ago(1000))
    assert shop.verdict().evidence["ground"] == "existing_customer"
    # sent to an existing customer, 900 days after the consent was given
    shop.sent(100)
    assert shop.verdict().evidence["ground"] == "existing_customer"


def test_a_message_for_another_purpose_is_no_use(shop: Shop) -> None:
    shop.customer()
    shop.consent(granted_at=ago(1000), confirmed_at=ago(1000), purpose="survey")
    shop.campaign('{"purpose": "survey"}')
    for days in (700, 100):
        shop.sent(days)
    assert shop.verdict().reasons == ["consent_unused_too_long"]
    shop.warehouse.execute(
        'update ops.campaign set definition = \'{"purpose": "survey"}\''
        " where campaign_id = 'earlier'"
    )
    assert shop.verdict().reasons == []


def test_a_request_that_nobody_confirmed_takes_nothing_away(shop: Shop) -> None:
    shop.customer()
    shop.consent()
    shop.consent(consent_id="b", granted_at=ago(10), confirmed_at=None)
    verdict = shop.verdict()
    assert (verdict.reasons, verdict.evidence["consent"]) == ([], "consent of ada")


def test_what_somebody_took_back_from_another_advertiser_is_none_of_ours(shop: Shop) -> None:
    shop.customer()
    shop.consent()
    shop.consent(consent_id="b", advertiser="Somebody Else Ltd", withdrawn_at=ago(5))
    assert shop.verdict().reasons == []
    assert shop.verdict(advertisers=("somebody else ltd",)).reasons == ["consent_withdrawn"]


def test_a_consent_for_an_older_address_does_not_hide_the_one_for_todays(shop: Shop) -> None:
    shop.customer()
    shop.consent(consent_id="today", email_hash="hash of ada")
    shop.consent(consent_id="newer", email_hash="another", granted_at=ago(5), confirmed_at=ago(5))
    verdict = shop.verdict()
    assert (verdict.reasons, verdict.evidence["consent"]) == ([], "today")


def test_an_e_mail_consent_does_not_prove_one_for_calls(shop: Shop) -> None:
    shop.customer()
    shop.consent()
    assert shop.verdict(channel="phone").reasons == ["consent_missing"]
    # a call goes to no e-mail address, whichever was given with the number
    shop.consent(consent_id="calls", channel="phone", email_hash="an older address")
    assert shop.verdict(channel="phone").reasons == []
    assert shop.verdict(channel="ads").reasons == ["consent_missing"]


def test_a_survey_needs_a_consent_for_surveys(shop: Shop) -> None:
    shop.customer()
    shop.consent()
    shop.campaign('{"purpose": "survey"}')
    assert shop.verdict().reasons == ["consent_missing"]
    shop.consent(consent_id="survey", purpose="survey")
    assert shop.verdict().evidence["consent"] == "survey"


def test_being_a_customer_allows_no_survey(shop: Shop) -> None:
    shop.customer(**FOUR)
    assert shop.verdict().reasons == []
    shop.campaign('{"purpose": "survey"}')
    assert shop.verdict().reasons == ["consent_missing"]


def test_the_use_of_a_consent_is_on_record(shop: Shop) -> None:
    shop.sent(3)
    for step, evidence in (("select", "a"), ("outreach", "a"), ("outreach", "a"), ("select", "b")):
        shop.put(
            "ops.verdict", snapshot_id=1, campaign_id="this", customer_key="ada", channel="email",
            step=step, is_eligible=True, reasons=[], evidence=f'{{"consent": "{evidence}"}}',
        )  # fmt: skip
    used = shop.warehouse.execute(
        "select consent_id, n_uses, last_used_at <= now() from ops.consent_use"
    )
    assert used == [("a", 2, True)]
