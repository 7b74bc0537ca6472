"""The tables of `raw` and `pii` that follow from the feed declarations, as SQL text."""

from __future__ import annotations

from psycopg import sql

from winback.extract.feeds import SQL_TYPES, Column, Feed


def raw_columns(feed: Feed) -> list[tuple[str, Column]]:
    """The columns of `raw.<feed>`, as (name there, declaration)."""
    return [(column.raw_name, column) for column in feed.columns if column.raw_name]


def raw_key(feed: Feed) -> list[str]:
    """The key of `raw.<feed>`."""
    return [str(feed.column(name).raw_name) for name in feed.key]


def pii_columns(feed: Feed) -> list[str]:
    """The columns of `pii.<feed>` next to its key; empty when the feed holds nothing personal."""
    if not feed.personal_columns:
        return []
    ids = [
        f"source_{column.name}"
        for column in feed.columns
        if column.kind == "customer" and column.name in feed.key
    ]
    return ids + [column.name for column in feed.personal_columns]


def create_statements(feed: Feed) -> list[sql.SQL | sql.Composed]:
    """What creates a feed's tables where they are missing."""
    key = sql.SQL(", ").join(map(sql.Identifier, raw_key(feed)))
    definitions = [
        sql.SQL("{} {} {}").format(
            sql.Identifier(name),
            sql.SQL(SQL_TYPES[column.kind]),
            sql.SQL("not null" if column.is_required else ""),
        )
        for name, column in raw_columns(feed)
    ]
    statements: list[sql.SQL | sql.Composed] = [
        sql.SQL(
            "create table if not exists {} ({}, snapshot_id bigint not null, primary key ({}))"
        ).format(sql.Identifier("raw", feed.name), sql.SQL(", ").join(definitions), key)
    ]
    if "customer_key" not in raw_key(feed) and any(c.kind == "customer" for c in feed.columns):
        statements.append(
            sql.SQL("create index if not exists {} on {} (customer_key, {})").format(
                sql.Identifier(f"{feed.name}_by_customer"),
                sql.Identifier("raw", feed.name),
                sql.Identifier(feed.event_time),
            )
        )
    if pii_columns(feed):
        statements.append(
            sql.SQL("create table if not exists {} ({}, primary key ({}))").format(
                sql.Identifier("pii", feed.name),
                sql.SQL(", ").join(
                    sql.SQL("{} text").format(sql.Identifier(name))
                    for name in raw_key(feed) + pii_columns(feed)
                ),
                key,
            )
        )
    return statements
