"""Rows in quarantine that may forbid to write to somebody: nobody knows what they would say.

A withdrawal with a date that can not be read, an account that was closed and has no address any
more: what was loaded before would go on allowing what is over. Whose rows these are stands in
`quarantine.unread_row`, which `ops.eligibility` asks, until the row is read. SQL text only; it runs
within the load's transaction, beside the temporary tables of `load_statements.py`.
"""

from __future__ import annotations

from psycopg import sql

from winback.extract.feeds import Feed
from winback.extract.loading import raw_tables


def update(
    feed: Feed, snapshot_id: int, passed: sql.Identifier, *, is_whole: bool, is_derived: bool
) -> list[sql.Composable]:
    """Forgets what has been read by now, and keeps what was set aside.

    Args:
        feed: The feed; nothing is kept of one that can not forbid anything.
        snapshot_id: For which it is loaded.
        passed: The table that holds the rows that passed.
        is_whole: Whether the whole source was read, so that what is still wrong was set aside anew.
        is_derived: Whether each row of the source is one of many about the same key, of which one
            that can be read is enough.
    """
    if not feed.may_forbid:
        return []
    keys = [sql.Identifier(name) for name in raw_tables.raw_key(feed)]
    of_unread, of_rejected = (
        _same_key("p", keys, sql.SQL(column)) for column in ("u.row_key", "r.key::jsonb")
    )
    is_passed = sql.SQL("exists (select 1 from {} as p where {})")
    forget = sql.SQL("delete from quarantine.unread_row as u where u.feed = {}{}").format(
        sql.Literal(feed.name),
        sql.SQL("") if is_whole else sql.SQL(" and ") + is_passed.format(passed, of_unread),
    )
    keep = sql.SQL(
        "insert into quarantine.unread_row (feed, row_key, customer_key, snapshot_id)"
        " select distinct {feed}, r.key::jsonb, whose.customer_key, {snapshot}"
        " from rejected as r"
        # whom the row names, and whom the one names that it would have replaced
        " left join {raw} as p on {same_key}"
        " cross join lateral (values (r.customer_key), (p.customer_key)) as whose (customer_key)"
        " where r.is_unread and whose.customer_key is not null{others}"
    ).format(
        feed=sql.Literal(feed.name),
        snapshot=sql.Literal(snapshot_id),
        raw=sql.Identifier("raw", feed.name),
        same_key=of_rejected,
        others=(
            sql.SQL(" and not ") + is_passed.format(passed, of_rejected)
            if is_derived
            else sql.SQL("")
        ),
    )
    return [forget, keep]


def _same_key(table: str, keys: list[sql.Identifier], document: sql.Composable) -> sql.Composable:
    return sql.SQL(" and ").join(
        sql.SQL("{}.{} = {} ->> {}").format(
            sql.Identifier(table), key, document, sql.Literal(position)
        )
        for position, key in enumerate(keys)
    )
