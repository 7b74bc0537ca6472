"""How sure a customer's value is: intervals from what is not known of the customer's own habits.

Given the history, an active customer's rate is Gamma(r + x, alpha + T), the drop-out probability
Beta(a, b + x), and the mean amount p over a Gamma(p n + q, gamma + sum) variate, all independent.
Their quantiles at points of a Sobol sequence (always the same) give the distribution of the value.
Relative to its mean it depends on x, T and n alone, and smoothly: it is worked out for some numbers
of purchases and some ages, and read off in between. Costs thus hardly grow with the number of
customers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.stats import qmc

from winback.model.bg_nbd import BgNbd
from winback.model.discounting import Discounting, discounted_purchases_if_alive
from winback.model.gamma_gamma import GammaGamma
from winback.model.purchase_history import Floats, distinct

# 2 to this many points
POINTS_LOG2 = 10
# numbers of purchases up to this one are taken as they are, higher ones in steps of a tenth
EXACT = 20
# of log(alpha + T), between two ages
AGE_STEP = 0.2
# a drop-out probability below this changes nothing within any horizon
LEAST_DROP_OUT = 1e-12


def relative_intervals(
    purchases: BgNbd,
    amounts: GammaGamma,
    histories: tuple[Floats, Floats, Floats],
    alive: Floats,
    discounting: Discounting,
    confidence: float,
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Ends of intervals over the expected value, low and high.

    Args:
        purchases: Fitted.
        amounts: Fitted.
        histories: Frequency, age and number of purchases behind the mean amount, of each customer.
        alive: Probability of being active.
        discounting: Horizon and rate.
        confidence: As a share.

    Returns:
        Over the expected value of an active customer, where who has dropped out is worth nothing;
        and over the expected value given the return.
    """
    frequency, age, n_purchases = histories
    found = np.full((4, len(frequency)), np.nan)
    if not np.isfinite([purchases.r, amounts.p]).all():
        return (found[0], found[1]), (found[2], found[3])
    points = qmc.Sobol(3, rng=0).random_base2(POINTS_LOG2)
    counts = _rounded(frequency), _rounded(n_purchases)
    example, place = distinct(*counts)
    order = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place, minlength=len(example)))
    for first, end, each in zip(ends - np.diff(ends, prepend=0), ends, example, strict=True):
        who = order[first:end]
        log_age = np.log(purchases.alpha + age[who])
        low, high = float(log_age.min()), float(log_age.max())
        nodes = np.linspace(low, high, 2 + int((high - low) / AGE_STEP))
        tables = _tables(
            purchases, amounts, counts[0][each], counts[1][each], np.exp(nodes), discounting, points
        )
        where = (log_age - low) / (nodes[1] - low) if high > low else np.zeros(len(who))
        for row, tail in enumerate(((1 - confidence) / 2, (1 + confidence) / 2)):
            # of the whole distribution, the lowest 1 - alive is nothing
            level = 1 - (1 - tail) / np.maximum(alive[who], 1e-300)
            found[row, who] = np.where(level > 0, _read(tables[0], level, where), 0.0)
            found[row + 2, who] = _read(tables[1], np.full(len(who), tail), where)
    return (found[0], found[1]), (found[2], found[3])


def _rounded(counts: Floats) -> Floats:
    log = np.log(np.maximum(counts, EXACT) / EXACT) / np.log(1.1)
    return np.where(counts <= EXACT, counts, np.rint(EXACT * 1.1 ** np.rint(log)))


def _tables(
    purchases: BgNbd,
    amounts: GammaGamma,
    x: float,
    n: float,
    totals: Floats,
    discounting: Discounting,
    points: NDArray[np.float64],
) -> tuple[Floats, Floats]:
    """Values over their mean: ascending downwards, one column per alpha + T in `totals`.

    Of an active customer, and given the return.
    """
    drop_out = special.betaincinv(purchases.a, purchases.b + x, points[:, 1])[:, np.newaxis]
    shape = amounts.p * n + amounts.q
    amount = (shape - 1) / special.gammaincinv(shape, points[:, 2])[:, np.newaxis]
    drop_out = np.maximum(drop_out, LEAST_DROP_OUT)
    ages = totals - purchases.alpha

    def purchases_to_come(x: float) -> tuple[Floats, Floats]:
        rate = special.gammaincinv(purchases.r + x, points[:, 0])[:, np.newaxis] / totals
        mean = discounted_purchases_if_alive(purchases, np.full(len(ages), x), ages, discounting)
        return _discounted(rate, drop_out, discounting), mean

    to_come, mean = purchases_to_come(x)
    if_alive = np.sort(amount * to_come / mean, axis=0)
    to_come, mean = purchases_to_come(x + 1)
    stays = (purchases.b + x) / (purchases.a + purchases.b + x)
    given_return = amount * (1 + (1 - drop_out) * to_come) / (1 + stays * mean)
    return if_alive, np.sort(given_return, axis=0)


def _discounted(rate: Floats, drop_out: Floats, discounting: Discounting) -> Floats:
    """Discounted purchases of customers whose rate λ and drop-out p are known.

    By a time t, (1 - exp(-λ p t)) / p.
    """
    discounted = np.zeros(np.broadcast_shapes(rate.shape, drop_out.shape))
    for time, weight in discounting.of_totals():
        discounted += weight * -np.expm1(-rate * drop_out * time) / drop_out
    return discounted


def _read(table: Floats, level: Floats, where: Floats) -> Floats:
    """Values at levels between 0 and 1 of the columns, read off between points and columns."""
    row = np.clip(level * len(table) - 0.5, 0.0, len(table) - 1.0)
    i, j = row.astype(int), np.clip(where.astype(int), 0, table.shape[1] - 2)
    next_i, down, right = np.minimum(i + 1, len(table) - 1), row - i, where - j
    return np.asarray(
        (1 - right) * ((1 - down) * table[i, j] + down * table[next_i, j])
        + right * ((1 - down) * table[i, j + 1] + down * table[next_i, j + 1])
    )
