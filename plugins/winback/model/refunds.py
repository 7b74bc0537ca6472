"""What was paid back for purchases, and what of them was kept, as known on a past date.

A return of an order counts on the day of that purchase; one that names none counts on the newest
purchase until then, or on the first where there is none. It is known from the day on which it was
accepted: before, the goods were sold and kept, as far as anybody could tell. A purchase whose goods
came back stays a purchase; only what it was worth changes.

Pure: arrays in, numbers out. Which customer bought when is `return_features.SalesHistory`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winback.model.rhythm import Floats, Purchases

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Refunds:
    """What was paid back, one element each, in any order.

    Attributes:
        place: Of the purchase that it was paid back for.
        day: Day number on which it was accepted.
        amount: Minor units, from 0.
    """

    place: Places
    day: Places
    amount: Floats

    def known_before(self, day: int, kept: NDArray[np.bool_]) -> Refunds:
        """Those known on a date, with the places they have among the purchases known.

        Args:
            day: The date.
            kept: For each purchase, whether it is known on the date.
        """
        is_known = (self.day < day) & kept[self.place]
        place = np.cumsum(kept) - 1
        return Refunds(place[self.place[is_known]], self.day[is_known], self.amount[is_known])


def of_purchases(
    purchases: Purchases, customer: Places, day: Places, bought_on: Places, amount: Floats
) -> Refunds:
    """Finds the purchase of each return.

    Args:
        purchases: Of all customers.
        customer: Who sent something back, by number; each has a purchase.
        day: Day number on which it was accepted.
        bought_on: Day number of the order it names; that of acceptance where it names none.
        amount: What was paid back, in minor units.
    """
    width = int(max(purchases.day.max(initial=0), bought_on.max(initial=0))) + 1
    ordered = purchases.customer * width + purchases.day
    newest = np.searchsorted(ordered, customer * width + bought_on, side="right") - 1
    first = np.searchsorted(purchases.customer, customer)
    return Refunds(np.maximum(newest, first), day, amount)


def kept_amounts(amount: Floats, refunds: Refunds | None, day: int | None = None) -> Floats:
    """What customers paid for each purchase and did not get back; below 0 where they got more.

    Args:
        amount: What was paid, in minor units.
        refunds: What was paid back; None without the feed.
        day: Only what was accepted before it; all when left out.
    """
    if refunds is None:
        return amount
    known = slice(None) if day is None else refunds.day < day
    paid_back = np.bincount(refunds.place[known], refunds.amount[known], minlength=len(amount))
    kept: Floats = amount - paid_back
    return kept
