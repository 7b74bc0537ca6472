"""Reads the purchases of the warehouse as arrays, for the models that are fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.model.return_features import SalesHistory
from winback.model.rhythm import Floats, Purchases
from winback.warehouse import connection as warehouse

EPOCH = date(1970, 1, 1)
EVERYBODY = sql.SQL("")

_PURCHASES = sql.SQL("""
select
    customer_key,
    purchase_date - date '1970-01-01' as day,
    cast(quantity as double precision) as quantity,
    cast(amount_cents as double precision) as amount_cents
from (select * from {daily} {sampled}) as drawn
where not exists (
    select from {objections} as objections where objections.customer_key = drawn.customer_key
)
order by customer_key collate "C", purchase_date
""")
_COSTS = sql.SQL("""
select
    coalesce(merged.person_key, orders.customer_key) as customer_key,
    cast(sum(orders.amount_cents) as double precision) as turnover_cents,
    cast(sum(orders.cost_cents) as double precision) as cost_cents
from {orders} as orders
left join {merged} as merged on orders.customer_key = merged.customer_key
where orders.cost_cents is not null
group by coalesce(merged.person_key, orders.customer_key)
""")


@dataclass(frozen=True)
class Costs:
    """What the goods of each customer cost; NaN where nothing is known.

    Attributes:
        turnover: Of the orders whose cost is known, in minor units.
        cost: Of the same orders.
    """

    turnover: Floats
    cost: Floats


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def sampling(suffix: str, most_customers: int) -> sql.Composable:
    """The condition that draws customers by key, always the same; empty when there are few.

    Args:
        suffix: Of the schemas in which they stand.
        most_customers: Hardly more are drawn.
    """
    count = sql.SQL("select count(distinct customer_key) from {}").format(_daily(suffix))
    with dbapi.connect(warehouse.url()) as connection, connection.cursor() as cursor:
        cursor.execute(count.as_string())
        every = -(-int(cursor.fetchone()[0]) // most_customers)
    if every <= 1:
        return EVERYBODY
    # keys are hexadecimal digits of a hash: any of them are as good as drawn
    return sql.SQL(
        "where mod(cast(cast('x' || substr(customer_key, 1, 7) as bit(28)) as int), {}) = 0"
    ).format(sql.Literal(every))


def read_history(suffix: str, sampled: sql.Composable = EVERYBODY) -> tuple[pa.Array, SalesHistory]:
    """The purchase days of customers; of nobody who objected to advertising.

    Args:
        suffix: Of the schemas in which they stand.
        sampled: The condition that draws them, from `sampling`; else all.

    Returns:
        The customers' keys by number, and the history.
    """
    query = _PURCHASES.format(
        daily=_daily(suffix),
        sampled=sampled,
        objections=sql.Identifier(f"intermediate{suffix}", "int_objections__standing"),
    )
    with dbapi.connect(warehouse.url()) as connection, connection.cursor() as cursor:
        cursor.execute(query.as_string())
        read = cursor.fetch_arrow_table().combine_chunks()
    encoded = _one(read.column("customer_key")).dictionary_encode()
    purchases = Purchases(
        customer=np.asarray(encoded.indices, np.int64),
        day=np.asarray(read.column("day"), np.int64),
        quantity=np.asarray(read.column("quantity"), float),
    )
    return encoded.dictionary, SalesHistory(purchases, np.asarray(read.column("amount_cents")))


def read_costs(suffix: str, keys: pa.Array) -> Costs:
    """What the goods cost, customer by customer.

    Args:
        suffix: Of the schemas in which the orders stand.
        keys: The customers, as `read_history` gives them.
    """
    query = _COSTS.format(
        orders=sql.Identifier(f"staging{suffix}", "stg_orders"),
        merged=sql.Identifier(f"intermediate{suffix}", "int_customers__merged"),
    )
    with dbapi.connect(warehouse.url()) as connection, connection.cursor() as cursor:
        cursor.execute(query.as_string())
        read = cursor.fetch_arrow_table().combine_chunks()
    places = pc.index_in(keys, _one(read.column("customer_key")))
    turnover, cost = (
        np.asarray(_one(read.column(name)).take(places).to_numpy(zero_copy_only=False), float)
        for name in ("turnover_cents", "cost_cents")
    )
    return Costs(np.nan_to_num(turnover), cost)


def _daily(suffix: str) -> sql.Identifier:
    return sql.Identifier(f"intermediate{suffix}", "int_orders__daily")


def _one(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined
