"""What is known of a customer on a date in the past, as numbers that tell who comes back.

Pure: the sales history in, columns out. Only what was known before the date counts, so that
features of a past date are those that would have been computed then. What is known beside dates and
amounts of purchases is in `experience_features.py` and `basket_features.py`; models made of all of
it are `return_model.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winback.model import basket_features, experience_features
from winback.model.basket_features import Baskets
from winback.model.bg_nbd import BgNbd
from winback.model.expected_purchases import conditional_expected_purchases, probability_alive
from winback.model.experience_features import Experiences
from winback.model.refunds import Refunds, kept_amounts
from winback.model.rhythm import (
    Floats,
    Purchases,
    Rhythm,
    gap_sums,
    quantiles,
    quantity_ratios,
    stock_factors,
    stock_levels,
)

Places = NDArray[np.int64]

RECENT_DAYS = (30, 60, 90, 180, 365)
YEAR_DAYS = 365
QUINTILES = 5


@dataclass(frozen=True)
class SalesHistory:
    """Purchase days of customers, one element each, by customer and day.

    Attributes:
        purchases: Customers by number from 0 without a gap, days and quantities.
        amount: Paid on the day, in minor units, whatever came back.
        experiences: What happened beside; None without a feed that tells any of it.
        baskets: What was bought; None without the feed of order lines.
        refunds: What was paid back; None where nothing was.
    """

    purchases: Purchases
    amount: Floats
    experiences: Experiences | None = None
    baskets: Baskets | None = None
    refunds: Refunds | None = None

    @property
    def starts(self) -> Places:
        """The place of each customer's first purchase, and one beyond the last of all."""
        customer = self.purchases.customer
        first = np.flatnonzero(np.diff(customer, prepend=-1))
        return np.append(first, len(customer))


@dataclass(frozen=True)
class Features:
    """The customers known on a date, and what was known of them.

    Attributes:
        customer: Their numbers.
        columns: One array each, by name.
    """

    customer: Places
    columns: dict[str, Floats]


@dataclass(frozen=True)
class Outcome:
    """What happened after a date, for the customers known on it.

    Attributes:
        has_bought: Whether they bought within the window.
        spend: What they paid in it and did not get back, in minor units, from 0.
    """

    has_bought: NDArray[np.bool_]
    spend: Floats


def known_before(history: SalesHistory, day: int) -> SalesHistory:
    """The history as known on a date; customers are numbered anew."""
    is_known = history.purchases.day < day
    old, customer = np.unique(history.purchases.customer[is_known], return_inverse=True)
    known = Purchases(
        customer.astype(np.int64),
        history.purchases.day[is_known],
        history.purchases.quantity[is_known],
    )
    number_of = _places_of(history, old)
    experiences, baskets, refunds = history.experiences, history.baskets, history.refunds
    return SalesHistory(
        known,
        history.amount[is_known],
        None if experiences is None else experiences.known_before(day, number_of),
        None if baskets is None else baskets.known_before(day, number_of),
        None if refunds is None else refunds.known_before(day, is_known),
    )


