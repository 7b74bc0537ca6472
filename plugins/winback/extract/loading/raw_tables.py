"""The tables of `raw` and `pii` that follow from the feed declarations, as SQL text."""

from __future__ import annotations

from psycopg import sql

from winback.extract.feeds import SQL_TYPES, Column, Feed

# The feed of which a day's build asks what is new. No other has an index for it: where the planner
# does not know the date, it asks such an index about one customer's rows as well, page by page.
ASKED_BY_DAY = "orders"


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
    definitions: list[sql.Composed | sql.SQL] = [
        sql.SQL("{} {} {}").format(
            sql.Identifier(name),
            sql.SQL(SQL_TYPES[column.kind]),
            sql.SQL("not null" if column.is_required else ""),
        )
        for name, column in raw_columns(feed)
    ]
    definitions += [sql.SQL("snapshot_id bigint not null"), sql.SQL("deleted_at timestamptz")]
    statements: list[sql.SQL | sql.Composed] = _create_table("raw", feed, definitions)
    statements += create_indexes(feed)
    if pii_columns(feed):
        personal: list[sql.Composed | sql.SQL] = [
            sql.SQL("{} text").format(sql.Identifier(name))
            for name in raw_key(feed) + pii_columns(feed)
        ]
        statements += _create_table("pii", feed, personal)
        statements.append(
            sql.SQL("grant select, insert, update on {} to winback_loader").format(
                sql.Identifier("pii", feed.name)
            )
        )
    return statements


def create_indexes(feed: Feed) -> list[sql.Composed]:
    """What creates the indexes of `raw.<feed>` beside its key, where they are missing."""
    table = sql.Identifier("raw", feed.name)
    event_time = sql.Identifier(feed.event_time)
    statements = []
    if feed.name == ASKED_BY_DAY:
        # Rows that came together lie together: a range of pages says which days are in it. Said of
        # each range once it is full; otherwise a vacuum would do it, after months of such days.
        statements.append(
            sql.SQL(
                "create index if not exists {} on {} using brin (snapshot_id, {}, deleted_at)"
                " with (autosummarize = on)"
            ).format(sql.Identifier(time_index(feed)), table, event_time)
        )
    if feed.name == "customers":
        # whoever objected has objected for their address, under whichever number
        statements.append(
            sql.SQL(
                "create index if not exists customers_who_objected on {} (email_hash)"
                " where objected_at is not null"
            ).format(table)
        )
    if "customer_key" not in raw_key(feed) and any(c.kind == "customer" for c in feed.columns):
        statements.append(
            sql.SQL("create index if not exists {} on {} (customer_key, {})").format(
                sql.Identifier(customer_index(feed)), table, event_time
            )
        )
    return statements


def customer_index(feed: Feed) -> str:
    """Name of the index that finds a customer's rows."""
    return f"{feed.name}_by_customer"


def time_index(feed: Feed) -> str:
    """Name of the index that finds what a snapshot or a day brought."""
    return f"{feed.name}_by_time"


def _create_table(
    schema: str, feed: Feed, definitions: list[sql.Composed | sql.SQL]
) -> list[sql.SQL | sql.Composed]:
    table = sql.Identifier(schema, feed.name)
    key = sql.SQL(", ").join(map(sql.Identifier, raw_key(feed)))
    create = sql.SQL("create table if not exists {} ({}, primary key ({}))").format(
        table, sql.SQL(", ").join(definitions), key
    )
    # a table of an earlier version gets the columns that were declared since
    additions = sql.SQL(", ").join(
        sql.SQL("add column if not exists {}").format(definition) for definition in definitions
    )
    return [create, sql.SQL("alter table {} {}").format(table, additions)]
