"""The world `regular_shop`: everybody has a rhythm of their own, until they leave.

Baskets vary, and now and then one is large, without moving the next purchase: who takes a present
for a stock is wrong here.
"""

from __future__ import annotations

import numpy as np

from tests.worlds import purchases
from tests.worlds.truth import END, NEVER, ONE_TIME_DAYS, Customer, World, fate_of

NAME = "regular_shop"
N_CUSTOMERS = 5000
MEDIAN_GAP, SIGMA_GAP, SHORTEST, LONGEST = 38.0, 0.8, 10.0, 120.0
SHAPES = (1.5, 4.0)
MEAN_LIFE = 500.0
ONE_TIME_SHARE = 0.15


def make(seed: int) -> World:
    """Draws the world."""
    rng = purchases.generator(NAME, seed)
    customers = [_customer(rng, f"r{n:05}") for n in range(N_CUSTOMERS)]
    tables = {
        "customers": purchases.customers_feed(customers),
        "orders": purchases.orders_feed(customers),
    }
    return World(NAME, seed, customers, tables)


def _customer(rng: np.random.Generator, customer_id: str) -> Customer:
    joined = purchases.joining_day(rng)
    mean = purchases.truncated_lognormal(rng, MEDIAN_GAP, SIGMA_GAP, SHORTEST, LONGEST)
    shape = float(rng.uniform(*SHAPES))
    is_one_time = rng.random() < ONE_TIME_SHARE
    left = joined if is_one_time else joined + float(rng.exponential(MEAN_LIFE))
    bought, following = purchases.split(purchases.gamma_gaps(rng, joined, mean, shape), left)
    lost_from = left + 3 * mean
    if len(bought) == 1:
        lost_from = max(lost_from, float(bought[0]) + ONE_TIME_DAYS)
    quantities, amounts = purchases.baskets(rng, len(bought), int(rng.integers(1, 5)))
    return Customer(
        customer_id,
        "one_time" if is_one_time else "regular",
        fate_of(left, lost_from),
        left if left < END else NEVER,
        mean,
        shape,
        bought,
        following,
        sizes=np.ones(len(bought)),
        quantities=quantities,
        amounts=amounts,
    )
