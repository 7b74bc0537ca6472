"""Purchases to come within a horizon, discounted: a later one is worth less than one today.

What they are worth in money is in `lifetime_value`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from winback.model.bg_nbd import BgNbd
from winback.model.expected_purchases import expected_purchases_if_alive
from winback.model.purchase_history import Floats, distinct


@dataclass(frozen=True)
class Discounting:
    """The time to come and what it takes off a value.

    Attributes:
        months: How far ahead; from 1.
        yearly_rate: By which a later margin is worth less, such as 0.1.
        month: Its length in the unit of time of the BG/NBD model; the default is days.
    """

    months: int = 12
    yearly_rate: float = 0.1
    month: float = 365.25 / 12

    def of_totals(self) -> Iterator[tuple[float, float]]:
        """Ends of months, and weights by which the totals up to these add up to the discounted sum.

        The sum over months of d_k (E_k - E_k-1) is that of (d_k - d_k+1) E_k.
        """
        factors = (1 + self.yearly_rate) ** -((np.arange(self.months) + 0.5) / 12)
        weights = factors - np.append(factors[1:], 0.0)
        for k in range(self.months):
            yield (k + 1) * self.month, float(weights[k])


def discounted_purchases_if_alive(
    model: BgNbd, frequency: ArrayLike, age: ArrayLike, discounting: Discounting
) -> Floats:
    """Expected purchases within the horizon, discounted, of customers who are active now."""
    x, total = np.asarray(frequency, dtype=float), np.asarray(age, dtype=float)
    example, place = distinct(x, total)
    discounted = np.zeros(len(example))
    for time, weight in discounting.of_totals():
        discounted += weight * expected_purchases_if_alive(model, x[example], total[example], time)
    return discounted[place]
