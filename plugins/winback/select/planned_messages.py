"""The messages that follow from a draw: rows of `ops.outreach`, state `planned`.

They are written by a connection of their own, while that of the selection writes who was drawn:
two processes of the server share what takes longest. Who is drawn is `selection.py`; what becomes
of a message is `outreach/ledger.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import psycopg

# who is a candidate by a newer purchase has come back from the older lapse
_OLDER_LAPSES = """
create temporary table older on commit drop as
select o.message_id from ops.outreach as o inner join judged using (customer_key)
where o.campaign_id = %(campaign)s and o.lapse_id <> judged.lapse_id
    and judged.occasion_date >= o.as_of and o.is_lapse_open
"""
CLOSE_LAPSES = """
update ops.outreach set is_lapse_open = false
where message_id = any(array(
    select message_id from ops.outreach where message_id = any(%(ids)s::uuid[])
    -- as everybody locks: workers and the step record change the same rows
    order by message_id for no key update
))
"""

# What is planned already is looked up beforehand: an insert that finds its own conflicts takes a
# third longer. Whoever was drawn by a run that ended before its messages stood is planned as well.
_WHOM = """
with earlier as materialized (
    select lapse_id, address_hash,
        is_lapse_open and not is_cancelled and older.message_id is null as is_open
    from ops.outreach
    left join older using (message_id)
    where campaign_id = %(campaign)s and step = %(step)s and channel = %(channel)s
        and resend_of is null
),

treated as materialized (
    select lapse_id from ops.assignment
    where campaign_id = %(campaign)s and arm = 'treated' and window_ends_at > %(known_until)s
)

select judged.lapse_id, customer_key, judged.address_hash, judged.profit_cents::numeric,
    ntile(20) over (
        order by judged.profit_cents desc nulls last, judged.is_must_win desc, judged.lapse_id
    ) as twentieth,
    reached.address_hash is null as is_dormant,
    concat_ws(
        ' ', lower(left(judged.locale, 2)), case when person.first_name <> '' then 'named' end,
        judged.ground
    ) as likely_shape
from judged
left join drawn using (customer_key)
left join treated on treated.lapse_id = judged.lapse_id
left join reached on reached.address_hash = judged.address_hash
left join pii.customers as person using (customer_key)
where judged.is_eligible
    and (drawn.arm = 'treated' or drawn.arm is null and treated.lapse_id is not null)
    and not exists (select 1 from earlier where earlier.lapse_id = judged.lapse_id)
    and not exists (
        select 1 from earlier
        where earlier.is_open and earlier.address_hash = judged.address_hash
    )
"""
_TO_PLAN = """
create temporary table to_plan (
    lapse_id text, customer_key text, address_hash text, profit_cents numeric, twentieth int,
    is_dormant boolean, likely_shape text
) on commit drop
"""
# Messages are claimed in the order in which they are planned: by twentieths of what is expected,
# and within each by the key, so that what lies together is looked up together.
_PLAN = """
-- A UUID of version 7, random once and counted on from there, as RFC 9562 allows for many ids of
-- one moment: servers before 18 make none, and one without OpenSSL opens /dev/urandom for each.
with one as (
    select
        lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') as moment,
        gen_random_uuid()::text as random
),

first as (
    select
        left(moment, 8) || '-' || right(moment, 4) || '-7' || substr(random, 16, 9) as beginning,
        ('x' || right(random, 12))::bit(48)::bigint as number
    from one
),

placed as (
    select *, row_number() over (order by twentieth, customer_key) as place from to_plan
)

insert into ops.outreach
    (message_id, campaign_id, lapse_id, step, channel, customer_key, address_hash, snapshot_id,
     as_of, template, expected_profit_cents, is_dormant, likely_shape)
select
    (
        first.beginning || lpad(to_hex((first.number + place) %% (1::bigint << 48)), 12, '0')
    )::uuid,
    %(campaign)s, lapse_id, %(step)s, %(channel)s, customer_key, address_hash, %(snapshot)s,
    %(as_of)s, %(template)s, profit_cents, is_dormant, likely_shape
from placed
cross join first
order by twentieth, customer_key
"""
_ROWS_AT_ONCE = 2000
LONGEST_WAIT = "60s"


def hand_over(
    selecting: psycopg.Connection, planning: psycopg.Connection, values: dict[str, Any]
) -> None:
    """Tells the connection that will plan whom to plan for, and which lapses are over.

    Args:
        selecting: In the transaction of the selection, with its temporary tables.
        planning: As the sender, in a transaction that commits after that of the selection.
        values: Parameters of the selection's statements.

    Raises:
        psycopg.errors.LockNotAvailable: Somebody holds a message for a minute; nothing is changed.
    """
    selecting.execute(_OLDER_LAPSES, values)
    older = selecting.execute("select message_id from older").fetchall()
    # Whoever is in the way may wait for the campaign, which the selection may have stopped: the
    # server sees no deadlock where one connection waits for another in this process.
    planning.execute("select set_config('lock_timeout', %s, true)", (LONGEST_WAIT,))
    planning.execute(CLOSE_LAPSES, {"ids": [message_id for (message_id,) in older]})
    planning.execute(_TO_PLAN)
    with (
        selecting.cursor() as reader,
        planning.cursor() as writer,
        reader.copy(f"copy ({_WHOM}) to stdout (format binary)", values) as rows,
        writer.copy("copy to_plan from stdin (format binary)") as kept,
    ):
        each: Iterator[Any] = iter(rows)
        while some := b"".join(islice(each, _ROWS_AT_ONCE)):
            kept.write(some)


def plan(planning: psycopg.Connection, values: dict[str, Any]) -> int:
    """Writes the messages of `hand_over`; returns how many."""
    return planning.execute(_PLAN, values).rowcount
