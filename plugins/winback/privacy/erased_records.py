"""The SQL of an erasure: what is kept apart first, and what becomes of every row of a person.

Text and its order only; who is erased, and when, is `erasure.py`. Which table is treated how is
declared in `personal_data.py`.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from winback.extract.feeds import FEEDS
from winback.extract.loading import erased_rows
from winback.extract.loading.raw_tables import pii_columns
from winback.privacy.personal_data import DELETED

# every address that the person was known or written to by
ADDRESSES = """
select coalesce(array_agg(distinct address_hash), '{}') from (
    select email_hash from raw.customers where customer_key = any(%(keys)s)
    union all
    select email_hash from raw.consents where customer_key = any(%(keys)s)
    union all
    select address_hash from ops.outreach where customer_key = any(%(keys)s)
    union all
    select address_hash from ops.opt_in_request where customer_key = any(%(keys)s)
) as known (address_hash)
where address_hash is not null
"""

# the sender, the pages and the step record lock messages in this order, too
_LOCK = """
select message_id from ops.outreach where customer_key = any(%(keys)s)
order by message_id for no key update
"""

# the same as in kpi/snapshot.py, to the day: every figure asks about a day's 00:00
_KEEP_OUTCOMES = """
update ops.assignment as a set
    erased_at = now(),
    recovered_at = (
        select date_trunc('day', min(p.ordered_at) at time zone %(zone)s) at time zone %(zone)s
        from raw.orders as p
        where p.customer_key = any(%(keys)s)
            and p.deleted_at is null
            and p.ordered_at > a.window_starts_at
            and p.ordered_at <= a.window_ends_at
    ),
    has_unsubscribed = exists (
        select 1 from ops.outreach as o
        inner join ops.suppression as s
            on s.message_id = o.message_id and s.reason = 'unsubscribe'
        where o.campaign_id = a.campaign_id and o.lapse_id = a.lapse_id and a.arm = 'treated'
    )
where a.customer_key = any(%(keys)s)
"""

_KEEP_PROOF = """
with used as (
    select evidence ->> 'consent' as consent_id, min(decided_at) as first_used_at,
        max(decided_at) as last_used_at, count(*) as n_uses
    from ops.verdict
    where customer_key = any(%(keys)s) and step = 'outreach' and is_eligible
        and evidence ? 'consent'
    group by 1
),

given as (
    select c.consent_id, coalesce(c.email_hash, customers.email_hash) as address_hash,
        greatest(c.granted_at, c.confirmed_at) as given_at,
        to_jsonb(c) - array['customer_key', 'email_hash', 'snapshot_id', 'deleted_at'] as proof
    from raw.consents as c
    left join raw.customers as customers using (customer_key)
    where c.customer_key = any(%(keys)s)
    union all
    select 'opt-in-' || r.request_id, r.address_hash, r.confirmed_at,
        to_jsonb(r) - array['customer_key', 'address_hash', 'provider_message_id']
    from ops.opt_in_request as r
    where r.customer_key = any(%(keys)s) and r.confirmed_at is not null
)

insert into pii.kept_proof (address_hash, proof, keep_until)
select
    given.address_hash,
    given.proof || jsonb_strip_nulls(jsonb_build_object(
        'first_used_at', used.first_used_at, 'last_used_at', used.last_used_at,
        'n_uses', used.n_uses
    )),
    (greatest(given.given_at, used.last_used_at) + make_interval(years => %(proof_years)s))::date
from given
left join used using (consent_id)
-- what the law's deadline has passed for already is not kept
where greatest(given.given_at, used.last_used_at) + make_interval(years => %(proof_years)s) > now()
"""

# Who asks to be erased does not ask for more mail. The source may know them under another number,
# which would bring the address back; only a new express consent lifts it.
_SUPPRESS = """
insert into ops.suppression (address_hash, customer_key, scope, reason)
select address_hash, customer_key, 'person', 'objection'
from unnest(%(addresses)s::text[]) as address_hash
cross join unnest(%(keys)s::text[]) as customer_key
on conflict do nothing
"""

_CANCEL = """
update ops.outreach set state = 'cancelled', reason = 'erased', settled_at = now(),
    fence = fence + 1
