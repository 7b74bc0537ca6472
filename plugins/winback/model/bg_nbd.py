"""The BG/NBD model of how often customers buy and when they drop out unseen, fitted to histories.

While active, a customer buys at random times at a rate λ of their own, and drops out with a
probability p of their own after each purchase but the first. Over all customers λ is
Gamma(r, rate alpha) and p is Beta(a, b). Source: Fader, Hardie and Lee (2005), "Counting Your
Customers" the Easy Way: An Alternative to the Pareto/NBD Model, Marketing Science 24, 275-284.

What follows from a fitted model for a customer is in `expected_purchases`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from winback.model.maximum_likelihood import Parameter, maximise
from winback.model.purchase_history import Floats, PurchaseHistories

PARAMETERS = (
    Parameter("r", 1e-3, 1e-2, 50.0, 100.0),
    Parameter("alpha / mean age", 1e-4, 1e-3, 100.0, 1e3),
    # with a = 50, customers drop out alike
    Parameter("a", 1e-3, 1e-2, 20.0, 50.0),
    Parameter("b", 1e-3, 1e-2, 100.0, 1e3),
)
# the first is nearly always enough
STARTS = ((0.5, 0.2, 1.0, 3.0), (2.0, 1.0, 0.3, 6.0), (0.1, 0.02, 2.0, 2.0))
# whatever is computed of so many rows stays in the processor's cache: eight times faster
BLOCK = 1 << 13
# of so many distinct histories, the search begins with about as many
SAMPLE = 1 << 12


@dataclass(frozen=True)
class BgNbd:
    """A fitted model.

    Attributes:
        r: Shape of the purchase rates.
        alpha: Rate of the purchase rates, in the unit of time of the histories.
        a: First shape of the drop-out probabilities.
        b: Second shape of the drop-out probabilities.
        log_likelihood: Natural log, summed over customers, without the penalty.
        is_converged: Whether the search ended at an optimum.
        is_on_ridge: Whether a parameter lies where the penalty acts: the data may leave it open.
        n_iterations: Of the search.
        message: How it ended, in a sentence.
        n_customers: How many the model was fitted to.
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float
    is_converged: bool
    is_on_ridge: bool
    n_iterations: int
    message: str
    n_customers: float


