"""The step extract: takes a snapshot of every mapped feed for one as-of date."""

from __future__ import annotations

import logging
from datetime import date

from winback.errors import DeclarationError, SourceError
from winback.extract.feeds import FEEDS
from winback.extract.load import load_feed
from winback.extract.mapping import read_dataset
from winback.settings import Settings, settings
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)


def extract(as_of: date, purpose: str) -> int:
    """Loads all feeds and returns the id of the new snapshot.

    Args:
        as_of: Facts before 00:00 of this business day belong to the snapshot.
        purpose: `live`, or `backfill` for a snapshot that is only computed and never acted on.

    Raises:
        DeclarationError: The sources file is wrong; nothing was loaded.
        SourceError: A source can not be read, and that feed is as it was before; or the date lies
            in the future.
    """
    config = settings()
    if as_of > config.today():
        raise SourceError(f"as_of {as_of} lies in the future: choose {config.today()} or earlier")
    dataset = read_dataset(config.sources, chosen_dataset(config), config.data)
    with warehouse.connect("loader") as connection:
        [(snapshot_id,)] = connection.execute(
            "insert into ops.snapshot (as_of, purpose, dataset) values (%s, %s, %s)"
            " returning snapshot_id",
            (as_of, purpose, dataset.name),
        ).fetchall()
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
    warehouse.analyze(*(f"raw.{name}" for name in dataset.feeds))
    with warehouse.connect("loader") as connection:
        connection.execute(
            "update ops.snapshot set completed_at = now() where snapshot_id = %s", (snapshot_id,)
        )
    return int(snapshot_id)


def chosen_dataset(config: Settings) -> str:
    """The dataset that the settings name.

    Raises:
        DeclarationError: They name none.
    """
    if not config.dataset:
        raise DeclarationError(
            "no dataset is chosen: describe your feeds in config/sources.yaml and name the dataset"
            " in config/winback.yaml (./winback demo shows everything on real data)"
        )
    return config.dataset


def purpose_of(as_of: date, *, is_backfill: bool) -> str:
    """What a snapshot of a date is for: only the newest date may be acted on.

    Args:
        as_of: The date.
        is_backfill: Whether a person asked for a backfill.
    """
    newest = newest_live()
    is_past = newest is not None and as_of < newest[1]
    return "backfill" if is_backfill or is_past else "live"


def newest_live() -> tuple[int, date] | None:
    """Id and date of the newest snapshot that may be acted on; None before the first one."""
    with warehouse.connect("loader") as connection:
        row = connection.execute("select snapshot_id, as_of from ops.newest_snapshot").fetchone()
    return None if row is None else (row[0], row[1])
