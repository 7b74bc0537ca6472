"""The step extract: takes a snapshot of every mapped feed for one as-of date."""

from __future__ import annotations

import logging
from datetime import date

from winback.extract.feeds import FEEDS
from winback.extract.load import load_feed
from winback.extract.mapping import read_dataset
from winback.settings import settings
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)


def extract(as_of: date, purpose: str) -> int:
    """Loads all feeds and returns the id of the new snapshot.

    Args:
        as_of: Facts before 00:00 of this business day belong to the snapshot.
        purpose: `live`, or `backfill` for a snapshot that is only computed and never acted on.

    Raises:
        DeclarationError: The sources file is wrong; nothing was loaded.
        SourceError: A source can not be read; that feed is as it was before.
    """
    config = settings()
    dataset = read_dataset(config.sources, config.dataset, config.data)
    with warehouse.connect("loader") as connection:
        row = connection.execute(
            "insert into ops.snapshot (as_of, purpose, dataset) values (%s, %s, %s)"
            " returning snapshot_id",
            (as_of, purpose, dataset.name),
        ).fetchone()
        assert row is not None
        snapshot_id: int = row[0]
        for feed in FEEDS.values():
            if feed.name not in dataset.feeds:
                connection.execute(
                    "insert into ops.feed_status (feed, is_present) values (%s, false)"
                    " on conflict (feed) do update set is_present = false, updated_at = now()",
                    (feed.name,),
                )
    for mapping in dataset.feeds.values():
        counts = load_feed(
            mapping,
            dataset.name,
            snapshot_id,
            config.business_timezone,
            config.as_of_at(as_of) if config.replay else None,
        )
        log.info(
            "%s: %s received = %s passed + %s quarantined",
            mapping.feed.name,
            counts.n_received,
            counts.n_passed,
            counts.n_quarantined,
        )
    return snapshot_id