def features(
    history: SalesHistory, day: int, horizon: int, rhythm: Rhythm, bg_nbd: BgNbd
) -> Features:
    """What was known on a date.

    Args:
        history: May reach beyond the date.
        day: The date, as a day number; purchases before it are known.
        horizon: Days from then on that a model is to look at.
        rhythm: Everybody's, fitted on what was known.
        bg_nbd: Fitted on what was known, in days.
    """
    customer, first, after = _known(history, day)
    days, last = history.purchases.day, after - 1
    n = (after - first).astype(float)
    silence, age = (day - days[last]).astype(float), (day - days[first]).astype(float)
    kept = kept_amounts(history.amount, history.refunds, day)
    sold, paid = (np.append(0.0, np.cumsum(each)) for each in (history.amount, kept))
    turnover = np.maximum(paid[after] - paid[first], 0.0)
    span = (days[last] - days[first]).astype(float)
    columns = {
        "silence_days": silence,
        "n_purchases": n,
        "age_days": age,
        "turnover": turnover,
        "mean_amount": turnover / n,
        "last_amount": np.maximum(kept[last], 0.0),
        "mean_gap_days": span / np.maximum(n - 1, 1),
        "last_gap_days": np.where(n > 1, days[last] - days[np.maximum(last - 1, first)], 0.0),
        "is_one_time": (n == 1).astype(float),
        "silence_times_purchases": np.log1p(silence) * np.log1p(n),
        "silence_of_one_time": np.log1p(silence) * (n == 1),
        "bg_nbd_purchases": conditional_expected_purchases(
            bg_nbd, n - 1, span, age, float(horizon)
        ),
        "bg_nbd_alive": probability_alive(bg_nbd, n - 1, span, age),
        **_of_rhythm(history, last, silence, rhythm),
    }
    for recent in RECENT_DAYS:
        since = np.maximum(_place(history, customer, day - recent), first)
        columns[f"n_last_{recent}_days"] = (after - since).astype(float)
    for years in (1, 2):
        opened = np.maximum(_place(history, customer, day - YEAR_DAYS * years), first)
        closed = np.maximum(_place(history, customer, day - YEAR_DAYS * years + horizon), first)
        columns[f"n_same_days_{years}_years_ago"] = (closed - opened).astype(float)
    columns["rfm"] = sum(
        (_quintile(column) for column in (-silence, n, turnover)), np.zeros(len(n))
    )
    columns["clv"] = columns["bg_nbd_purchases"] * columns["mean_amount"]
    place = _places_of(history, customer)
    if history.experiences is not None:
        columns |= experience_features.features(
            history.experiences, day, place, days[last], sold[after] - sold[first]
        )
    if history.baskets is not None:
        columns |= basket_features.features(
            history.baskets, day, place, columns["mean_gap_days"], silence
        )
    return Features(customer, columns)


def outcome(
    history: SalesHistory, day: int, horizon: int, customer: Places, known_on: int | None = None
) -> Outcome:
    """What the customers did from a date on.

    Args:
        history: Reaches to the end of the window.
        day: The date, as a day number.
        horizon: Days of the window.
        customer: Whose.
        known_on: Only what was paid back before this day is taken off; all when left out.
    """
    opened, closed = (_place(history, customer, each) for each in (day, day + horizon))
    kept = kept_amounts(history.amount, history.refunds, known_on)
    paid = np.append(0.0, np.cumsum(kept))
    return Outcome(closed > opened, np.maximum(paid[closed] - paid[opened], 0.0))


def _known(history: SalesHistory, day: int) -> tuple[Places, Places, Places]:
    """Customers with a purchase before a day, where their first stands, where their last ends."""
    first = history.starts[:-1]
    customer = np.arange(len(first))
    after = _place(history, customer, day)
    is_known = after > first
    return customer[is_known], first[is_known], after[is_known]


def _place(history: SalesHistory, customer: Places, day: int) -> Places:
    """Where a customer's first purchase on or after a day stands, or would stand."""
    days = history.purchases.day
    width = int(days.max(initial=0)) + 2
    ordered = history.purchases.customer * width + days
    return np.searchsorted(ordered, customer * width + min(max(day, 0), width - 1))


def _places_of(history: SalesHistory, customer: Places) -> Places:
    """For each customer by number, the place in an ascending choice of them, or -1."""
    place = np.full(len(history.starts) - 1, -1, np.int64)
    place[customer] = np.arange(len(customer))
    return place


def _of_rhythm(
    history: SalesHistory, last: Places, silence: Floats, rhythm: Rhythm
) -> dict[str, Floats]:
    n_gaps, sums = gap_sums(history.purchases, rhythm.quantity_elasticity)
    factors = stock_factors(quantity_ratios(history.purchases), rhythm.quantity_elasticity)
    # most customers share number and level: each quantile is worked out once
    pairs = np.stack([n_gaps[last].astype(np.int64), stock_levels(factors[last])])
    distinct, place = np.unique(pairs, axis=1, return_inverse=True)
    found = quantiles(rhythm, *distinct)
    scale = (rhythm.rate_days + sums[last]) * factors[last]
    return {
        "expected_days": scale * found["expected"][place],
        "lateness": silence / (scale * found["late"][place]),
        "gap_sum_days": sums[last],
        "stock_factor": factors[last],
    }


def _quintile(values: Floats) -> Floats:
    """0 (lowest) to 4, equal values alike."""
    ordered = np.sort(values)
    middle = (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, "right")) / 2
    return np.minimum(np.floor(QUINTILES * middle / max(len(values), 1)), QUINTILES - 1)
