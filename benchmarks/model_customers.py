"""Customers made up as the value models assume: each with a rate and a drop-out probability.

The tests of the models use them as well, because here the truth about each customer is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class World:
    """A population of the BG/NBD model, in days.

    The default is that of CDNOW (Fader, Hardie and Lee 2005, weeks turned into days) with customers
    won evenly over two years.
    """

    r: float = 0.243
    alpha: float = 4.414 * 7
    a: float = 0.793
    b: float = 2.426
    oldest_days: int = 730


@dataclass(frozen=True)
class MadeUpCustomers:
    """What is seen of customers, and what is not.

    Attributes:
        frequency: Repeat purchases.
        recency: Days from the first to the last purchase.
        age: Days from the first purchase to now.
        rate: Purchases per day while active.
        drop_out: Probability of dropping out after a purchase.
        is_alive: Whether still active.
    """

    frequency: NDArray[np.int64]
    recency: NDArray[np.float64]
    age: NDArray[np.int64]
    rate: NDArray[np.float64]
    drop_out: NDArray[np.float64]
    is_alive: NDArray[np.bool_]


def make_up(
    n_customers: int, world: World, seed: int, *, whole_days: bool = False
) -> MadeUpCustomers:
    """Draws customers and their purchases.

    Args:
        n_customers: How many.
        world: Where they come from.
        seed: Equal seeds make equal customers.
        whole_days: As a shop's data have it: purchases of one day count as one, and those of the
            first day not at all.
    """
    draw = np.random.default_rng(seed)
    age = draw.integers(1, world.oldest_days + 1, n_customers)
    rate = np.maximum(draw.gamma(world.r, 1 / world.alpha, n_customers), 1e-300)
    drop_out = draw.beta(world.a, world.b, n_customers)
    frequency = np.zeros(n_customers, np.int64)
    recency = np.zeros(n_customers)
    is_alive = np.ones(n_customers, bool)
    # a purchase of everybody who still buys, then the next
    who, time = np.arange(n_customers), np.zeros(n_customers)
    while len(who):
        time = time + draw.exponential(1.0, len(who)) / rate[who]
        is_known = time < age[who]
        who, time = who[is_known], time[is_known]
        seen = np.floor(time) if whole_days else time
        is_counted = seen > recency[who]
        frequency[who] += is_counted
        recency[who[is_counted]] = seen[is_counted]
        stays = draw.random(len(who)) >= drop_out[who]
        is_alive[who[~stays]] = False
        who, time = who[stays], time[stays]
    return MadeUpCustomers(frequency, recency, age, rate, drop_out, is_alive)
