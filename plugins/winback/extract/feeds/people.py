"""The feeds about people: who they are, what they agreed to, how they want to be treated."""

from __future__ import annotations

from winback.extract.feeds.declaration import CHANNELS, CUSTOMER_ID, Column, Feed

CUSTOMERS = Feed(
    name="customers",
    doc="One row per customer: a person (B2C) or an account (B2B).",
    switches_on="everything",
    key=("customer_id",),
    event_time="registered_at",
    is_required=True,
    may_forbid=True,
    columns=(
        CUSTOMER_ID,
        Column("email", "email", "e-mail address", is_required=False, is_personal=True),
        Column("first_name", "text", "given name", is_required=False, is_personal=True),
        Column("last_name", "text", "family name", is_required=False, is_personal=True),
        Column("company", "text", "name of the account", is_required=False, is_personal=True),
        Column("phone", "text", "telephone number", is_required=False, is_personal=True),
        Column("street", "text", "street and number", is_required=False, is_personal=True),
        Column("postal_code", "text", "postal code", is_required=False, is_personal=True),
        Column("city", "text", "town", is_required=False, is_personal=True),
        Column(
            "account_owner",
            "text",
            "who of your staff looks after the customer",
            is_required=False,
            is_personal=True,
        ),
        Column("locale", "text", "language and country, such as de_DE", is_required=False),
        Column("country", "text", "ISO 3166 code, such as DE", is_required=False),
        Column(
            "kind",
            "text",
            "consumers and businesses fall under different law",
            is_required=False,
            allowed=("consumer", "business"),
        ),
        Column("registered_at", "timestamp", "when the customer became known"),
        Column("is_minor", "boolean", "under age: never written to", is_required=False),
        Column("is_deceased", "boolean", "has died: never written to", is_required=False),
        Column("is_insolvent", "boolean", "in insolvency: never written to now", is_required=False),
        Column(
            "address_from_sale_at",
            "timestamp",
            "when the e-mail address was got with a sale; an abandoned cart is none",
            is_required=False,
        ),
        Column(
            "similar_goods_at",
            "timestamp",
            "when you found that what you advertise is your own and similar to what they bought",
            is_required=False,
        ),
        Column(
            "opt_out_notice_at",
            "timestamp",
            "when the customer was told, as the address was taken, that they may object any time",
            is_required=False,
        ),
        Column(
            "objected_at",
            "timestamp",
            "when the customer last objected to advertising; kept when it is not told any more",
            is_required=False,
            is_for_ever=True,
        ),
    ),
)

CONSENTS = Feed(
    name="consents",
    doc="One row per consent that a customer gave, with its proof. Missing consent means no.",
    switches_on="outreach: without a consent nobody is written to",
    key=("consent_id",),
    event_time="granted_at",
    may_forbid=True,
    columns=(
        Column("consent_id", "text", "the consent's id at the source"),
        CUSTOMER_ID,
        Column("channel", "text", "what the customer agreed to", allowed=CHANNELS),
        Column("granted_at", "timestamp", "when the customer asked for it"),
        Column("confirmed_at", "timestamp", "double opt-in confirmed", is_required=False),
        Column(
            "withdrawn_at",
            "timestamp",
            "when it was taken back; kept when it is not told any more, until it is given anew",
            is_required=False,
            is_for_ever=True,
        ),
        Column("text_version", "text", "which text the customer agreed to"),
        Column("source", "text", "where it was given, such as checkout"),
        Column(
            "purpose",
            "text",
            "what for; empty: marketing",
            is_required=False,
            allowed=("marketing", "survey", "tracking"),
        ),
        Column(
            "ground",
            "text",
            "express: said so; presumed: a business, on grounds the text names; empty: express",
            is_required=False,
            allowed=("express", "presumed"),
        ),
        Column("advertiser", "text", "whom the text names as the advertiser", is_required=False),
        Column(
            "email",
            "email",
            "the address it was given for; empty: the one that the customer has",
            is_required=False,
            is_personal=True,
        ),
    ),
)

CONTACT_PREFERENCES = Feed(
    name="contact_preferences",
    doc="One row per customer and channel: whether, how often and by whom they want to hear.",
    switches_on="limits of frequency and channel that the customer chose",
    key=("customer_id", "channel"),
    event_time="stated_at",
    may_forbid=True,
    columns=(
        CUSTOMER_ID,
        Column("channel", "text", "what the wish is about", allowed=CHANNELS),
        Column("is_wanted", "boolean", "whether the channel may be used"),
        Column(
            "max_per_month", "integer", "messages a month at most", is_required=False, minimum=0
        ),
        Column(
            "contact_person",
            "text",
            "by whom the customer wants to be contacted; for your own lists, no campaign reads it",
            is_required=False,
            is_personal=True,
        ),
        Column("stated_at", "timestamp", "when the customer said so"),
    ),
)

REFERRALS = Feed(
    name="referrals",
    doc="One row per customer who came because another one recommended you.",
    switches_on="the multiplier: who brings others is worth more than the own orders say",
    key=("referral_id",),
    event_time="referred_at",
    columns=(
        Column("referral_id", "text", "the referral's id at the source"),
        CUSTOMER_ID,
        Column("referred_customer_id", "customer", "the customer who came"),
        Column("referred_at", "timestamp", "when the new customer came"),
    ),
)

NOTES = Feed(
    name="notes",
    doc="One row per dated note of the account owner about a customer. No health, religion, "
    "politics or other special categories of data: the kinds leave no room for them.",
    switches_on="occasions and wishes in phone briefings and personal letters",
    key=("note_id",),
    event_time="noted_at",
    columns=(
        Column("note_id", "text", "the note's id at the source"),
        CUSTOMER_ID,
        Column(
            "kind",
            "text",
            "an occasion, a wish, or how the customer wants to be treated",
            allowed=("occasion", "wish", "treatment"),
        ),
        Column("occasion_at", "timestamp", "the day of the occasion", is_required=False),
        Column("text", "text", "the note", is_personal=True),
        Column("noted_by", "text", "who wrote it", is_required=False, is_personal=True),
        Column("noted_at", "timestamp", "when it was written"),
    ),
)
