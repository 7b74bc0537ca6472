"""The purchase processes that worlds are made of: drawn gaps, joining, leaving, baskets, feeds.

A process draws from a generator of numpy and knows nothing about how anybody will read its traces.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tests.worlds.truth import BEGIN, END, Customer, Days, Rows, instant


def generator(name: str, seed: int) -> np.random.Generator:
    """The source of chance of one world."""
    return np.random.default_rng([seed, *name.encode()])


def joining_day(rng: np.random.Generator) -> float:
    """The day of a first purchase: of a third at the beginning, of others until a month ago.

    Nobody bought before the beginning, so that every history is known whole.
    """
    if rng.random() < 1 / 3:
        return float(BEGIN + rng.uniform(0, 60))
    return float(rng.uniform(BEGIN + 60, -30))


def truncated_lognormal(
    rng: np.random.Generator, median: float, sigma: float, low: float, high: float
) -> float:
    """A lognormal number within bounds."""
    while not low <= (drawn := float(rng.lognormal(np.log(median), sigma))) <= high:
        pass
    return drawn


def gamma_gaps(rng: np.random.Generator, start: float, mean: float, shape: float) -> Days:
    """The days of a renewal process from a first purchase on until the future's end."""
    n_expected = (END - start) / mean
    n_drawn = int(n_expected + 8 * np.sqrt(n_expected) + 10)
    gaps = rng.gamma(shape, mean / shape, n_drawn)
    days = start + np.concatenate([[0.0], np.cumsum(gaps)])
    return days[days < END]


def split(days: Days, left: float) -> tuple[Days, float | None]:
    """The purchases before the as-of date and the first one after, of who leaves on a day."""
    stayed = days[days <= left]
    future = stayed[stayed >= 0]
    return stayed[stayed < 0], float(future[0]) if len(future) else None


def baskets(
    rng: np.random.Generator, n: int, usual_quantity: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Quantities and amounts in cents of baskets whose size says nothing about the next one.

    One in twenty is a present or a party, three to eight times as large.
    """
    quantities = np.maximum(1, usual_quantity + rng.integers(-1, 2, n))
    is_large = rng.random(n) < 0.05
    quantities = np.where(is_large, usual_quantity * rng.integers(3, 9, n), quantities)
    return quantities.astype(np.int64), amounts_of(rng, quantities)


def amounts_of(
    rng: np.random.Generator, quantities: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Amounts in cents of baskets with so many items."""
    price = truncated_lognormal(rng, 1500, 0.5, 200, 20_000)
    return np.round(price * quantities * rng.gamma(20, 1 / 20, len(quantities))).astype(np.int64)


def customers_feed(customers: list[Customer]) -> Rows:
    """The rows of the feed customers."""
    return [
        {
            "customer_id": customer.customer_id,
            "locale": "de_DE",
            "country": "DE",
            "kind": "consumer",
            "registered_at": instant(customer.purchases[0]),
        }
        for customer in customers
    ]


def orders_feed(customers: list[Customer]) -> Rows:
    """The rows of the feed orders, one per purchase."""
    return [
        {
            "order_id": order_id(customer, n),
            "customer_id": customer.customer_id,
            "ordered_at": instant(day),
            "quantity": int(customer.quantities[n]),
            "amount_cents": int(customer.amounts[n]),
            "currency": "EUR",
            "channel": "online",
        }
        for customer in customers
        for n, day in enumerate(customer.purchases)
    ]


def order_id(customer: Customer, n: int) -> str:
    """The id of a customer's purchase."""
    return f"{customer.customer_id}-{n}"
