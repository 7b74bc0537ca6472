"""Gate `raw`: is what was extracted complete, fresh and sound enough to build marts from?"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import great_expectations.expectations as gxe

from winback.extract.feeds import FEEDS
from winback.gate import Subject
from winback.settings import settings


def subjects(snapshot_id: int, as_of: date, suffix: str) -> list[Subject]:
    """What the gate looks at.

    Args:
        snapshot_id: The snapshot that was just extracted.
        as_of: Its date; what is fresh is measured from here.
        suffix: Not used: raw tables are the same for every date.
    """
    config = settings()
    known_until = config.as_of_at(as_of)
    return [
        _extraction(snapshot_id, config.max_quarantined_pct),
        _orders(known_until),
        Subject(
            "raw.orders without a customer",
            "select count(*) as n_orders from raw.orders"
            " left join raw.customers using (customer_key)"
            " where raw.customers.customer_key is null",
            [
                gxe.ExpectColumnMaxToBeBetween(
                    column="n_orders",
                    max_value=0,
                    meta=_meta(
                        "An order of an unknown customer means that the customers feed is"
                        " incomplete: people would be missing from every list.",
                        "requirement A1, one complete history",
                    ),
                )
            ],
        ),
    ]


def _extraction(snapshot_id: int, max_quarantined_pct: float) -> Subject:
    required = ", ".join(f"'{feed.name}'" for feed in FEEDS.values() if feed.is_required)
    return Subject(
        "extracted feeds",
        "select n_received, quarantined_pct,"
        f" count(*) filter (where feed in ({required})) over () as n_required_feeds"
        f" from ops.extract_run where snapshot_id = {int(snapshot_id)}",
        [
            gxe.ExpectColumnMaxToBeBetween(
                column="quarantined_pct",
                max_value=max_quarantined_pct,
                meta=_meta(
                    "Too many rows broke the declaration of their feed; they are in"
                    " quarantine.rejected_row with the reason. Mend them at the source, or the"
                    " mapping in config/sources.yaml.",
                    "setting max_quarantined_pct",
                ),
            ),
            gxe.ExpectColumnMinToBeBetween(
                column="n_required_feeds",
                min_value=sum(feed.is_required for feed in FEEDS.values()),
                meta=_meta(
                    "A required feed was not extracted.",
                    "plugins/winback/extract/feeds.py, is_required",
                ),
            ),
        ],
    )


def _orders(known_until: datetime) -> Subject:
    oldest = known_until - timedelta(days=FEEDS["orders"].freshness_days or 0)
    return Subject(
        "raw.orders",
        "select extract(epoch from ordered_at) / 86400 as ordered_day, amount_cents, currency"
        f" from raw.orders where ordered_at < '{known_until.isoformat()}'",
        [
            gxe.ExpectColumnMaxToBeBetween(
                column="ordered_day",
                min_value=oldest.timestamp() / 86400,
                meta=_meta(
                    "The newest order (in days since 1970) is older than the feed may be: customers"
                    " would look lost only because their orders have not arrived.",
                    "plugins/winback/extract/feeds.py, freshness_days",
                ),
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="amount_cents",
                min_value=0,
                meta=_meta(
                    "Refunds belong to the feed returns; a negative order falsifies every value.",
                    "plugins/winback/extract/feeds.py, minimum",
                ),
            ),
            gxe.ExpectColumnUniqueValueCountToBeBetween(
                column="currency",
                min_value=1,
                max_value=1,
                meta=_meta(
                    "Amounts are added up as they are: two currencies would be added like one.",
                    "docs/naming.md, money",
                ),
            ),
        ],
    )


def _meta(why: str, source: str) -> dict[str, Any]:
    return {"why": why, "source": source}
