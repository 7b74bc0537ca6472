"""Keeps erased people out: takes their rows of a feed out of what a load brought, or had brought.

Each load does it before it commits, since the source may deliver them for years; the erasure itself
(`privacy/erasure.py`) does the same to `raw`, `pii` and quarantine. Who was erased stands in
`ops.erased_customer`.
"""

from __future__ import annotations

from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.extract.feeds import FEEDS, Feed
from winback.extract.loading import raw_tables
from winback.extract.loading.load_records import run

ALL = sql.SQL("true")


def customer_columns(feed: Feed) -> list[str]:
    """The columns of `raw.<feed>` that hold a customer key."""
    return [name for name, column in raw_tables.raw_columns(feed) if column.kind == "customer"]


def is_of_orders(feed: Feed) -> bool:
    """Whether rows name no customer, and belong to somebody only by their order."""
    return not customer_columns(feed) and "order_id" in raw_tables.raw_key(feed)


def is_about_people(feed: Feed) -> bool:
    """Whether a row is somebody's."""
    return bool(customer_columns(feed)) or is_of_orders(feed)


def leave_out(cursor: dbapi.Cursor, feed: Feed, table: sql.Identifier) -> int:
    """Takes the rows of erased people out of what a load has just brought; how many there were.

    Args:
        cursor: Of the load's transaction; what may not pass is in `rejected` already.
        feed: The feed.
        table: Where its rows are: `incoming`, or `raw.<feed>` where they went there at once.
    """
    is_needed = run(cursor, sql.SQL("select exists (select 1 from ops.erased_customer)"))[0][0]
    if not is_needed or not is_about_people(feed):
        return 0
    [(n_rows,)] = run(cursor, delete_rows(feed, table))
    [(n_rejected,)] = run(cursor, delete_rejected(feed, sql.Identifier("rejected")))
    return int(n_rows + n_rejected)


def delete_rows(
    feed: Feed, table: sql.Identifier, pii: sql.Identifier | None = None
) -> sql.Composed:
    """Deletes the rows of erased people, and counts them.

    Of orders it notes the ids, and takes the lines that came before their order.

    Args:
        feed: The feed; it names a customer, or an order.
        table: Where its rows are.
        pii: Where their personal columns are, if they are kept apart and should go as well.
    """
    key = raw_tables.raw_key(feed)
    steps: list[sql.Composable] = [
        sql.SQL("gone as (delete from {} as t where {} returning {})").format(
            table,
            _is_erased(feed),
            sql.SQL(", ").join(sql.Identifier("t", name) for name in key),
        )
    ]
    if pii is not None:
        same_key = sql.SQL(" and ").join(
            # pii holds every key as text
            sql.SQL("p.{0} = gone.{0}::text").format(sql.Identifier(name))
            for name in key
        )
        steps.append(
            sql.SQL("personal as (delete from {} as p using gone where {})").format(pii, same_key)
        )
    if feed.name == "orders":
        steps.append(
            sql.SQL(
                "noted as (insert into pii.erased_order select order_id from gone"
                " on conflict do nothing)"
            )
        )
        steps += [
            sql.SQL("{} as (delete from {} where order_id in (select order_id from gone))").format(
                sql.Identifier(each.name), sql.Identifier("raw", each.name)
            )
            for each in FEEDS.values()
            if is_of_orders(each)
        ]
    return sql.SQL("with {} select count(*) from gone").format(sql.SQL(", ").join(steps))


def delete_rejected(feed: Feed, table: sql.Composable, which: sql.Composable = ALL) -> sql.Composed:
    """Deletes the rejected rows of erased people, and counts them.

    Args:
        feed: The feed; it names a customer, or an order.
        table: `rejected` of a load, or `quarantine.rejected_row`.
        which: The rows of the feed, where the table holds others.
    """
    names = [column.name for column in feed.columns if column.kind == "customer"]
    # a row that repeats a key holds the key alone, as it would have been loaded
    repeated = sql.SQL("content::jsonb -> 'key' ->> 0")
    tests = [
        sql.SQL(
            "exists (select 1 from ops.erased_customer as e where"
            " content::jsonb ->> {} = any(e.quarantine_hashes) or {} = e.customer_key)"
        ).format(sql.Literal(name), repeated)
        for name in names
    ]
    if any(column.name == "order_id" for column in feed.columns):
        order = sql.SQL("content::jsonb ->> 'order_id'")
        given = [order, repeated] if "order_id" in raw_tables.raw_key(feed) else [order]
        tests += [
            sql.SQL("{} in (select order_id from pii.erased_order)").format(each) for each in given
        ]
    return sql.SQL(
        "with gone as (delete from {} where {} and ({}) returning 1) select count(*) from gone"
    ).format(table, which, sql.SQL(" or ").join(tests))


def _is_erased(feed: Feed) -> sql.Composable:
    if is_of_orders(feed):
        return sql.SQL("t.order_id in (select order_id from pii.erased_order)")
    return sql.SQL(" or ").join(
        sql.SQL("t.{} in (select customer_key from ops.erased_customer)").format(
            sql.Identifier(name)
        )
        for name in customer_columns(feed)
    )
