"""Finds customers who are one person, and keeps the story of every merge.

Two customer numbers are one person when their e-mail addresses are the same, apart from case,
blanks and how accents are written (and from a `+part`, where the setting says so), and their names
do not speak against it: a couple that shares an address stays two people. The earliest registered
number stands for the person. Raw rows are never rewritten: the models look up who somebody is, so a
merge can be taken back.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date

import psycopg

from winback.errors import WinbackError
from winback.settings import settings
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

_MERGE = r"""
with known as (
    select
        customers.customer_key,
        customers.email_hash,
        customers.registered_at,
        case
            when %(without_plus_part)s
                then regexp_replace(lower(btrim(person.email)), '\+[^@]*@', '@')
            -- however it is written
            else customers.email_hash
        end as address,
        nullif(
            lower(regexp_replace(
                btrim(concat_ws(' ', person.first_name, person.last_name)), '\s+', ' ', 'g'
            )),
            ''
        ) as name,
        exists (
            select 1 from ops.customer_merge as earlier
            where earlier.winner_key = customers.customer_key and earlier.unmerged_at is null
        ) as is_winner
    from raw.customers as customers
    inner join pii.customers as person using (customer_key)
    where person.email is not null
        and customers.deleted_at is null
        and customers.registered_at < %(known_until)s
        -- who was merged stays so, and who was taken out again is never put back by a program
        and not exists (
            select 1 from ops.customer_merge as earlier
            where earlier.customer_key = customers.customer_key
        )
),

counted as (
    select address from known
    group by address
    having count(*) > 1
),

named as (
    select known.*, names.n > 1 as has_several_names
    from known
    inner join (
        select address, count(distinct name) as n from known
        inner join counted using (address)
        group by address
    ) as names using (address)
),

ranked as (
    select *, first_value(customer_key) over each_person as winner_key,
        first_value(email_hash) over each_person as winner_email_hash
    from named
    window each_person as (
        -- without a name nobody can tell which of several people it is
        partition by address, case when has_several_names then coalesce(name, customer_key) end
        order by is_winner desc, registered_at, customer_key
    )
)

insert into ops.customer_merge (customer_key, winner_key, evidence, email_hash, merged_as_of)
select
    customer_key,
    winner_key,
    case when email_hash = winner_email_hash then 'email' else 'email_without_plus_part' end,
    email_hash,
    %(as_of)s
from ranked
where customer_key <> winner_key and not is_winner
"""


@dataclass(frozen=True)
class Merge:
    """A customer who turned out to be another one.

    Attributes:
        customer_key: The customer.
        winner_key: Who stands for the person.
        evidence: What was the same.
        merged_as_of: From when on it holds.
        taken_back: When, by whom and why it was taken back; empty while it holds.
    """

    customer_key: str
    winner_key: str
    evidence: str
    merged_as_of: date
    taken_back: str


def merge_customers(connection: psycopg.Connection, as_of: date) -> int:
    """Merges customers who turned out to be one person.

    Args:
        connection: Of the loader.
        as_of: The date from which on the merge holds; customers who are not known then stay apart.

    Returns:
        How many customers were merged into another one.
    """
    config = settings()
    merged = connection.execute(
        _MERGE,
        {
            "as_of": as_of,
            "known_until": config.as_of_at(as_of),
            "without_plus_part": config.merge_plus_addresses,
        },
    ).rowcount
    if merged:
        log.info(
            "%s customers turned out to be another one: see ./winback customers merged", merged
        )
    return merged


def unmerge(customer_key: str, reason: str, person: str) -> str:
    """Takes a merge back, for good: no later load merges this customer again.

    Args:
        customer_key: The customer who was merged into another one.
        reason: Why; kept.
        person: Who says so; kept.

    Returns:
        The key of the customer that it was merged into.

    Raises:
        WinbackError: There is nothing to take back, or no reason.
    """
    if not reason.strip():
        raise WinbackError('say why: ./winback customers unmerge KEY --reason "…"')
    with warehouse.connect("loader") as connection:
        row = connection.execute(
            "update ops.customer_merge set unmerged_at = now(), unmerged_as_of = %s,"
            " unmerged_by = %s, unmerged_because = %s"
            " where customer_key = %s and unmerged_at is null returning winner_key",
            (settings().today(), person, reason.strip(), customer_key),
        ).fetchone()
    if row is None:
        raise WinbackError(
            f"no customer {customer_key!r} is merged into another one: ./winback customers merged"
            " lists those who are"
        )
    return str(row[0])


def newest_merges(limit: int) -> list[Merge]:
    """The newest merges, those taken back included."""
    with warehouse.connect("loader") as connection:
        rows = connection.execute(
            "select customer_key, winner_key, evidence, merged_as_of,"
            " coalesce(unmerged_as_of || ' by ' || unmerged_by || ': ' || unmerged_because, '')"
            " from ops.customer_merge order by merge_id desc limit %s",
            (limit,),
        ).fetchall()
    return [Merge(*row) for row in rows]
