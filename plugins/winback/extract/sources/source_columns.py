"""Notices when a source changes its columns: new ones are told, a retyped one stops the feed.

A column that is gone stops it as well; the reader says so. What was there at the load before stands
in `ops.source_column`.
"""

from __future__ import annotations

import logging
import re

from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.errors import SourceError
from winback.extract.loading.load_records import run
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.reading import describe_source

log = logging.getLogger(__name__)

# a wider integer or a longer text is no other type
FAMILIES = {
    "whole number": ("int", "uint", "smallint", "integer", "bigint", "tinyint", "mediumint"),
    "number": ("float", "double", "halffloat", "decimal", "numeric", "real", "money"),
    "text": ("string", "large_string", "string_view", "text", "character", "char", "varchar"),
    "time": ("timestamp", "date", "datetime"),
    "true or false": ("bool", "boolean"),
}


def refuse_retyped(
    cursor: dbapi.Cursor, mapping: FeedMapping, *, accept_types: bool
) -> dict[str, str]:
    """Compares the source's columns with those of the load before.

    Args:
        cursor: Of the load's transaction.
        mapping: Where the feed comes from.
        accept_types: A required column may have another type than before.

    Returns:
        The columns and their types now.

    Raises:
        SourceError: A required column has another type, or the source can not be read.
    """
    now = describe_source(mapping)
    query = sql.SQL(
        "select column_name, column_type from ops.source_column where feed = {} and source = {}"
    ).format(mapping.feed.name, mapping.source)
    before = dict(run(cursor, query))
    if not before:
        return now
    new = sorted(now.keys() - before.keys())
    if new:
        log.warning(
            "%s: %s has new columns, which nothing reads yet: %s",
            mapping.feed.name,
            mapping.source,
            ", ".join(new),
        )
    for name, how in mapping.columns.items():
        for column in how.source_columns & now.keys() & before.keys():
            was, is_now = family(before[column]), family(now[column])
            if was == is_now:
                continue
            told = f"{mapping.source}: column {column!r} was {was} and is {is_now} now"
            if mapping.feed.column(name).is_required and not accept_types:
                raise SourceError(
                    f"{told}: mend the source, or if that is right, run"
                    f" `./winback sources load {mapping.feed.name} --accept-types`"
                )
            log.warning("%s (for %s.%s)", told, mapping.feed.name, name)
    return now


def remember(cursor: dbapi.Cursor, mapping: FeedMapping, columns: dict[str, str]) -> None:
    """Writes down the columns of a source, for the next load to compare with."""
    gone = sql.SQL(
        "delete from ops.source_column where feed = {} and source = {} and column_name <> all({})"
    ).format(mapping.feed.name, mapping.source, list(columns))
    run(cursor, gone)
    for name, kind in columns.items():
        run(
            cursor,
            sql.SQL(
                "insert into ops.source_column (feed, source, column_name, column_type)"
                " values ({}, {}, {}, {}) on conflict (feed, source, column_name)"
                " do update set column_type = excluded.column_type, last_seen_at = now()"
            ).format(mapping.feed.name, mapping.source, name, kind),
        )


def family(column_type: str) -> str:
    """What kind of values a type holds, in plain words; the type itself where it is none of them.

    Args:
        column_type: As the source writes it, such as `int32`, `timestamp[us, tz=UTC]` or
            `character varying(20)`.
    """
    stem = re.split("[^a-z_]", column_type.lower(), maxsplit=1)[0]
    for words, stems in FAMILIES.items():
        if stem in stems:
            return words
    return column_type
