"""What a customer buys, as known on a past date: breadth, favourites, prices, how long it lasts.

Pure: what each day's purchase tells (`int_baskets__described`) in, columns out; only purchases
before the date count. The features of dates and amounts are `return_features.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from winback.model.rhythm import Floats

Places = NDArray[np.int64]
# one row for each day of each customer: half the memory
Numbers = NDArray[np.float32]

NAMES = (
    "n_products", "products_per_purchase", "products_of_last", "new_share",
    "new_share_of_last", "n_categories", "favourite_share", "favourite_category_share",
    "is_favourite_discontinued", "cheaper_share", "dearer_share", "dearer_share_of_last",
    "days_covered", "silence_over_days_covered",
)  # fmt: skip
# of what was bought last: a day without a gap before it says nothing
MOST_RATIO = 20.0


@dataclass(frozen=True)
class Baskets:
    """Purchase days with known products, one element each, by customer and day.

    Attributes:
        customer: Number of the customer, ascending.
        day: Day number, ascending within a customer.
        n_products, n_new_products: Different products; those bought for the first time.
        times_favourite: On how many days the one bought most often so far was bought.
        favourite_ended: The day since when that one is not offered; far ahead while it is.
        n_new_categories, times_favourite_category: The same for categories.
        log_quantity_ratio: Mean over products of the log of the quantity over the usual one.
        n_compared, n_cheaper, n_dearer: Products bought before; those with another price.
    """

    customer: Places
    day: Places
    n_products: Numbers
    n_new_products: Numbers
    times_favourite: Numbers
    favourite_ended: Places
    n_new_categories: Numbers
    times_favourite_category: Numbers
    log_quantity_ratio: Numbers
    n_compared: Numbers
    n_cheaper: Numbers
    n_dearer: Numbers

    def known_before(self, day: int, number_of: Places) -> Baskets:
        """Those known on a date, of customers under new numbers.

        Args:
            day: The date.
            number_of: The new number of each customer, -1 for who was not known yet.
        """
        kept = (self.day < day) & (number_of[self.customer] >= 0)
        return Baskets(
            number_of[self.customer[kept]],
            *(getattr(self, each.name)[kept] for each in fields(self)[1:]),
        )


def features(
    baskets: Baskets, day: int, place: Places, mean_gap: Floats, silence: Floats
) -> dict[str, Floats]:
    """Columns by name, one element per customer known on the date; 0 where no product is known.

    Args:
        baskets: May reach beyond the date.
        day: The date, as a day number.
        place: For each customer by number, the place among those known on the date, or -1.
        mean_gap: Of those known, days between two purchases; 0 for one-time buyers.
        silence: Of those known, days since the last purchase.
    """
    kept = (baskets.day < day) & (place[baskets.customer] >= 0)
    where = place[baskets.customer[kept]]
    columns = {name: np.zeros(len(silence)) for name in NAMES}
    if not len(where):
        return columns
    ends = np.append(np.flatnonzero(np.diff(where)), len(where) - 1)
    begins = np.append(0, ends[:-1] + 1)
    of = where[ends]

    def total(values: Numbers) -> Floats:
        summed: Floats = np.add.reduceat(values[kept].astype(float), begins)
        return summed

    def last(values: Numbers) -> Floats:
        found: Floats = values[kept][ends].astype(float)
        return found

    n_days = (ends - begins + 1).astype(float)
    n_products, n_compared = total(baskets.n_products), np.maximum(total(baskets.n_compared), 1.0)
    most = np.maximum.reduceat(baskets.times_favourite[kept], begins)
    # the newest day on which something was bought as often as nothing else
    is_most = baskets.times_favourite[kept] == np.repeat(most, ends - begins + 1)
    newest = np.maximum.reduceat(np.where(is_most, np.arange(len(where)), 0), begins)
    usual = np.exp(
        np.clip(last(baskets.log_quantity_ratio), -np.log(MOST_RATIO), np.log(MOST_RATIO))
    )
    covered = mean_gap[of] * usual
    found = {
        "n_products": total(baskets.n_new_products),
        "products_per_purchase": n_products / n_days,
        "products_of_last": last(baskets.n_products),
        "new_share": total(baskets.n_new_products) / n_products,
        "new_share_of_last": last(baskets.n_new_products) / last(baskets.n_products),
        "n_categories": total(baskets.n_new_categories),
        "favourite_share": most / n_days,
        "favourite_category_share": (
            np.maximum.reduceat(baskets.times_favourite_category[kept], begins) / n_days
        ),
        "is_favourite_discontinued": baskets.favourite_ended[kept][newest] < day,
        "cheaper_share": total(baskets.n_cheaper) / n_compared,
        "dearer_share": total(baskets.n_dearer) / n_compared,
        "dearer_share_of_last": (
            last(baskets.n_dearer) / np.maximum(last(baskets.n_compared), 1.0)
        ),
        "days_covered": covered,
        "silence_over_days_covered": silence[of] / np.maximum(covered, 1.0),
    }
    for name, values in found.items():
        columns[name][of] = values
    return columns
