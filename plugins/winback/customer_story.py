"""All that the warehouse knows of one customer, for `./winback explain`; no names or addresses.

Only what is read; how it is printed is `explain_cli.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from winback.errors import WinbackError
from winback.privacy.keyed_hash import customer_key

N_NEWEST = 10

Row = dict[str, Any]
Rows = list[Row]


class UnknownCustomer(WinbackError):
    """Nobody is known by what was written."""


@dataclass(frozen=True)
class Story:
    """What happened with a customer, and what was made of it; lists begin with what matters most.

    Attributes:
        customer: The row of `dim_customers`.
        members: Every key that turned out to be this person, when there are several.
        purchases: The newest ten days with orders, each with the days since the one before.
        state: The row of `fct_customer_states`, None for who never bought.
        rhythm: What the gaps say about the next purchase, None for who never bought.
        changes: The newest ten changes of state.
        excuses: Stated reasons to be away, and from when until when they hold.
        losses: Reasons of every loss, the newest loss first, by rank.
        warning: The row of `fct_warnings`, if there is one.
        value: The row of `fct_customer_values`, if that was built.
        objection: The objection to advertising that stands: nothing is estimated about them then.
        economics: What a recovery costs and is worth, as each campaign judged it last.
        assignments, verdicts, messages: Of all campaigns, the newest first.
    """

    customer: Row
    members: list[str]
    purchases: Rows
    state: Row | None
    rhythm: Row | None
    changes: Rows
    excuses: Rows
    losses: Rows
    warning: Row | None
    value: Row | None
    objection: Row | None
    economics: Rows
    assignments: Rows
    verdicts: Rows
    messages: Rows


def find(connection: psycopg.Connection, name: str, dataset: str) -> str:
    """The key of the person that a key, or a customer's id at its source, stands for.

    Args:
        connection: As the sender.
        name: What somebody wrote.
        dataset: Whose ids the sources have.

    Raises:
        UnknownCustomer: There is none, or nothing was built yet.
    """
    if connection.execute("select to_regclass('marts.fct_warnings')").fetchone() == (None,):
        raise UnknownCustomer("the marts were not built yet: ./winback run winback_ingest does it")
    row = connection.execute(
        "with asked as (select unnest(%s::text[]) as customer_key)"
        " select customers.customer_key from asked"
        " left join ops.person as person using (customer_key)"
        " inner join marts.dim_customers as customers"
        " on customers.customer_key = coalesce(person.person_key, asked.customer_key)"
        " limit 1",
        ([name, customer_key(dataset, name)],),
    ).fetchone()
    if row is None:
        raise UnknownCustomer(
            f"nobody is known as {name!r}: write a customer_key of marts.dim_customers, or the id"
            f" that the sources of dataset {dataset!r} have"
        )
    return str(row[0])


_PURCHASES = """
select daily.purchase_date, rhythm.gap_days, daily.n_orders, daily.quantity, daily.amount_cents,
    (select min(orders.currency) from marts.fct_orders as orders
        where orders.customer_key = daily.customer_key) as currency
from intermediate.int_orders__daily as daily
inner join intermediate.int_purchases__rhythm as rhythm using (customer_key, purchase_date)
where daily.customer_key = %(key)s
order by daily.purchase_date desc
limit %(n)s
"""
_LOSSES = """
select losses.lost_on, losses.returned_on, losses.last_purchase_date, reasons.reason, reasons.rank,
    described.in_words_en, described.is_own_fault, reasons.is_stated, reasons.weight,
    reasons.evidence, fixed.fixed_on, fixed.fixed_what
from intermediate.int_losses__dated as losses
inner join intermediate.int_reasons__weighed as reasons using (customer_key, lost_on)
inner join intermediate.int_reasons__described as described using (reason)
left join intermediate.int_reasons__fixed as fixed using (customer_key, lost_on, reason)
where losses.customer_key = %(key)s
order by losses.lost_on desc, reasons.rank
"""
_ECONOMICS = """
with ranked as (
    select run.campaign_id, run.as_of, run.lift_from, economics.*, row_number() over (
        partition by run.campaign_id order by run.economics_run_id desc
    ) as position
    from ops.economics as economics
    inner join ops.economics_run as run using (economics_run_id)
    where economics.customer_key = any(%(members)s)
)

select * from ranked where position = 1 order by campaign_id
"""
_MESSAGES = """
select o.message_id, o.campaign_id, o.step, o.channel, o.state, o.reason, o.planned_at,
    o.accepted_at,
    (select string_agg(event.kind, ', ' order by event.occurred_at, event.event_id)
        from ops.event as event where event.message_id = o.message_id) as events
from ops.outreach as o
where o.customer_key = any(%(members)s)
order by o.planned_at desc, o.message_id
"""
_QUERIES = {
    "purchases": _PURCHASES,
    "state": "select * from marts.fct_customer_states where customer_key = %(key)s",
    "rhythm": "select * from intermediate.int_customers__rhythm where customer_key = %(key)s",
    "changes": "select * from marts.fct_customer_state_changes where customer_key = %(key)s"
    " order by valid_from desc limit %(n)s",
    "excuses": "select signal, from_date, until_date from intermediate.int_reasons__excusing"
    " where customer_key = %(key)s order by from_date desc",
    "losses": _LOSSES,
    "warning": "select * from marts.fct_warnings where customer_key = %(key)s",
    "economics": _ECONOMICS,
    "assignments": "select campaign_id, as_of, arm, reason, occasion, occasion_date"
    " from ops.assignment where customer_key = any(%(members)s) order by assigned_at desc",
    "verdicts": "select campaign_id, channel, step, is_eligible, reasons, decided_at"
    " from ops.verdict where customer_key = any(%(members)s)"
    " order by decided_at desc, verdict_id desc limit %(n)s",
    "messages": _MESSAGES,
}
_SINGLE = ("state", "rhythm", "warning")


def read(connection: psycopg.Connection, key: str) -> Story:
    """Reads the story of a person.

    Args:
        connection: As the sender.
        key: From `find`.
    """
    found = connection.execute(
        "select members from ops.person where person_key = %s limit 1", (key,)
    ).fetchone()
    members = list(found[0]) if found else [key]
    values = {"key": key, "members": members, "n": N_NEWEST}
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = {
            name: cursor.execute(query.encode(), values).fetchall()
            for name, query in _QUERIES.items()
        }
        [customer] = cursor.execute(
            "select * from marts.dim_customers where customer_key = %(key)s", values
        ).fetchall()
        value = _if_built(cursor, "marts.fct_customer_values", values)
        objection = _if_built(cursor, "intermediate.int_objections__standing", values)
    single = {name: next(iter(rows.pop(name)), None) for name in _SINGLE}
    return Story(
        customer=customer, members=members, value=value, objection=objection, **single, **rows  # type: ignore[arg-type]
    )  # fmt: skip


def _if_built(cursor: psycopg.Cursor[Row], table: str, values: Row) -> Row | None:
    cursor.execute("select to_regclass(%s) is not null as is_built", (table,))
    if not (cursor.fetchone() or {}).get("is_built"):
        return None
    query = sql.SQL("select * from {} where customer_key = %(key)s")
    cursor.execute(query.format(sql.Identifier(*table.split("."))), values)
    return cursor.fetchone()
