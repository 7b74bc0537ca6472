"""The SQL that takes a feed from where it arrives to where it stays. Text only; `load.py` runs it.

Rows arrive in the temporary table `incoming`, those that may not pass in `rejected`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from psycopg import sql

from winback.extract.feeds import SQL_TYPES, Feed
from winback.extract.loading import raw_tables
from winback.extract.rows.checked_rows import REASON_SEPARATOR
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE

_PLACE = sql.SQL(", ").join(map(sql.Identifier, (SOURCE, ROW_NUMBER)))


def key_of(feed: Feed) -> sql.Composable:
    """The feed's key columns."""
    return sql.SQL(", ").join(map(sql.Identifier, raw_tables.raw_key(feed)))


def create_arrival_tables(feed: Feed) -> list[sql.Composable]:
    """The temporary tables `incoming` and `rejected`, gone with the transaction."""
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(SQL_TYPES[column.kind]))
        for name, column in raw_tables.raw_columns(feed)
    ] + [sql.SQL("{} text").format(sql.Identifier(name)) for name in raw_tables.pii_columns(feed)]
    place = sql.SQL("{} text, {} bigint").format(sql.Identifier(SOURCE), sql.Identifier(ROW_NUMBER))
    return [
        sql.SQL("create temporary table incoming ({}, {}) on commit drop").format(
            sql.SQL(", ").join(columns), place
        ),
        create_rejected_table(),
    ]


def create_rejected_table() -> sql.Composable:
    """The temporary table `rejected`, columns as in `checked_rows.REJECTED`.

    And whether the row says something that is not known; one that repeats another does not.
    """
    return sql.SQL(
        "create temporary table rejected ({} text, {} bigint, reasons text, content text, key text,"
        " customer_key text, is_unread boolean not null default true) on commit drop"
    ).format(sql.Identifier(SOURCE), sql.Identifier(ROW_NUMBER))


def prepare_empty(feed: Feed, snapshot_id: int) -> list[sql.Composable]:
    """Takes key and indexes off an empty raw table, and lets its rows belong to a snapshot.

    Built afterwards, the indexes cost a third; a default costs less than a value in every row.
    """
    table = sql.Identifier("raw", feed.name)
    return [
        sql.SQL("lock table {} in access exclusive mode").format(table),
        sql.SQL("alter table {} drop constraint {}").format(
            table, sql.Identifier(f"{feed.name}_pkey")
        ),
        sql.SQL("drop index if exists {}, {}").format(
            sql.Identifier("raw", raw_tables.customer_index(feed)),
            sql.Identifier("raw", raw_tables.time_index(feed)),
        ),
        sql.SQL("alter table {} alter column snapshot_id set default {}").format(
            table, sql.Literal(snapshot_id)
        ),
    ]


def forget_snapshot(feed: Feed) -> sql.Composable:
    """Takes the default of `prepare_empty` off again."""
    return sql.SQL("alter table {} alter column snapshot_id drop default").format(
        sql.Identifier("raw", feed.name)
    )


def build_key(feed: Feed) -> list[sql.Composable]:
    """Puts the key back, and tells whether that worked: it does not when a key comes twice."""
    build = sql.SQL("alter table {} add constraint {} primary key ({})").format(
        sql.Identifier("raw", feed.name), sql.Identifier(f"{feed.name}_pkey"), key_of(feed)
    )
    block = sql.SQL(
        "begin {build}; exception when unique_violation then"
        " perform set_config('winback.is_keyed', 'no', true); end"
    ).format(build=build)
    return [
        sql.SQL("set local maintenance_work_mem = '256MB'"),
        sql.SQL("set local winback.is_keyed = 'yes'"),
        # in a block of its own, since the driver takes no statement after one that failed
        sql.SQL("do {}").format(sql.Literal(block.as_string())),
        sql.SQL("select current_setting('winback.is_keyed') = 'yes'"),
    ]


def keep_earliest_of_each_key(feed: Feed) -> sql.Composable:
    """Leaves one row per key in `incoming`, and counts the others."""
    return _keep_first(key_of(feed), sql.Identifier(feed.event_time))


def keep_one_of_equal_rows(feed: Feed) -> sql.Composable:
    """Leaves one of the rows that are equal in everything, and counts the others."""
    names = [name for name, _ in raw_tables.raw_columns(feed)] + raw_tables.pii_columns(feed)
    return _keep_first(sql.SQL(", ").join(map(sql.Identifier, names)), _PLACE)


def _keep_first(partition: sql.Composable, order: sql.Composable) -> sql.Composable:
    return sql.SQL(
        "with numbered as ("
        " select ctid as place, row_number() over"
        " (partition by {partition} order by {order}, {place}) as nth from incoming"
        "), others as ("
        " delete from incoming using numbered"
        " where incoming.ctid = numbered.place and numbered.nth > 1 returning 1"
        ") select count(*) from others"
    ).format(partition=partition, order=order, place=_PLACE)


