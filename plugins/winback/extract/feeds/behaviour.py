"""The feeds about behaviour: visits, use of a service, and campaigns that others sent."""

from __future__ import annotations

from winback.extract.feeds.declaration import CUSTOMER_ID, Column, Feed

VISITS = Feed(
    name="visits",
    doc="One row per visit to the web shop of a customer who is known there.",
    switches_on="falling visits as a warning, and the funnel from visit to order",
    key=("visit_id",),
    event_time="visited_at",
    columns=(
        Column("visit_id", "text", "the visit's id at the source"),
        CUSTOMER_ID,
        Column("visited_at", "timestamp", "when"),
        Column(
            "reached",
            "text",
            "the furthest step",
            is_required=False,
            allowed=("visit", "product", "cart", "checkout", "order"),
        ),
        Column("n_pages", "integer", "pages seen", is_required=False, minimum=0),
    ),
)

USAGE = Feed(
    name="usage",
    doc="One row per customer, measure and time: how much of a service was used.",
    switches_on="falling use as a warning",
    key=("customer_id", "measure", "used_at"),
    event_time="used_at",
    columns=(
        CUSTOMER_ID,
        Column("measure", "text", "what is counted, such as logins or minutes"),
        Column("used_at", "timestamp", "the day or hour that was counted"),
        Column("amount", "number", "how much of it", minimum=0),
    ),
)

EXTERNAL_ASSIGNMENTS = Feed(
    name="external_assignments",
    doc="One row per customer and campaign that was sent elsewhere, with the answer to it.",
    switches_on="response of earlier campaigns, and nobody contacted by two systems at once",
    key=("assignment_id",),
    event_time="assigned_at",
    columns=(
        Column("assignment_id", "text", "the assignment's id at the source"),
        CUSTOMER_ID,
        Column("campaign", "text", "the campaign's name there"),
        Column("campaign_type", "text", "kind of campaign", is_required=False),
        Column("channel", "text", "how it was sent", is_required=False),
        Column("arm", "text", "contacted or left alone", allowed=("treated", "holdout")),
        Column("assigned_at", "timestamp", "when it was sent or would have been"),
        Column("ends_at", "timestamp", "until when it can be answered", is_required=False),
        Column("responded_at", "timestamp", "when the customer first answered", is_required=False),
    ),
)
