"""What happened to a customer beside the purchases, and what they told us, as known on a past date.

Pure: dated experiences in, columns out. Only what was known before the date counts: neither later
experiences nor that something was settled later. What they are is `int_experiences__dated`; the
features of purchases are `return_features.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winback.model.rhythm import Floats

Places = NDArray[np.int64]

# over after this day: as good as never
NEVER = np.iinfo(np.int64).max
YEAR_DAYS = 365
COUNTED = (
    "complaint", "bad_review", "low_score", "return", "late_delivery", "failed_delivery",
    "stated_own_fault", "stated_circumstances", "stated_other",
)  # fmt: skip
# what has an end, and tells by standing
STANDING = ("complaint", "contract", "cancellation", "stated_absence")
KINDS = (*COUNTED, *STANDING[1:])
NAMES = (
    *(f"n_{kind}_{within}" for kind in COUNTED for within in ("last_365_days", "since_purchase")),
    *(f"n_standing_{kind}" for kind in STANDING),
    "is_cancelled_since_purchase",
    "returned_share",
)  # fmt: skip


@dataclass(frozen=True)
class Experiences:
    """Experiences of customers, one element each, in any order.

    Attributes:
        customer: Number of the customer.
        kind: Places in `KINDS`, which are those of `int_experiences__dated`.
        day: The day on which it became known.
        over: The day on which it ended; `NEVER` while it stands.
        amount: Minor units, where one belongs to it; else 0.
    """

    customer: Places
    kind: NDArray[np.int8]
    day: Places
    over: Places
    amount: Floats

    def known_before(self, day: int, number_of: Places) -> Experiences:
        """Those known on a date, of customers under new numbers.

        Args:
            day: The date.
            number_of: The new number of each customer, -1 for who was not known yet.
        """
        kept = (self.day < day) & (number_of[self.customer] >= 0)
        # how long somebody will be away is said in advance
        is_told = (self.over < day) | (self.kind == KINDS.index("stated_absence"))
        over = np.where(is_told, self.over, NEVER)
        return Experiences(
            number_of[self.customer[kept]], self.kind[kept], self.day[kept], over[kept],
            self.amount[kept],
        )  # fmt: skip


def features(
    experiences: Experiences, day: int, place: Places, last_day: Places, turnover: Floats
) -> dict[str, Floats]:
    """Columns by name, one element per customer known on the date.

    Args:
        experiences: May reach beyond the date.
        day: The date, as a day number.
        place: For each customer by number, the place among those known on the date, or -1.
        last_day: Of those known, the day of the last purchase.
        turnover: Of those known, all that was paid, in minor units, whatever came back.
    """
    is_known = (experiences.day < day) & (place[experiences.customer] >= 0)
    where = place[experiences.customer[is_known]]
    kind, on = experiences.kind[is_known], experiences.day[is_known]
    stands = experiences.over[is_known] >= day
    since_purchase = on >= last_day[where]
    this_year = on >= day - YEAR_DAYS

    def counted(name: str, within: NDArray[np.bool_] | bool = True) -> Floats:
        chosen = (kind == KINDS.index(name)) & within
        return np.bincount(where[chosen], minlength=len(last_day)).astype(float)

    columns = {}
    for name in COUNTED:
        columns[f"n_{name}_last_365_days"] = counted(name, this_year)
        columns[f"n_{name}_since_purchase"] = counted(name, since_purchase)
    for name in STANDING:
        columns[f"n_standing_{name}"] = counted(name, stands)
    cancelled = counted("cancellation", stands & since_purchase)
    columns["is_cancelled_since_purchase"] = (cancelled > 0).astype(float)
    is_return = kind == KINDS.index("return")
    amount = experiences.amount[is_known][is_return]
    paid_back = np.bincount(where[is_return], amount, minlength=len(last_day))
    columns["returned_share"] = paid_back / np.maximum(turnover, 1.0)
    return columns
