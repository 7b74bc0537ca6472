"""Gate `raw`: is what was extracted complete, fresh and sound enough to build marts from?"""

from __future__ import annotations

from datetime import date
from typing import Any

import great_expectations.expectations as gxe

from winback.extract.feeds import FEEDS
from winback.gate import Subject
from winback.settings import Settings, settings


def subjects(snapshot_id: int, as_of: date, suffix: str) -> list[Subject]:
    """What the gate looks at.

    Args:
        snapshot_id: The snapshot that was just extracted.
        as_of: Its date; what is fresh is measured from here.
        suffix: Not used: raw tables are the same for every date.
    """
    config = settings()
    return [
        _extraction(snapshot_id, config.max_quarantined_pct),
        _orders(as_of, config),
        _orphans(config.max_orphaned_orders_pct),
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


def _orphans(max_orphaned_orders_pct: float) -> Subject:
    return Subject(
        "orders without a customer",
        "select round(100.0 * count(*) filter (where c.customer_key is null)"
        " / nullif(count(*), 0), 2) as orphaned_pct"
        " from raw.orders as o left join raw.customers as c using (customer_key)",
        [
            gxe.ExpectColumnMaxToBeBetween(
                column="orphaned_pct",
                max_value=max_orphaned_orders_pct,
                meta=_meta(
                    "So many orders of unknown customers mean that the customers feed is"
                    " incomplete, or that its rows are in quarantine: people would be missing.",
                    "setting max_orphaned_orders_pct",
                ),
            )
        ],
    )


def _orders(as_of: date, config: Settings) -> Subject:
    return Subject(
        "raw.orders",
        f"select '{as_of}'::date - (ordered_at at time zone '{config.business_timezone}')::date"
        " as age_days, amount_cents, currency"
        f" from raw.orders where ordered_at < '{config.as_of_at(as_of).isoformat()}'",
        [
            gxe.ExpectColumnMinToBeBetween(
                column="age_days",
                max_value=config.max_order_age_days,
                meta=_meta(
                    "The newest order is too many days old: customers would look lost only because"
                    " their orders have not arrived.",
                    "setting max_order_age_days",
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
