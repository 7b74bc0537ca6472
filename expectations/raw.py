"""Gate `raw`: is what was extracted complete, fresh and sound enough to build marts from?

Here stand the limits, each with its reason; how a number is measured stands in `measures/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from expectations.measures.feeds import empty_columns, measure_feeds
from expectations.measures.sales import measure_sales, references
from winback.extract.feeds import FEEDS, Feed
from winback.gate import Batch, Measure, Subject, measured
from winback.gate.limits import at_least, at_most, between
from winback.settings import Settings, settings

DECLARATIONS = "plugins/winback/extract/feeds/declaration.py"
# a contract may begin, and a product be offered, from a later day on
_MAY_LIE_AHEAD = {"contracts", "products"}
DECLARED = {feed.name: feed.max_age_days for feed in FEEDS.values()}


def measures(connection: Connection, batch: Batch) -> list[Measure]:
    """What the gate measures before it judges; as the loader."""
    return [*measure_feeds(connection, batch), *measure_sales(connection, batch)]


def subjects(
    snapshot_id: int,
    as_of: Any = None,
    suffix: str = "",
    max_age_days: Mapping[str, int | None] = DECLARED,
) -> list[Subject]:
    """What the gate looks at.

    Args:
        snapshot_id: The snapshot that was just extracted and measured.
        as_of: Not used: it went into the measures.
        suffix: Not used: raw tables are the same for every date.
        max_age_days: The feeds that were extracted, with how old the newest fact may be; a feed
            that a company does not deliver is not judged.
    """
    config = settings()
    return [
        measured(
            snapshot_id,
            "all feeds",
            [_required_feeds(), _one_currency()],
            indispensable=["n_missing_required_feeds"],
        ),
        *(
            measured(
                snapshot_id,
                f"raw.{name}",
                [
                    *_of_every_feed(config, FEEDS[name], max_age),
                    *_references(config, FEEDS[name], max_age_days),
                    *_OF_FEED.get(name, _nothing)(config),
                ],
                indispensable=["n_known"],
            )
            for name, max_age in max_age_days.items()
        ),
    ]


def _required_feeds() -> Any:
    return at_most(
        "n_missing_required_feeds",
        0,
        "no required feed is missing",
        "Without customers and orders nobody can be told from somebody who is lost.",
        f"{DECLARATIONS}, is_required",
    )


def _one_currency() -> Any:
    return at_most(
        "n_currencies",
        1,
        "one currency in orders and their lines",
        "Amounts are added up as they are: two currencies would be added like one.",
        "docs/naming.md, money",
    )


def _of_every_feed(config: Settings, feed: Feed, max_age_days: int | None) -> list[Any]:
    expectations = [
        at_most(
            "quarantined_pct",
            config.max_quarantined_pct,
            f"at most {config.max_quarantined_pct:g} % of the rows received are in quarantine",
            "Too many rows broke the declaration of their feed. Mend them at the source, or the"
            " mapping in config/sources.yaml.",
            "setting max_quarantined_pct",
        ),
        at_most(
            "repeated_keys_pct",
            config.max_repeated_keys_pct,
            f"at most {config.max_repeated_keys_pct:g} % of the rows repeat a key",
            "Only the first row of a key is loaded. So many repeats mean that the key is not one,"
            " or that the export was made twice.",
            "setting max_repeated_keys_pct",
        ),
        at_least(
            "received_of_before_pct",
            config.min_received_pct,
            f"at least {config.min_received_pct:g} % as many rows as the time before",
            "A whole load that shrank so much was cut off, or filtered by mistake.",
            "setting min_received_pct",
        ),
        *(
            at_most(
                f"{column}_null_rise_points",
                config.max_null_rise_points,
                f"{column} is empty in at most {config.max_null_rise_points:g} points more rows"
                " than the time before",
                "A column that empties at once was renamed or lost at the source; what is built"
                " on it would change without anybody's doing.",
                "setting max_null_rise_points",
            )
            for column in empty_columns(feed)
        ),
    ]
    if feed.name not in _MAY_LIE_AHEAD:
        expectations.append(_not_in_the_future(config))
    if feed.is_required:
        expectations.append(_some_facts())
    if max_age_days is not None:
        expectations.append(_fresh(feed, max_age_days))
    return expectations


def _not_in_the_future(config: Settings) -> Any:
    return at_most(
        "future_pct",
        config.max_future_pct,
        f"at most {config.max_future_pct:g} % of the facts lie in the future",
        "Dates that are not there yet are misread ones: day and month changed places, or a wrong"
        " century.",
        "setting max_future_pct",
    )


def _some_facts() -> Any:
    return at_least(
        "n_known",
        1,
        "at least one fact before the as-of date",
        "No rows would make every other check a success.",
        f"{DECLARATIONS}, is_required",
    )


def _fresh(feed: Feed, max_age_days: int) -> Any:
    return at_most(
        "age_days",
        max_age_days,
        f"the newest fact is at most {max_age_days} days old",
        "Facts that have not arrived look as if nothing had happened: customers would seem lost"
        " only because their orders are missing.",
        f"{DECLARATIONS}, max_age_days; or the mapping of feed {feed.name}",
    )


def _references(config: Settings, feed: Feed, max_age_days: Mapping[str, int | None]) -> list[Any]:
    return [
        at_most(
            f"{column.raw_name}_unmatched_pct",
            config.max_unmatched_pct,
            f"at most {config.max_unmatched_pct:g} % of the rows point to no row of {target.name}",
            f"So many rows without their counterpart mean that {target.name} is incomplete, or"
            " that its rows are in quarantine: people, orders or products would be missing.",
            "setting max_unmatched_pct",
        )
        for column, target in references(feed)
        if target.name in max_age_days
    ]


def _of_orders(config: Settings) -> list[Any]:
    low, high = config.min_usual_orders_pct, config.max_usual_orders_pct
    return [
        between(
            "usual_orders_pct",
            low,
            high,
            f"the last day brought {low:g} % to {high:g} % of its weekday's usual orders",
            "Far fewer: a part of the orders has not arrived, and their buyers would look lost."
            " Far more: something was loaded twice. Where orders arrive days late, say so in"
            " orders_delay_days.",
            "settings min_usual_orders_pct, max_usual_orders_pct, orders_delay_days",
        ),
        at_most(
            "n_negative_amounts",
            0,
            "no order below zero",
            "Refunds belong to the feed returns; a negative order falsifies every value.",
            "plugins/winback/extract/feeds/sales.py, minimum",
        ),
    ]


def _of_order_lines(config: Settings) -> list[Any]:
    tolerance = config.order_total_tolerance_pct
    return [
        at_most(
            "differing_totals_pct",
            config.max_differing_totals_pct,
            f"at most {config.max_differing_totals_pct:g} % of the orders differ from their lines"
            f" by more than {tolerance:g} %",
            "Lines are missing, came twice, or one of the two is in euros and the other in cents."
            " Shipping and discounts on the whole order are what the tolerance is for.",
            "settings max_differing_totals_pct, order_total_tolerance_pct",
        )
    ]


def _nothing(_: Settings) -> list[Any]:
    return []


_OF_FEED = {"orders": _of_orders, "order_lines": _of_order_lines}
