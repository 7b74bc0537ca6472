"""The world `stockpilers`: people buy again when what they bought is used up.

Consumption is a gamma process, so that six packs last like six times one pack and are, in relation,
more predictable. Large quantities are rare and followed by a silence as long as the stock.
"""

from __future__ import annotations

import numpy as np

from tests.worlds import purchases
from tests.worlds.truth import END, NEVER, ONE_TIME_DAYS, Customer, World, fate_of, instant

NAME = "stockpilers"
N_CUSTOMERS = 5000
MEDIAN_GAP, SIGMA_GAP, SHORTEST, LONGEST = 35.0, 0.45, 14.0, 80.0
SHAPES = (4.0, 10.0)
MEAN_LIFE = 700.0
ONE_TIME_SHARE = 0.10
# of a customer's purchases; and how many usual quantities
STOCK_SHARES, STOCK_SIZES = (0.05, 0.10), (3, 8)
# silence beyond which a customer without a stock would be called lapsed, in own mean gaps
SILENT_GAPS = 2.0


def make(seed: int) -> World:
    """Draws the world."""
    rng = purchases.generator(NAME, seed)
    customers = [_customer(rng, f"s{n:05}") for n in range(N_CUSTOMERS)]
    tables = {
        "customers": purchases.customers_feed(customers),
        "orders": purchases.orders_feed(customers),
        "products": [{"product_id": "coffee", "name": "Coffee", "listed_at": "2020-01-01"}],
        "order_lines": [
            {
                "order_id": purchases.order_id(customer, n),
                "line_number": 1,
                "product_id": "coffee",
                "quantity": int(customer.quantities[n]),
                "amount_cents": int(customer.amounts[n]),
                "currency": "EUR",
                "ordered_at": instant(day),
            }
            for customer in customers
            for n, day in enumerate(customer.purchases)
        ],
    }
    return World(NAME, seed, customers, tables)


def _customer(rng: np.random.Generator, customer_id: str) -> Customer:
    joined = purchases.joining_day(rng)
    mean = purchases.truncated_lognormal(rng, MEDIAN_GAP, SIGMA_GAP, SHORTEST, LONGEST)
    shape = float(rng.uniform(*SHAPES))
    usual = int(rng.integers(2, 9))
    is_one_time = rng.random() < ONE_TIME_SHARE
    left = joined if is_one_time else joined + float(rng.exponential(MEAN_LIFE))

    n_drawn = int(2.5 * (END - joined) / mean) + 10
    quantities = np.maximum(1, usual + rng.integers(-1, 2, n_drawn))
    is_stock = rng.random(n_drawn) < rng.uniform(*STOCK_SHARES)
    stock = usual * rng.integers(STOCK_SIZES[0], STOCK_SIZES[1] + 1, n_drawn)
    quantities = np.where(is_stock, stock, quantities).astype(np.int64)
    sizes = quantities / usual
    gaps = rng.gamma(shape * sizes, mean / shape)
    days = joined + np.concatenate([[0.0], np.cumsum(gaps)[:-1]])
    bought, following = purchases.split(days, left)

    n = len(bought)
    used_up = float(bought[-1] + sizes[n - 1] * mean)
    lost_from = max(left, used_up - mean) + 3 * mean
    if n == 1:
        lost_from = max(lost_from, float(bought[0]) + ONE_TIME_DAYS)
    fate = fate_of(left, lost_from)
    has_stock = fate == "alive" and bool(is_stock[n - 1])
    is_silent = -bought[-1] > SILENT_GAPS * mean
    if has_stock and n < 3:
        # what is usual for them nobody can know yet
        fate, has_stock = "undecided", False
    return Customer(
        customer_id,
        "one_time" if is_one_time else "stockpiler",
        fate,
        left if left < END else NEVER,
        mean,
        shape,
        bought,
        following,
        sizes=sizes[:n],
        silent_because="stocked_up" if has_stock and is_silent else None,
        labels=frozenset({"stocked_up"} if has_stock else ()),
        quantities=quantities[:n],
        amounts=purchases.amounts_of(rng, quantities[:n]),
    )