where customer_key = any(%(keys)s) and state in ('planned', 'claimed')
"""

# what hangs on the messages, before these lose the key by which they are found
_UNLINK_FIRST: dict[str, str] = {
    "ops.suppression": """
        update ops.suppression set message_id = null where message_id in (
            select message_id from ops.outreach where customer_key = any(%(keys)s))
    """,
    "ops.outreach_decision": """
        update ops.outreach_decision set reason = 'erased' where message_id in (
            select message_id from ops.outreach where customer_key = any(%(keys)s))
    """,
    "ops.event": """
        update ops.event set detail = null, opt_in_request_id = null
        where message_id in (
            select message_id from ops.outreach where customer_key = any(%(keys)s))
        or opt_in_request_id in (
            select request_id from ops.opt_in_request where customer_key = any(%(keys)s))
    """,
    "ops.gate_result": """
        update ops.gate_result set examples = '[]'
        where examples::text like any(
            select '%%' || customer_key || '%%' from unnest(%(keys)s::text[]) as customer_key)
    """,
    # a batch that could not be read is kept as it came
    "pii.webhook_inbox": """
        update pii.webhook_inbox as batch set body = null
        from (
            select email from pii.customers where customer_key = any(%(keys)s)
            union
            select given.email from pii.consents as given
            inner join raw.consents as c using (consent_id)
            where c.customer_key = any(%(keys)s)
        ) as person
        where btrim(person.email) <> ''
            -- as text whatever bytes it is made of
            and position(
                encode(convert_to(lower(btrim(person.email)), 'UTF8'), 'escape')
                in lower(encode(batch.body, 'escape'))
            ) > 0
    """,
}

# one random name for each lapse, so that nothing ties the campaigns of a person together
_RENAME = """
create temporary table renamed on commit drop as
select campaign_id, lapse_id, replace(gen_random_uuid()::text, '-', '') as random
from (
    select campaign_id, lapse_id from ops.assignment where customer_key = any(%(keys)s)
    union
    select campaign_id, lapse_id from ops.outreach where customer_key = any(%(keys)s)
) as lapses
"""
_UNLINK: dict[str, str] = {
    "ops.assignment": """
        update ops.assignment as a set customer_key = renamed.random, lapse_id = renamed.random,
            occasion_date = a.as_of
        from renamed
        where a.campaign_id = renamed.campaign_id and a.lapse_id = renamed.lapse_id
            and a.customer_key = any(%(keys)s)
    """,
    "ops.outreach": """
        update ops.outreach as o set customer_key = renamed.random, lapse_id = renamed.random,
            address_hash = renamed.random, provider_message_id = null,
            expected_profit_cents = null, is_lapse_open = false
        from renamed
        where o.campaign_id = renamed.campaign_id and o.lapse_id = renamed.lapse_id
            and o.customer_key = any(%(keys)s)
    """,
}

_NOTE_ORDERS = """
insert into pii.erased_order
select order_id from raw.orders
where customer_key in (select customer_key from ops.erased_customer)
on conflict do nothing
"""

_MODELS = """
select n.nspname, c.relname
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
inner join pg_attribute as a on a.attrelid = c.oid and a.attname = 'customer_key'
where c.relkind in ('r', 'p') and n.nspname ~ '^(staging|intermediate|marts)(_asof_\\d{8})?$'
order by 1, 2
"""

# Where a fifth of all customers ends is told by the last of them, and so what everybody scores.
# That row stays until the next build, with so little of the key that it is nobody's.
_BOUNDS = "int_quintiles__bounded"


def erase_records(connection: psycopg.Connection, values: dict[str, Any]) -> dict[str, int]:
    """Does all of it but the files, in the caller's transaction; the person is in
    `ops.erased_customer` already.

    Args:
        connection: As the owner.
        values: `keys`, `addresses`, `zone` and `proof_years`.

    Returns:
        How many rows of which table were deleted, unlinked or kept apart.
    """
    done: dict[str, int] = {}
    connection.execute(_LOCK, values)
    connection.execute(_KEEP_OUTCOMES, values)
    done["pii.kept_proof"] = connection.execute(_KEEP_PROOF, values).rowcount
    connection.execute(_CANCEL, values)
    for table, statement in _UNLINK_FIRST.items():
        done[table] = connection.execute(statement.encode(), values).rowcount
    connection.execute(_SUPPRESS, values)
    connection.execute(_RENAME, values)
    for table, statement in _UNLINK.items():
        done[table] = connection.execute(statement.encode(), values).rowcount
    for table, columns in DELETED.items():
        delete = sql.SQL("delete from {} where {}").format(
            sql.Identifier(*table.split(".")),
            sql.SQL(" or ").join(
                sql.SQL("{} = any(%(keys)s)").format(sql.Identifier(name)) for name in columns
            ),
        )
        done[table] = connection.execute(delete, values).rowcount
    done |= _erase_feeds(connection)
    done |= erase_in_models(connection, values["keys"])
    return {table: n for table, n in done.items() if n}


def erase_in_models(connection: psycopg.Connection, keys: list[str]) -> dict[str, int]:
    """Takes somebody's rows out of all that dbt built; how many of which table."""
    done = {}
    for schema, table in connection.execute(_MODELS).fetchall():
        how = (
            "update {} set customer_key = left(customer_key, 4)"
            if table == _BOUNDS
            else "delete from {}"
        )
        statement = sql.SQL(f"{how} where customer_key = any(%s)").format(
            sql.Identifier(schema, table)
        )
        done[f"{schema}.{table}"] = connection.execute(statement, (keys,)).rowcount
    return done


def _erase_feeds(connection: psycopg.Connection) -> dict[str, int]:
    """Of everybody in `ops.erased_customer`."""
    done = {}
    connection.execute(_NOTE_ORDERS)
    quarantine = sql.Identifier("quarantine", "rejected_row")
    done["quarantine.rejected_row"] = 0
    # lines, which go by the noted orders, before the orders take them along uncounted
    for feed in sorted(FEEDS.values(), key=erased_rows.is_of_orders, reverse=True):
        if not erased_rows.is_about_people(feed):
            continue
        pii = sql.Identifier("pii", feed.name) if pii_columns(feed) else None
        [(n_rows,)] = connection.execute(
            erased_rows.delete_rows(feed, sql.Identifier("raw", feed.name), pii)
        ).fetchall()
        done[f"raw.{feed.name}"] = n_rows
        which = sql.SQL("feed = {}").format(sql.Literal(feed.name))
        statement = erased_rows.delete_rejected(feed, quarantine, which)
        [(n_rejected,)] = connection.execute(statement).fetchall()
        done["quarantine.rejected_row"] += n_rejected
    return done
