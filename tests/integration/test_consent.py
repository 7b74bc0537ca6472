"""What allows a message and what forbids it: each rule of docs/consent.md, asked of the warehouse.

No feeds and no models: rows as loading leaves them, and the one SQL function that judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import Warehouse, WarehouseFactory
from winback.privacy import country_rules
from winback.privacy.keyed_hash import address_hash
from winback.settings import settings

AS_OF = date(2026, 3, 1)
TABLES = (
    "raw.customers, raw.orders, raw.consents, raw.contact_preferences, raw.payments,"
    " raw.complaints, ops.suppression, ops.opt_in_request, ops.consent_text,"
    " ops.contact_preference, ops.outreach, ops.campaign, ops.customer_merge, ops.snapshot"
)


@dataclass(frozen=True)
class Verdict:
    """What the function says about one customer."""

    reasons: list[str]
    evidence: dict[str, Any]


@dataclass
class Shop:
    """Puts rows into the warehouse and asks for verdicts."""

    warehouse: Warehouse

    def put(self, table: str, **row: object) -> None:
        names = ", ".join(row)
        marks = ", ".join(["%s"] * len(row))
        self.warehouse.execute(
            f"insert into {table} ({names}) values ({marks})", tuple(row.values())
        )

    def customer(self, name: str = "ada", **row: object) -> None:
        """A consumer in Germany who bought 300 days ago."""
        known = {
            "customer_key": name,
            "email_hash": f"hash of {name}",
            "country": "DE",
            "kind": "consumer",
            "registered_at": ago(900),
            "snapshot_id": 1,
        }
        self.put("raw.customers", **known | row)
        self.put(
            "raw.orders", order_id=f"order of {name}", customer_key=name, ordered_at=ago(300),
            amount_cents=100, currency="EUR", snapshot_id=1,
        )  # fmt: skip

    def consent(self, name: str = "ada", **row: object) -> None:
        """A confirmed consent for e-mail, 300 days old."""
        given = {
            "consent_id": f"consent of {name}",
            "customer_key": name,
            "channel": "email",
            "granted_at": ago(300),
            "confirmed_at": ago(300),
            "text_version": "v1",
            "source": "checkout",
            "snapshot_id": 1,
        }
        self.put("raw.consents", **given | row)

    def sent(self, days_ago: int, name: str = "ada", state: str = "accepted") -> None:
        """A message of the campaign `earlier`."""
        self.warehouse.execute(
            "insert into ops.campaign (campaign_id, definition) values ('earlier', '{}')"
            " on conflict do nothing"
        )
        self.warehouse.execute(
            "insert into ops.snapshot (snapshot_id, as_of, purpose, dataset)"
            " overriding system value values (1, %s, 'live', 'shop') on conflict do nothing",
            (AS_OF,),
        )
        self.put(
            "ops.outreach", campaign_id="earlier", lapse_id=f"{name} {days_ago}", step=1,
            channel="email", customer_key=name, address_hash=f"hash of {name}", snapshot_id=1,
            as_of=AS_OF - timedelta(days=days_ago), template="x", is_lapse_open=False,
        )  # fmt: skip
        ways = {"planned": (), "accepted": ("claimed", "dispatching", "accepted")}
        for step in ways[state]:
            self.warehouse.execute(
                "update ops.outreach set state = %s, accepted_at = now() where lapse_id = %s",
                (step, f"{name} {days_ago}"),
            )

    def campaign(self, definition: str) -> None:
        self.put("ops.campaign", campaign_id="this", definition=definition)

    def verdict(
        self, name: str = "ada", channel: str = "email", campaign: str = "this", pause: int = 0
    ) -> Verdict:
        """What is said about a customer whose last purchase is the one of `customer`."""
        [(eligible, reasons, evidence)] = self.warehouse.execute(
            "select is_eligible, reasons, evidence from ops.eligibility(%s, %s::timestamptz[],"
            " %s, %s, %s, %s, 24, %s)",
            ([name], [ago(300)], campaign, channel, AS_OF, ago(0), pause),
        )
        assert eligible == (reasons == [])
        return Verdict(reasons, evidence)


def ago(days: int) -> str:
    """Noon so many days before; 0: the instant from which nothing is known."""
    at = "00:00" if days == 0 else "12:00"
    return f"{AS_OF - timedelta(days=days)} {at}+00"


@pytest.fixture(scope="module")
def built(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("consent") as warehouse:
        country_rules.store(country_rules.read(settings().country_rules))
        yield warehouse


@pytest.fixture
def shop(built: Warehouse) -> Shop:
    built.execute(f"truncate {TABLES} restart identity cascade")
    return Shop(built)


# Consent


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


# The existing-customer rule

FOUR = {
    "address_from_sale_at": ago(300),
    "similar_goods_at": ago(20),
    "opt_out_notice_at": ago(300),
}


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


# Exclusions, whatever the score


@pytest.mark.parametrize(
    ("flag", "reason"),
    [("is_minor", "minor"), ("is_deceased", "deceased"), ("is_insolvent", "insolvent")],
)
def test_who_is_never_written_to(shop: Shop, flag: str, reason: str) -> None:
    shop.customer(**{flag: True})
    shop.consent()
    assert shop.verdict().reasons == [reason]
    shop.warehouse.execute(f"update raw.customers set {flag} = false")
    assert shop.verdict().reasons == []


def test_what_is_known_of_one_number_counts_for_the_person(shop: Shop) -> None:
    shop.customer("ada")
    shop.consent("ada")
    shop.customer("twin", is_minor=True, registered_at=ago(1))
    assert shop.verdict().reasons == []
    shop.put(
        "ops.customer_merge", customer_key="twin", winner_key="ada", evidence="email",
        email_hash="x", merged_as_of=AS_OF,
    )  # fmt: skip
    assert shop.verdict().reasons == ["minor"]


@pytest.mark.parametrize(
    ("payment", "reason"),
    [
        ({"n_reminders": 1}, "in_dunning"),
        ({"n_reminders": 1, "paid_at": ago(0)}, "in_dunning"),
        ({"n_reminders": 1, "paid_at": ago(1)}, None),
        ({"n_reminders": 0}, None),
        ({}, None),
        ({"is_disputed": True}, "in_dispute"),
        # charged back: it counts as paid
        ({"is_disputed": True, "paid_at": ago(30)}, "in_dispute"),
        ({"is_disputed": False}, None),
        ({"is_disputed": True, "invoiced_at": ago(0)}, None),
    ],
)
def test_who_owes_or_contests(shop: Shop, payment: dict[str, object], reason: str | None) -> None:
    shop.customer()
    shop.consent()
    invoice = {
        "payment_id": "p1", "customer_key": "ada", "amount_cents": 100, "currency": "EUR",
        "invoiced_at": ago(60), "snapshot_id": 1,
    }  # fmt: skip
    shop.put("raw.payments", **invoice | payment)
    verdict = shop.verdict()
    assert verdict.reasons == ([reason] if reason else [])
    assert verdict.evidence.get("payment") == ("p1" if reason else None)


def test_an_open_complaint_forbids_all_but_its_remedy(shop: Shop) -> None:
    shop.customer()
    shop.consent()
    shop.put(
        "raw.complaints", complaint_id="c1", customer_key="ada", reason="delivery",
        opened_at=ago(30), snapshot_id=1,
    )  # fmt: skip
    verdict = shop.verdict()
    assert (verdict.reasons, verdict.evidence["complaint"]) == (["open_complaint"], "c1")
    # somebody's own contact person is there to settle it
    assert shop.verdict(campaign="").reasons == []
    shop.campaign('{"is_remedy": true}')
    assert shop.verdict().reasons == []
    shop.warehouse.execute("update ops.campaign set definition = '{\"is_remedy\": false}'")
    assert shop.verdict().reasons == ["open_complaint"]
    shop.warehouse.execute("update raw.complaints set resolved_at = %s", (ago(1),))
    assert shop.verdict().reasons == []


# What customers wish


def test_the_newest_wish_counts_wherever_it_was_said(shop: Shop) -> None:
    shop.customer()
    shop.consent()
    shop.put(
        "raw.contact_preferences", customer_key="ada", channel="email", is_wanted=False,
        stated_at=ago(20), snapshot_id=1,
    )  # fmt: skip
    assert shop.verdict().reasons == ["channel_not_wanted"]
    page = {"customer_key": "ada", "channel": "email", "message_id": "1" * 32}
    shop.put("ops.contact_preference", is_wanted=True, stated_at=ago(10), **page)
    assert shop.verdict().reasons == []
    shop.put("ops.contact_preference", is_wanted=False, stated_at=ago(9), **page)
    assert shop.verdict().reasons == ["channel_not_wanted"]
    # another channel's wish says nothing about this one
    assert "channel_not_wanted" not in shop.verdict(channel="phone").reasons


@pytest.mark.parametrize(
    ("wish", "days_since", "reasons"),
    [
        ({"max_per_month": 1}, 29, ["contacted_too_recently"]),
        ({"max_per_month": 1}, 30, []),
        ({"max_per_month": 2}, 14, ["contacted_too_recently"]),
        ({"max_per_month": 2}, 15, []),
        ({"max_per_month": 0}, 900, ["channel_not_wanted"]),
        ({"max_per_month": None}, 1, []),
    ],
)
def test_how_often_is_the_customers_choice(
    shop: Shop, wish: dict[str, object], days_since: int, reasons: list[str]
) -> None:
    shop.customer()
    shop.consent()
    shop.put(
        "raw.contact_preferences", customer_key="ada", channel="email", is_wanted=True,
        stated_at=ago(950), snapshot_id=1, **wish,
    )  # fmt: skip
    shop.sent(days_since)
    # what was only planned was not felt
    shop.sent(0, state="planned")
    assert shop.verdict(campaign="earlier").reasons == reasons


def test_only_the_contact_person(shop: Shop) -> None:
    shop.customer()
    shop.consent()
    shop.consent(consent_id="calls", channel="phone")
    for channel in ("email", "phone"):
        shop.put(
            "ops.contact_preference", customer_key="ada", channel=channel, is_wanted=True,
            is_by_contact_person=True, message_id="1" * 32,
        )  # fmt: skip
    assert shop.verdict().reasons == ["contact_person_only"]
    # the contact person's own letter or call
    assert shop.verdict(campaign="").reasons == []
    assert shop.verdict(channel="phone").reasons == []


# Suppression


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
    assert shop.verdict().reasons == ["suppressed", "consent_unconfirmed"]
    shop.consent(consent_id="d", granted_at=ago(80), confirmed_at=ago(80), email_hash="other")
    assert "suppressed" in shop.verdict().reasons
    shop.consent(consent_id="e", granted_at=ago(70), confirmed_at=ago(70))
    assert shop.verdict().reasons == []
    taken_back = "update raw.consents set withdrawn_at = %s where consent_id = 'e'"
    shop.warehouse.execute(taken_back, (ago(60),))
    assert shop.verdict().reasons == ["suppressed", "consent_withdrawn"]
    shop.warehouse.execute(taken_back, (None,))
    # other channels keep quiet until there is one for them
    assert "suppressed" in shop.verdict(channel="letter").reasons


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
