"""The feeds: what winback can be told about customers, each declared once.

Everything about a feed follows from its declaration: its raw table, the rules that send a row to
quarantine, the dbt source, the feed reference in `docs/feeds.md`. What a declaration is made of
stands in `declaration.py`; the declarations are in the modules beside it, by theme.
"""

from __future__ import annotations

from winback.extract.feeds.behaviour import EXTERNAL_ASSIGNMENTS, USAGE, VISITS
from winback.extract.feeds.declaration import REASONS, SQL_TYPES, Column, Feed, Kind
from winback.extract.feeds.people import (
    CONSENTS,
    CONTACT_PREFERENCES,
    CUSTOMERS,
    NOTES,
    REFERRALS,
)
from winback.extract.feeds.sales import (
    CARTS,
    CONTRACTS,
    DELIVERIES,
    ORDER_LINES,
    ORDERS,
    PAYMENTS,
    PRODUCTS,
    RETURNS,
)
from winback.extract.feeds.service import (
    APPOINTMENTS,
    COMPLAINTS,
    CONTACTS,
    IMPROVEMENTS,
    REVIEWS,
    SURVEY_ANSWERS,
)

__all__ = ["FEEDS", "REASONS", "SQL_TYPES", "Column", "Feed", "Kind"]

FEEDS: dict[str, Feed] = {
    feed.name: feed
    for feed in (
        CUSTOMERS,
        ORDERS,
        ORDER_LINES,
        PRODUCTS,
        RETURNS,
        DELIVERIES,
        PAYMENTS,
        COMPLAINTS,
        REVIEWS,
        CONSENTS,
        CONTACT_PREFERENCES,
        CONTACTS,
        CARTS,
        CONTRACTS,
        VISITS,
        USAGE,
        REFERRALS,
        SURVEY_ANSWERS,
        APPOINTMENTS,
        IMPROVEMENTS,
        EXTERNAL_ASSIGNMENTS,
        NOTES,
    )
}