def fit(histories: PurchaseHistories) -> BgNbd:
    """The most likely model.

    Histories that leave a parameter open (regular buyers who never drop out, nobody who came
    twice) end within bounds, with `is_on_ridge` and the parameters named in `message`.

    Args:
        histories: Of all customers, those without a repeat purchase included.

    Returns:
        The model. Without customers: one whose parameters are NaN, as are its scores.
    """
    n_customers = float(histories.weight.sum())
    if not n_customers:
        nothing = float("nan")
        return BgNbd(
            nothing, nothing, nothing, nothing,
            log_likelihood=0.0, is_converged=False, is_on_ridge=False, n_iterations=0,
            message="there are no customers", n_customers=0.0,
        )  # fmt: skip
    # a unit of time in which all four parameters are of the same order
    unit = float((histories.weight * histories.age).sum()) / n_customers or 1.0
    likelihood, sample = Likelihood(histories, unit).at, None
    if len(histories.age) > 2 * SAMPLE:
        some = _every(len(histories.age) // SAMPLE, histories)
        sample = Likelihood(some, unit).at, float(some.weight.sum())
    found = maximise(likelihood, n_customers, PARAMETERS, STARTS, sample)
    r, alpha, a, b = found.parameters
    return BgNbd(
        r, alpha * unit, a, b,
        log_likelihood=found.log_likelihood,
        is_converged=found.is_converged,
        is_on_ridge=found.is_on_ridge,
        n_iterations=found.n_iterations,
        message=found.message,
        n_customers=n_customers,
    )  # fmt: skip


def _every(step: int, histories: PurchaseHistories) -> PurchaseHistories:
    """One of so many distinct histories; they come sorted, so that each kind keeps its share."""
    return PurchaseHistories(
        histories.frequency[::step], histories.recency[::step], histories.age[::step],
        histories.weight[::step], histories.place[:0],
    )  # fmt: skip


class Likelihood:
    """The log-likelihood of histories, with what does not depend on the parameters worked out once.

    Equation (6) and its logarithm, summed over customers. With k = r + x and
    u = log a - log(b + x - 1) + k log((alpha + T) / (alpha + t_x)), a customer with a repeat
    purchase adds log(1 + exp u) to the likelihood of one who is surely active; its derivative by u
    is the probability of having dropped out.

    Args:
        histories: Of whom.
        unit: alpha and times are counted in this many of the histories' units; the likelihood stays
            that of the histories as they are.
    """

    def __init__(self, histories: PurchaseHistories, unit: float = 1.0) -> None:
        weight, x = histories.weight, histories.frequency
        age, recency = histories.age / unit, histories.recency / unit
        self._n = float(weight.sum())
        self._of_unit = float((weight * x).sum() * np.log(unit))
        # they come sorted by frequency
        first = np.flatnonzero(np.diff(x, prepend=-1.0))
        self._counts = x[first]
        self._of_count = np.add.reduceat(weight, first)
        self._ages, place = np.unique(age, return_inverse=True)
        self._of_age = np.bincount(place, weight, minlength=len(self._ages))
        self._purchases_of_age = np.bincount(place, weight * x, minlength=len(self._ages))
        # only who came again can have dropped out
        n_once = int(np.searchsorted(x, 0.5))
        self._again = [each[n_once:] for each in (weight, x, recency, age)]

    def at(self, log_parameters: Floats) -> tuple[float, Floats]:
        """The log-likelihood at log(r, alpha, a, b), and its gradient by these."""
        parameters = np.exp(log_parameters)
        value, gradient = self._if_active(*parameters)
        for first in range(0, len(self._again[0]), BLOCK):
            block = (each[first : first + BLOCK] for each in self._again)
            more, steeper = _of_dropping_out(*parameters, *block)
            value, gradient = value + more, gradient + steeper
        return value - self._of_unit, gradient * parameters

    def _if_active(self, r: float, alpha: float, a: float, b: float) -> tuple[float, Floats]:
        """As if all were active: the log-likelihood, and its gradient by the parameters."""
        x, until_now = self._counts, alpha + self._ages
        n_orders = r * self._of_age + self._purchases_of_age
        log_now = np.log(until_now)
        of_count = special.gammaln(r + x) - special.gammaln(r)
        of_count += special.betaln(a, b + x) - special.betaln(a, b)
        value = (self._of_count * of_count).sum() - (n_orders * log_now).sum()
        both = special.psi(a + b) - special.psi(a + b + x)
        gradient = (
            (self._of_count * (special.psi(r + x) - special.psi(r))).sum()
            + self._n * np.log(alpha)
            - (self._of_age * log_now).sum(),
            self._n * r / alpha - (n_orders / until_now).sum(),
            (self._of_count * both).sum(),
            (self._of_count * (both + special.psi(b + x) - special.psi(b))).sum(),
        )
        return float(value + self._n * r * np.log(alpha)), np.array(gradient)


def _of_dropping_out(
    r: float, alpha: float, a: float, b: float, weight: Floats, x: Floats, t_x: Floats, age: Floats
) -> tuple[float, Floats]:
    """What the chance of having dropped out adds, for repeat buyers; gradient by the parameters."""
    until_now, until_last = alpha + age, alpha + t_x
    k, divisor = r + x, b + x - 1
    silence = np.log(until_now / until_last)
    u = np.log(a / divisor) + k * silence
    # an exponent above 0 could overflow
    small = np.exp(-np.abs(u))
    dropped = weight * np.where(u > 0, 1.0, small) / (1 + small)
    gradient = (
        (dropped * silence).sum(),
        (dropped * k * (1 / until_now - 1 / until_last)).sum(),
        dropped.sum() / a,
        -(dropped / divisor).sum(),
    )
    value = (weight * (np.maximum(u, 0.0) + np.log(1 + small))).sum()
    return float(value), np.array(gradient)