def reject_repeated_keys(feed: Feed) -> sql.Composable:
    """Moves every row whose key came before from `incoming` to `rejected`."""
    names = [name for name, _ in raw_tables.raw_columns(feed)] + raw_tables.pii_columns(feed)
    is_anybodys = "customer_key" in names
    return sql.SQL(
        "with numbered as ("
        " select ctid as place, row_number() over each_key as nth,"
        " first_value({n}) over each_key as first_row, first_value({source}) over each_key"
        " as first_source, first_value(ctid) over each_key as first_place"
        " from incoming window each_key as (partition by {key} order by {place})"
        "), moved as ("
        " delete from incoming using numbered"
        " where incoming.ctid = numbered.place and numbered.nth > 1"
        " returning incoming.*, numbered.first_row, numbered.first_source, numbered.first_place"
        ") insert into rejected select {moved_place},"
        " {reason} || first_row"
        " || case when first_source <> moved.{source} then ' of ' || first_source else '' end,"
        " jsonb_build_object('key', jsonb_build_array({moved_key}))::text,"
        " jsonb_build_array({moved_key})::text, {customer}, ({moved}) is distinct from ({kept})"
        # as the statement found it, where both still are
        " from moved inner join incoming as kept on kept.ctid = moved.first_place"
    ).format(
        key=key_of(feed),
        n=sql.Identifier(ROW_NUMBER),
        source=sql.Identifier(SOURCE),
        place=_PLACE,
        moved_place=_each("moved", (SOURCE, ROW_NUMBER)),
        moved_key=_each("moved", raw_tables.raw_key(feed)),
        moved=_each("moved", names),
        kept=_each("kept", names),
        customer=sql.SQL("moved.customer_key" if is_anybodys else "null"),
        reason=sql.Literal(f"{' and '.join(feed.key)} repeats the key of row "),
    )


def _each(table: str, names: Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(table, name) for name in names)


def quarantine(feed: Feed, snapshot_id: int) -> sql.Composable:
    """Keeps what was rejected."""
    return sql.SQL(
        "insert into quarantine.rejected_row"
        " (extract_run_id, feed, source, row_number, reasons, content)"
        " select run.extract_run_id, run.feed, {source}, {n},"
        " string_to_array(reasons, {separator}), content::jsonb"
        " from rejected cross join ops.extract_run as run"
        " where run.snapshot_id = {snapshot} and run.feed = {feed}"
    ).format(
        source=sql.Identifier(SOURCE),
        n=sql.Identifier(ROW_NUMBER),
        separator=sql.Literal(REASON_SEPARATOR),
        snapshot=snapshot_id,
        feed=feed.name,
    )


def upsert(schema: str, feed: Feed, snapshot_id: int) -> sql.Composable:
    """Brings `incoming` into `raw` or `pii` by key, and counts the rows that are new there."""
    key = raw_tables.raw_key(feed)
    is_raw = schema == "raw"
    if is_raw:
        columns = [name for name, _ in raw_tables.raw_columns(feed)]
        target = [*columns, "snapshot_id"]
        values = [*map(sql.Identifier, columns), sql.Literal(snapshot_id)]
    else:
        columns = target = key + raw_tables.pii_columns(feed)
        values = list(map(sql.Identifier, columns))
    compared = [name for name in columns if name not in key]
    kept = {column.raw_name for column in feed.columns if column.is_for_ever}
    updates = [
        sql.SQL("{} = {}").format(sql.Identifier(name), _arriving(name, name in kept))
        for name in target
        if name not in key
    ]
    return sql.SQL(
        "with arrived as ("
        " insert into {table} as target ({target}) select {values} from incoming"
        " on conflict ({key}) do update set {updates}"
        # rewriting rows that did not change costs ten times as much as finding that out
        " where ({old}) is distinct from ({new}){deleted}"
        # a row that was just inserted has no other version
        " returning (xmax = 0) as is_new"
        ") select count(*) filter (where is_new) from arrived"
    ).format(
        table=sql.Identifier(schema, feed.name),
        target=sql.SQL(", ").join(map(sql.Identifier, target)),
        values=sql.SQL(", ").join(values),
        key=key_of(feed),
        updates=sql.SQL(", ").join([*updates, sql.SQL("deleted_at = null")] if is_raw else updates),
        old=sql.SQL(", ").join(sql.Identifier("target", name) for name in compared or key),
        new=sql.SQL(", ").join(_arriving(name, name in kept) for name in compared or key),
        deleted=sql.SQL(" or target.deleted_at is not null" if is_raw else ""),
    )


def mark_deleted(feed: Feed, deleted_at: datetime, known_until: datetime | None) -> sql.Composable:
    """Marks what the source no longer has, and counts it.

    Args:
        feed: The declaration.
        deleted_at: Since when it counts as gone.
        known_until: Rows from this instant on were left at the source and are not missing.
    """
    same_key = sql.SQL(" and ").join(
        sql.SQL("i.{0} = t.{0}").format(sql.Identifier(name)) for name in raw_tables.raw_key(feed)
    )
    values = sql.SQL(", ").join(sql.Identifier("t", name) for name in raw_tables.raw_key(feed))
    return sql.SQL(
        "with gone as ("
        " update {table} as t set deleted_at = {deleted_at}::timestamptz"
        " where t.deleted_at is null and ({known_until}::timestamptz is null"
        " or t.{event_time} < {known_until}::timestamptz)"
        " and not exists (select 1 from incoming as i where {same_key})"
        # it is there, only not as it must be
        " and jsonb_build_array({values}) not in (select key::jsonb from rejected)"
        " returning 1) select count(*) from gone"
    ).format(
        table=sql.Identifier("raw", feed.name),
        deleted_at=deleted_at.isoformat(),
        known_until=None if known_until is None else known_until.isoformat(),
        event_time=sql.Identifier(feed.event_time),
        same_key=same_key,
        values=values,
    )


def _arriving(name: str, is_for_ever: bool) -> sql.Composable:
    new = sql.Identifier("excluded", name)
    if not is_for_ever:
        return new
    return sql.SQL("greatest({}, {})").format(sql.Identifier("target", name), new)
