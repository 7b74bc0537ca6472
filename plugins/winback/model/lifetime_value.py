"""Customer lifetime value: the discounted margin of the purchases to come within a horizon.

Two values of the same customer answer two questions. `alive_weighted` is what will come if nothing
is done. `given_return` is what somebody is worth who buys now: that purchase and those after it,
not weighed by the probability that it happens. The second is what a recovery may cost.

How often and how much is bought is in `discounting` and `gamma_gamma`, how sure that is in
`value_intervals`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from winback.errors import HistoryError
from winback.model.bg_nbd import BgNbd
from winback.model.discounting import Discounting, discounted_purchases_if_alive
from winback.model.expected_purchases import probability_alive
from winback.model.gamma_gamma import GammaGamma, expected_amount
from winback.model.purchase_history import Floats, checked
from winback.model.value_intervals import relative_intervals

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Customers:
    """What is known of customers, one element each.

    Attributes:
        frequency: Repeat purchases.
        recency: From the first to the last purchase, in the unit of time of the BG/NBD model.
        age: From the first purchase to now.
        n_purchases: Of how many purchases `mean_amount` is the mean.
        mean_amount: In the unit of the Gamma-Gamma model, after refunds.
        margin_share: Margin per amount, such as 0.4; `margin_shares` works it out.
        sent_all_back: Of whom nothing is expected, whatever others pay: they bought, paid, and kept
            nothing of it.
    """

    frequency: Floats
    recency: Floats
    age: Floats
    n_purchases: Floats
    mean_amount: Floats
    margin_share: Floats
    sent_all_back: NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """Values in the unit of the amounts, one element per customer.

    Attributes:
        expected: The mean.
        low: Lower end of the interval for the mean that the customer's own rate, drop-out and
            amounts amount to, were they known; never above the expected value. The luck of single
            purchases is not in it.
        high: Upper end, never below the expected value.
    """

    expected: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class LifetimeValues:
    """Both values of each customer.

    Attributes:
        alive_weighted: What will come if nothing is done.
        given_return: Of a purchase now and those after it.
    """

    alive_weighted: Estimate
    given_return: Estimate


def lifetime_values(
    purchases: BgNbd,
    amounts: GammaGamma,
    customers: Customers,
    discounting: Discounting,
    confidence: float = CONFIDENCE,
) -> LifetimeValues:
    """What customers are worth.

    A purchase within month k is discounted to the middle of that month. Given the return, the
    history becomes (x + 1, T, T), and the purchase itself is added undiscounted.

    Args:
        purchases: Fitted to frequencies.
        amounts: Fitted to mean amounts.
        customers: Whose values.
        discounting: Horizon and rate.
        confidence: Of the intervals, as a share.

    Returns:
        Values; NaN throughout where a model is, for want of anything to fit it to.

    Raises:
        HistoryError: Histories, amounts or margins contradict themselves.
    """
    x, t_x, age = checked(customers.frequency, customers.recency, customers.age)
    share = np.asarray(customers.margin_share, dtype=float)
    if share.shape != x.shape or not np.isfinite(share).all():
        raise HistoryError("every customer needs a margin share: fill unknown ones with the usual")
    n_purchases = np.asarray(customers.n_purchases, dtype=float)
    margin = share * expected_amount(amounts, n_purchases, customers.mean_amount)
    if margin.shape != x.shape:
        raise HistoryError("amounts must be columns as long as the histories")
    margin = np.where(customers.sent_all_back, 0.0, margin)
    alive = probability_alive(purchases, x, t_x, age)
    if_alive = margin * discounted_purchases_if_alive(purchases, x, age, discounting)
    after_return = discounted_purchases_if_alive(purchases, x + 1, age, discounting)
    after_return *= probability_alive(purchases, x + 1, age, age)
    given_return = margin * (1 + after_return)
    of_alive, of_return = relative_intervals(
        purchases, amounts, (x, age, n_purchases), alive, discounting, confidence
    )
    return LifetimeValues(
        _estimate(alive * if_alive, if_alive, of_alive),
        _estimate(given_return, given_return, of_return),
    )


def margin_shares(turnover: ArrayLike, cost: ArrayLike, usual_share: float) -> Floats:
    """Margin per amount from what was sold and what it had cost.

    Args:
        turnover: Of the purchases whose cost is known, as they were sold: goods that come back
            bring their cost back with them, so what was kept has the same share.
        cost: Of the same purchases; NaN where not known.
        usual_share: Stands where the cost is not known or nothing was sold.

    Returns:
        Shares between -1 and 1: a loss above all that was sold is one of a single odd purchase.
    """
    sold, paid = np.asarray(turnover, dtype=float), np.asarray(cost, dtype=float)
    is_known = np.isfinite(paid) & (sold > 0)
    shares = 1 - np.where(is_known, paid, 0.0) / np.where(is_known, sold, 1.0)
    return np.where(is_known, np.clip(shares, -1.0, 1.0), usual_share)


def _estimate(expected: Floats, scale: Floats, relative: tuple[Floats, Floats]) -> Estimate:
    # a loss turns the ends around; and whose chance of being active is smaller than a tail has
    # nothing at both ends, but something on average
    ends = np.sort([scale * relative[0], scale * relative[1]], axis=0)
    return Estimate(expected, np.minimum(ends[0], expected), np.maximum(ends[1], expected))
