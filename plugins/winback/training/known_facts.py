"""Reads what is known of customers beside their purchases as arrays, for the return models.

What the rows are is said by `int_experiences__dated` and `int_baskets__described`; purchases are
read by `sales_history.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_postgresql import dbapi
from psycopg import sql

from winback.model import basket_features, experience_features
from winback.model.basket_features import Baskets
from winback.model.experience_features import KINDS, NEVER, Experiences
from winback.model.return_features import SalesHistory
from winback.warehouse import connection as warehouse

# as good as never, and a number of 32 bits
NOT_ENDED = np.iinfo(np.int32).max

_EXPERIENCES = sql.SQL("""
select
    customer_key,
    kind,
    happened_on - date '1970-01-01' as day,
    over_on - date '1970-01-01' as over,
    cast(coalesce(amount_cents, 0) as double precision) as amount
from {schema}.int_experiences__dated
{sampled}
""")
_BASKETS = sql.SQL("""
select
    customer_key,
    purchase_date - date '1970-01-01' as day,
    cast(n_products as real) as n_products,
    cast(n_new_products as real) as n_new_products,
    cast(times_favourite as real) as times_favourite,
    favourite_discontinued_on - date '1970-01-01' as favourite_ended,
    cast(n_new_categories as real) as n_new_categories,
    cast(times_favourite_category as real) as times_favourite_category,
    cast(log_quantity_ratio as real) as log_quantity_ratio,
    cast(n_compared as real) as n_compared,
    cast(n_cheaper as real) as n_cheaper,
    cast(n_dearer as real) as n_dearer
from {schema}.int_baskets__described
{sampled}
order by customer_key collate "C", purchase_date
""")


def with_facts(
    history: SalesHistory,
    keys: pa.Array,
    suffix: str,
    sampled: sql.Composable,
    needed: Collection[str] | None = None,
) -> SalesHistory:
    """The history with what is known beside dates and amounts, as far as any feed tells it.

    Args:
        history: The purchases.
        keys: The customers' keys by number, ascending.
        suffix: Of the schemas in which the facts stand.
        sampled: The condition by which the customers were drawn, from `sales_history.sampling`.
        needed: Only what these features need; all when left out.
    """
    experiences = baskets = None
    with dbapi.connect(warehouse.url()) as connection, connection.cursor() as cursor:
        schema = sql.Identifier(f"intermediate{suffix}")
        if needed is None or not set(experience_features.NAMES).isdisjoint(needed):
            cursor.execute(_EXPERIENCES.format(schema=schema, sampled=sampled).as_string())
            experiences = _experiences(cursor.fetch_arrow_table(), keys)
        if needed is None or not set(basket_features.NAMES).isdisjoint(needed):
            cursor.execute(_BASKETS.format(schema=schema, sampled=sampled).as_string())
            baskets = _baskets(cursor.fetch_arrow_table(), keys)
    if needed is None:
        # a feed that tells nothing switches its features off
        experiences = experiences if experiences and len(experiences.day) else None
        baskets = baskets if baskets and len(baskets.day) else None
    return replace(history, experiences=experiences, baskets=baskets)


def _experiences(read: pa.Table, keys: pa.Array) -> Experiences:
    read, customer = _of_buyers(read, keys)
    kind = pc.index_in(read.column("kind"), pa.array(KINDS))
    return Experiences(
        customer,
        np.asarray(kind, np.int8),
        np.asarray(read.column("day"), np.int64),
        np.asarray(pc.fill_null(pc.cast(read.column("over"), pa.int64()), NEVER)),
        np.asarray(read.column("amount"), float),
    )


def _baskets(read: pa.Table, keys: pa.Array) -> Baskets:
    read, customer = _of_buyers(read, keys)
    ended = pc.fill_null(read.column("favourite_ended"), NOT_ENDED)
    read = read.set_column(read.schema.get_field_index("favourite_ended"), "favourite_ended", ended)
    return Baskets(customer, *(np.asarray(column) for column in read.drop("customer_key").columns))


def _of_buyers(read: pa.Table, keys: pa.Array) -> tuple[pa.Table, np.ndarray]:
    """The rows of customers who ever bought, and the number of each."""
    number = pc.index_in(read.column("customer_key"), keys)
    is_buyer = pc.is_valid(number)
    return read.filter(is_buyer), np.asarray(number.drop_null(), np.int64)
