"""The feeds about dealings with customers: what they said, and what was done about it."""

from __future__ import annotations

from winback.extract.feeds.declaration import (
    CUSTOMER_ID,
    OF_ORDER,
    OF_PRODUCT,
    REASONS,
    Column,
    Feed,
)

COMPLAINTS = Feed(
    name="complaints",
    doc="One row per complaint.",
    switches_on="the state angry, reasons for leaving, and early warnings",
    key=("complaint_id",),
    event_time="opened_at",
    may_forbid=True,
    columns=(
        Column("complaint_id", "text", "the complaint's id at the source"),
        CUSTOMER_ID,
        OF_ORDER,
        OF_PRODUCT,
        Column("reason", "text", "what it is about", allowed=REASONS),
        Column("opened_at", "timestamp", "when the customer complained"),
        Column("resolved_at", "timestamp", "when it was settled", is_required=False),
    ),
)

REVIEWS = Feed(
    name="reviews",
    doc="One row per review or rating by a customer.",
    switches_on="past satisfaction, the state angry, and well-rated products in offers",
    key=("review_id",),
    event_time="reviewed_at",
    columns=(
        Column("review_id", "text", "the review's id at the source"),
        CUSTOMER_ID,
        OF_ORDER,
        OF_PRODUCT,
        Column("rating", "integer", "1 (worst) to 5 (best)", minimum=1, maximum=5),
        Column("reviewed_at", "timestamp", "when it was given"),
    ),
)

CONTACTS = Feed(
    name="contacts",
    doc="One row per conversation with a customer: call, visit, reply.",
    switches_on="outcomes of calls and visits in the history, and briefings",
    key=("contact_id",),
    event_time="contacted_at",
    columns=(
        Column("contact_id", "text", "the contact's id at the source"),
        CUSTOMER_ID,
        Column(
            "channel",
            "text",
            "how",
            allowed=("email", "phone", "letter", "visit", "shop", "chat", "form"),
        ),
        Column("direction", "text", "who began", allowed=("inbound", "outbound")),
        Column("outcome", "text", "what came of it", is_required=False),
        Column(
            "reason",
            "text",
            "why the customer stays away, as stated",
            is_required=False,
            allowed=REASONS,
        ),
        Column(
            "absent_until",
            "timestamp",
            "the customer is away until then, as stated",
            is_required=False,
        ),
        Column("contacted_at", "timestamp", "when"),
        Column("contact_person", "text", "who of yours", is_required=False, is_personal=True),
        Column("text", "text", "what was said", is_required=False, is_personal=True),
    ),
)

APPOINTMENTS = Feed(
    name="appointments",
    doc="One row per appointment with a customer.",
    switches_on="warnings after cancelled appointments",
    key=("appointment_id",),
    event_time="booked_at",
    columns=(
        Column("appointment_id", "text", "the appointment's id at the source"),
        CUSTOMER_ID,
        Column("booked_at", "timestamp", "when it was agreed"),
        Column("planned_for_at", "timestamp", "when it is to take place"),
        Column("cancelled_at", "timestamp", "when it was cancelled", is_required=False),
        Column(
            "cancelled_by",
            "text",
            "who cancelled",
            is_required=False,
            allowed=("customer", "company"),
        ),
        Column("contact_person", "text", "who of yours", is_required=False, is_personal=True),
    ),
)

SURVEY_ANSWERS = Feed(
    name="survey_answers",
    doc="One row per answer to a question of a survey.",
    switches_on="stated reasons, and NPS, CSAT and CES",
    key=("answer_id",),
    event_time="answered_at",
    columns=(
        Column("answer_id", "text", "the answer's id at the source"),
        CUSTOMER_ID,
        Column("survey", "text", "which survey"),
        Column(
            "question",
            "text",
            "what was asked",
            allowed=("nps", "csat", "ces", "reason", "one_thing", "other"),
        ),
        Column("score", "integer", "the answer to a scale", is_required=False, minimum=0),
        Column("reason", "text", "the reason for leaving", is_required=False, allowed=REASONS),
        Column("text", "text", "the answer in words", is_required=False, is_personal=True),
        Column("answered_at", "timestamp", "when"),
    ),
)

IMPROVEMENTS = Feed(
    name="improvements",
    doc="One row per cause of trouble that was fixed.",
    switches_on="telling exactly those whom it concerns that the cause is gone",
    key=("improvement_id",),
    event_time="fixed_at",
    columns=(
        Column("improvement_id", "text", "the improvement's id"),
        Column("reason", "text", "the reason for leaving that is gone", allowed=REASONS),
        OF_PRODUCT,
        Column("category", "text", "the category it concerns", is_required=False),
        Column("description", "text", "what is better now, as customers would say it"),
        Column("fixed_at", "timestamp", "since when"),
    ),
)
