"""Erasure: all that is known of a person goes, from every table and list, and stays away.

What stays is named in docs/consent.md: the suppression of their addresses, keyed hashes that keep
them out of the next load, proof of their consents apart from everything, and rows of the ledger and
the draw that are of nobody any more, so that no figure changes. What happens to each table is
`erased_records.py`, to files `erased_files.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Json

from winback.errors import WinbackError
from winback.extract.feeds import FEEDS
from winback.extract.loading.erased_rows import customer_columns
from winback.kpi.customer_counts import keep_counts_of
from winback.outreach.lists import LISTS
from winback.privacy import erased_records
from winback.privacy.erased_files import rid_lists_of
from winback.privacy.keyed_hash import customer_key, keyed_hash
from winback.record.events import work_through_inbox
from winback.settings import Settings
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

# columns of a source that name a customer, under whose name quarantine hashes them
_NAMING = sorted({c.name for feed in FEEDS.values() for c in feed.columns if c.kind == "customer"})


class NobodyToErase(WinbackError):
    """Nobody is known by what was written, and nobody of that number was erased before."""


@dataclass(frozen=True)
class Erased:
    """What an erasure did.

    Attributes:
        erasure_id: The row of `ops.erasure`.
        is_new: False when the person was erased before, and only the lists were looked at again.
        n_rows: Rows by table, as when it was done.
        namesakes: How many other customers have an address of this person.
        foreign_files: Files in the folder of lists that hold the person and are not ours.
    """

    erasure_id: int
    is_new: bool
    n_rows: dict[str, int]
    namesakes: int
    foreign_files: list[Path]


def erase(customer: str, dataset: str, person: str, config: Settings) -> Erased:
    """Erases a person, whatever customer numbers they had; given again, finishes what is missing.

    Args:
        customer: A customer_key, or the id at the source.
        dataset: Whose ids the sources have.
        person: On whose word; kept.
        config: Settings.

    Raises:
        NobodyToErase: There is no such customer.
    """
    # what the provider told of the person's messages names them until it is worked through
    work_through_inbox()
    with warehouse.connect() as connection:
        _wait_for_others(connection)
        keys = _keys_of(connection, customer, dataset)
        found = connection.execute(
            "select erasure_id from ops.erased_customer where customer_key = any(%s) limit 1",
            (keys,),
        ).fetchone()
        is_new, namesakes = found is None, 0
        if found is None:
            erasure_id, namesakes = _erase_records(connection, keys, customer, person, config)
        else:
            erasure_id = int(found[0])
        known = connection.execute(
            "select (select array_agg(customer_key) from ops.erased_customer"
            "  where erasure_id = %(id)s), n_rows"
            " from ops.erasure where erasure_id = %(id)s",
            {"id": erasure_id},
        ).fetchone()
        assert known is not None
    # committed before a list is written anew from what is left
    keys, n_rows = known
    foreign = rid_lists_of(config.home / "lists", keys)
    with warehouse.connect() as connection:
        connection.execute(
            "update ops.erasure set files_done_at = coalesce(files_done_at, now())"
            " where erasure_id = %s",
            (erasure_id,),
        )
    log.info("erasure %s: %s rows", erasure_id, sum(n_rows.values()))
    return Erased(erasure_id, is_new, n_rows, namesakes, foreign)


def sweep_after_build(since: datetime) -> None:
    """Takes out of the models who was erased while they were being built.

    Args:
        since: When the build began.
    """
    with warehouse.connect() as connection:
        [(keys,)] = connection.execute(
            "select array_agg(customer_key) from ops.erased_customer"
            " inner join ops.erasure using (erasure_id)"
            # of a transaction that began earlier and ended later
            " where erased_at > %s::timestamptz - interval '1 hour'",
            (since,),
        ).fetchall()
        if keys:
            erased_records.erase_in_models(connection, keys)


def _wait_for_others(connection: psycopg.Connection) -> None:
    """Until no load, selection, snapshot or list is under way that may still write the person
    down."""
    for name in FEEDS:
        connection.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"winback extract {name}",)
        )
    campaigns = connection.execute("select campaign_id from ops.campaign order by 1").fetchall()
    for (name,) in [*campaigns, ("kpi",), (LISTS,)]:
        connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 1))", (name,))


def _keys_of(connection: psycopg.Connection, customer: str, dataset: str) -> list[str]:
    """Every key of the person, the one that was meant first."""
    known = [
        sql.SQL("select {} as customer_key from {}").format(
            sql.Identifier(column), sql.Identifier("raw", feed.name)
        )
        for feed in FEEDS.values()
        for column in customer_columns(feed)
    ] + [sql.SQL("select customer_key from ops.erased_customer")]
    row = connection.execute(
        sql.SQL(
            "select asked.customer_key, coalesce(person.members, array[asked.customer_key])"
            " from unnest(%s::text[]) as asked (customer_key)"
            " left join ops.person as person using (customer_key)"
            " where exists (select 1 from ({}) as known"
            "  where known.customer_key = asked.customer_key)"
        ).format(sql.SQL(" union all ").join(known)),
        ([customer, customer_key(dataset, customer)],),
    ).fetchone()
    if row is None:
        raise NobodyToErase(
            f"nobody is known as {customer!r}: write a customer_key of marts.dim_customers, or the"
            f" id that the sources of dataset {dataset!r} have"
        )
    first, members = row
    return [first, *sorted(set(members) - {first})]


def _erase_records(
    connection: psycopg.Connection,
    keys: Sequence[str],
    customer: str,
    person: str,
    config: Settings,
) -> tuple[int, int]:
    values: dict[str, Any] = {
        "keys": list(keys),
        "zone": config.business_timezone,
        "proof_years": config.consent_proof_years,
    }
    [(addresses,)] = connection.execute(erased_records.ADDRESSES, values).fetchall()
    [(namesakes,)] = connection.execute(
        "select count(*) from raw.customers where email_hash = any(%s)"
        " and not customer_key = any(%s)",
        (addresses, values["keys"]),
    ).fetchall()
    [(erasure_id,)] = connection.execute(
        "insert into ops.erasure (erased_by, n_rows) values (%s, '{}') returning erasure_id",
        (person,),
    ).fetchall()
    ids = dict(
        connection.execute(
            "select customer_key, source_customer_id from pii.customers"
            " where customer_key = any(%s)",
            (values["keys"],),
        ).fetchall()
    )
    if keys[0] != customer:
        ids[keys[0]] = customer
    for key in keys:
        hashes = [keyed_hash(name, ids[key]) for name in _NAMING] if ids.get(key) else []
        connection.execute(
            "insert into ops.erased_customer values (%s, %s, %s)", (key, erasure_id, hashes)
        )
    keep_counts_of(connection, values["keys"], config)
    done = erased_records.erase_records(connection, values | {"addresses": addresses})
    # what is left of the models may hold a quintile, a table of changes; the next build starts anew
    connection.execute("delete from ops.mart_build")
    connection.execute(
        "update ops.erasure set n_rows = %s where erasure_id = %s", (Json(done), erasure_id)
    )
    return int(erasure_id), int(namesakes)
