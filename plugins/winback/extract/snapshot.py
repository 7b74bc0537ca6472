"""The step extract: takes a snapshot of every mapped feed for one as-of date."""

from __future__ import annotations

import logging
from datetime import date

from winback.errors import DeclarationError, SourceError
from winback.extract.feeds import FEEDS
from winback.extract.loading.customer_merge import merge_customers
from winback.extract.loading.load import load_feed
from winback.extract.loading.load_records import Batch, Counts
from winback.extract.mapping.dataset import FeedMapping, read_dataset
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
        SourceError: A source can not be read: that feed is as it was before, and the others are
            loaded; or the date lies in the future.
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
    batch = Batch(
        snapshot_id=snapshot_id,
        dataset=dataset.name,
        as_of_at=config.as_of_at(as_of),
        business_timezone=config.business_timezone,
        is_replay=config.replay,
    )
    failures = {}
    for mapping in dataset.feeds.values():
        try:
            log_counts(mapping, load_feed(mapping, batch))
        except SourceError as error:
            # the others are loaded nevertheless, so that only this one is missing once it is mended
            log.error("%s: %s", mapping.feed.name, error)
            failures[mapping.feed.name] = error
    if failures:
        raise _all_failures(failures, len(dataset.feeds))
    warehouse.analyze(*(f"raw.{name}" for name in dataset.feeds))
    with warehouse.connect("loader") as connection:
        if purpose == "live":
            merge_customers(connection, as_of)
        connection.execute("select ops.drop_expired_proof()")
        connection.execute(
            "update ops.snapshot set completed_at = now() where snapshot_id = %s", (snapshot_id,)
        )
    return int(snapshot_id)


def load_one(
    feed: str,
    since: date | None = None,
    *,
    is_whole: bool = False,
    accept_types: bool = False,
) -> Counts:
    """Loads a single feed now, for instance after rows were mended at the source.

    Args:
        feed: Its name.
        since: Read what was changed from this business day on; the feed needs a cursor of times.
        is_whole: Read everything, whatever the cursor says.
        accept_types: A required column may have another type than at the load before.

    Raises:
        DeclarationError: The feed is not mapped, or `since` does not fit its cursor.
        SourceError: The source can not be read; nothing was loaded.
    """
    config = settings()
    dataset = read_dataset(config.sources, chosen_dataset(config), config.data)
    if feed not in dataset.feeds:
        raise DeclarationError(
            f"dataset {dataset.name} maps no feed {feed!r}; it maps {', '.join(dataset.feeds)}"
        )
    mapping = dataset.feeds[feed]
    if since is not None and (mapping.cursor is None or mapping.cursor.kind != "time"):
        raise DeclarationError(
            f"feed {feed} has no cursor of times, so it can not be read since a date: leave out"
            " `--since` to read all of it, or map a `cursor`"
        )
    as_of = config.today()
    with warehouse.connect("loader") as connection:
        [(snapshot_id,)] = connection.execute(
            "insert into ops.snapshot (as_of, purpose, dataset) values (%s, 'load', %s)"
            " returning snapshot_id",
            (as_of, dataset.name),
        ).fetchall()
    batch = Batch(
        snapshot_id=snapshot_id,
        dataset=dataset.name,
        as_of_at=config.as_of_at(as_of),
        business_timezone=config.business_timezone,
    )
    counts = load_feed(
        mapping,
        batch,
        None if since is None else config.as_of_at(since),
        is_whole=is_whole,
        accept_types=accept_types,
    )
    warehouse.analyze(f"raw.{feed}")
    with warehouse.connect("loader") as connection:
        connection.execute(
            "update ops.snapshot set completed_at = now() where snapshot_id = %s", (snapshot_id,)
        )
    return counts


def log_counts(mapping: FeedMapping, counts: Counts) -> None:
    """Tells what became of the rows of one feed."""
    log.info(
        "%s: %s%s received = %s passed + %s quarantined%s",
        mapping.feed.name,
        f"{counts.n_received:,}",
        "" if counts.is_whole else " new or changed",
        f"{counts.n_passed:,}",
        f"{counts.n_quarantined:,}",
        f", {counts.n_deleted:,} deleted at the source" if counts.n_deleted else "",
    )


def _all_failures(failures: dict[str, SourceError], n_feeds: int) -> SourceError:
    if len(failures) == 1:
        [(name, error)] = failures.items()
        return SourceError(f"feed {name} was not loaded: {error}")
    told = " | ".join(f"{name}: {error}" for name, error in failures.items())
    return SourceError(f"{len(failures)} of {n_feeds} feeds were not loaded. {told}")


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
