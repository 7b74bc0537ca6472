"""Who is never written to, and what customers wish."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.consent_shop import AS_OF, Shop, ago

# Exclusions, whatever the score


@pytest.mark.parametrize(
    ("flag", "reason"),
    [("is_minor", "minor"), ("is_deceased", "deceased"), ("is_insolvent", "insolvent")],
)
def test_who_is_never_written_to(shop: Shop, flag: str, reason: str) -> None:
    shop.customer(**{flag: True})
    shop.consent()
    verdict = shop.verdict()
    assert (verdict.reasons, verdict.evidence[reason]) == ([reason], "ada")
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
    verdict = shop.verdict()
    assert (verdict.reasons, verdict.evidence["minor"]) == (["minor"], "twin")


INVOICE = {
    "payment_id": "p1", "customer_key": "ada", "amount_cents": 100, "currency": "EUR",
    "invoiced_at": ago(60), "snapshot_id": 1,
}  # fmt: skip
COMPLAINT = {
    "complaint_id": "c1", "customer_key": "ada", "reason": "delivery", "opened_at": ago(30),
    "snapshot_id": 1,
}  # fmt: skip
WISH = {
    "customer_key": "ada", "channel": "email", "is_wanted": False, "stated_at": ago(20),
    "snapshot_id": 1,
}  # fmt: skip
SUPPRESSION = {
    "customer_key": "ada", "address_hash": "of long ago", "scope": "person",
    "reason": "unsubscribe", "suppressed_at": ago(20),
}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        ("raw.payments", INVOICE | {"n_reminders": 1}, "in_dunning"),
        ("raw.payments", INVOICE | {"is_disputed": True}, "in_dispute"),
        ("raw.complaints", COMPLAINT, "open_complaint"),
        ("raw.contact_preferences", WISH, "channel_not_wanted"),
        ("ops.suppression", SUPPRESSION, "suppressed"),
    ],
)
def test_what_happened_under_one_number_counts_for_the_person(
    shop: Shop, table: str, row: dict[str, object], reason: str
) -> None:
    shop.customer("ada")
    shop.consent("ada")
    shop.customer("twin", registered_at=ago(1))
    shop.put(table, **row | {"customer_key": "twin"})
    assert shop.verdict().reasons == []
    shop.put(
        "ops.customer_merge", customer_key="twin", winner_key="ada", evidence="email",
        email_hash="x", merged_as_of=AS_OF,
    )  # fmt: skip
    assert shop.verdict().reasons == [reason]


def test_an_objection_told_under_one_number_counts_for_the_person(shop: Shop) -> None:
    shop.customer("ada")
    shop.consent("ada")
    shop.customer("twin", objected_at=ago(20))
    assert shop.verdict().reasons == []
    shop.put(
        "ops.customer_merge", customer_key="twin", winner_key="ada", evidence="email",
        email_hash="x", merged_as_of=AS_OF,
    )  # fmt: skip
    assert shop.verdict().reasons == ["objected"]


@pytest.mark.parametrize(
    ("address", "reasons"),
    [("hash of ada", []), ("hash of twin", ["consent_for_another_address"])],
)
def test_a_consent_without_an_address_is_for_the_one_of_its_number(
    shop: Shop, address: str, reasons: list[str]
) -> None:
    shop.customer("ada")
    shop.customer("twin", email_hash=address)
    shop.consent("twin")
    shop.put(
        "ops.customer_merge", customer_key="twin", winner_key="ada", evidence="email",
        email_hash="x", merged_as_of=AS_OF,
    )  # fmt: skip
    assert shop.verdict("ada").reasons == reasons


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
    shop.put("raw.payments", **INVOICE | payment)
    verdict = shop.verdict()
    assert verdict.reasons == ([reason] if reason else [])
    assert verdict.evidence.get("payment") == ("p1" if reason else None)


def test_an_open_complaint_forbids_all_but_its_remedy(shop: Shop) -> None:
    shop.customer()
    shop.consent()
    shop.put("raw.complaints", **COMPLAINT)
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
    shop.put("raw.contact_preferences", **WISH)
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
            is_by_contact_person=True, message_id="1" * 32, stated_at=ago(30),
        )  # fmt: skip
    assert shop.verdict().reasons == ["contact_person_only"]
    # what the shop was told later says nothing about it
    shop.put("raw.contact_preferences", **WISH | {"is_wanted": True})
    verdict = shop.verdict()
    assert verdict.reasons == ["contact_person_only"]
    # of the wish that says so
    assert verdict.evidence["wish"].startswith(ago(30)[:10])
    # the contact person's own letter or call
    assert shop.verdict(campaign="").reasons == []
    assert shop.verdict(channel="phone").reasons == []


def test_what_somebody_said_is_dated_and_each_invoice_named(shop: Shop) -> None:
    shop.customer(objected_at=ago(15))
    shop.consent(withdrawn_at=ago(12))
    shop.put(
        "raw.contact_preferences", customer_key="ada", channel="email", is_wanted=False,
        max_per_month=1, stated_at=ago(20), snapshot_id=1,
    )  # fmt: skip
    shop.sent(10)
    for name, trouble in (("p1", {"n_reminders": 1}), ("p2", {"is_disputed": True})):
        shop.put(
            "raw.payments", payment_id=name, customer_key="ada", amount_cents=100, currency="EUR",
            invoiced_at=ago(60), snapshot_id=1, **trouble,
        )  # fmt: skip
    verdict = shop.verdict(campaign="earlier")
    assert verdict.reasons == [
        "objected", "consent_withdrawn", "channel_not_wanted", "contacted_too_recently",
        "in_dunning", "in_dispute",
    ]  # fmt: skip
    days = {"objected": 15, "withdrawn": 12, "wish": 20, "last_sent": 10}
    for name, n_days in days.items():
        assert verdict.evidence[name].startswith(str(AS_OF - timedelta(days=n_days))), name
    assert (verdict.evidence["payment"], verdict.evidence["disputed_payment"]) == ("p1", "p2")


def test_what_speaks_against_nobody_is_no_evidence(shop: Shop) -> None:
    shop.customer()
    shop.consent()
    shop.put(
        "raw.contact_preferences", customer_key="ada", channel="email", is_wanted=True,
        stated_at=ago(20), snapshot_id=1,
    )  # fmt: skip
    verdict = shop.verdict()
    assert verdict.reasons == []
    assert verdict.evidence.keys() == {"ground", "since", "consent"}
