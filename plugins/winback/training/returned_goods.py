"""Reads what was paid back as arrays, so that the value models count what customers kept.

Which purchase a return counts on is said by `model/refunds.py`; purchases are read by
`sales_history.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.model import refunds
from winback.model.return_features import SalesHistory
from winback.warehouse import connection as warehouse

# an order of somebody else is none that the return could be about
_RETURNS = sql.SQL("""
with returns as (
    select
        coalesce(merged.person_key, returns.customer_key) as customer_key,
        returns.order_id,
        returns.returned_on,
        returns.amount_cents
    from {staging}.stg_returns as returns
    left join {intermediate}.int_customers__merged as merged
        on returns.customer_key = merged.customer_key
    where returns.amount_cents > 0
),

orders as (
    select
        coalesce(merged.person_key, bought.customer_key) as customer_key,
        bought.order_id,
        bought.ordered_on
    from {staging}.stg_orders as bought
    left join {intermediate}.int_customers__merged as merged
        on bought.customer_key = merged.customer_key
    where bought.order_id in (select returns.order_id from returns)
)

select
    returns.customer_key,
    returns.returned_on - date '1970-01-01' as day,
    coalesce(orders.ordered_on, returns.returned_on) - date '1970-01-01' as bought_on,
    cast(sum(returns.amount_cents) as double precision) as amount_cents
from returns
left join orders
    on returns.order_id = orders.order_id and returns.customer_key = orders.customer_key
group by 1, 2, 3
order by 1, 2, 3
""")


def with_refunds(history: SalesHistory, keys: pa.Array, suffix: str) -> SalesHistory:
    """The history with what was paid back; unchanged where nothing was.

    Args:
        history: The purchases.
        keys: The customers' keys by number, ascending.
        suffix: Of the schemas in which the returns stand: those known on the date they are of.
    """
    query = _RETURNS.format(
        staging=sql.Identifier(f"staging{suffix}"),
        intermediate=sql.Identifier(f"intermediate{suffix}"),
    )
    with dbapi.connect(warehouse.url()) as connection, connection.cursor() as cursor:
        cursor.execute(query.as_string())
        read = cursor.fetch_arrow_table()
    customer = pc.index_in(read.column("customer_key"), keys)
    # who was not drawn, or never bought
    is_known = pc.is_valid(customer)
    read, customer = read.filter(is_known), customer.filter(is_known)
    if not len(read):
        return history
    found = refunds.of_purchases(
        history.purchases,
        np.asarray(customer, np.int64),
        np.asarray(read.column("day"), np.int64),
        np.asarray(read.column("bought_on"), np.int64),
        np.asarray(read.column("amount_cents"), float),
    )
    return replace(history, refunds=found)
