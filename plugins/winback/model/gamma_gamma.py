"""The Gamma-Gamma model of how much customers spend per purchase, fitted to their mean amounts.

A customer's amounts are gamma distributed with shape p and a rate of their own; over all customers
that rate is Gamma(q, rate gamma), whatever the frequency. A mean of few purchases is thus drawn
towards everybody's. Source: Fader and Hardie (2013), The Gamma-Gamma Model of Monetary Value.

How often somebody buys is in `bg_nbd`; what both come to is in `lifetime_value`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from winback.errors import HistoryError
from winback.model.maximum_likelihood import Parameter, maximise
from winback.model.purchase_history import Floats

PARAMETERS = (
    Parameter("p", 5e-3, 0.05, 200.0, 2e3),
    # the mean over customers is p gamma / (q - 1), so q stays above 1
    Parameter("q - 1", 2e-3, 0.02, 200.0, 2e3),
    Parameter("gamma / mean amount", 1e-4, 1e-3, 200.0, 2e3),
)
STARTS = ((4.0, 2.0, 0.5), (1.0, 1.0, 1.0), (30.0, 10.0, 0.3))


@dataclass(frozen=True)
class GammaGamma:
    """A fitted model.

    Attributes:
        p: Shape of a customer's amounts.
        q: Shape of the customers' rates; above 1.
        gamma: Rate of the customers' rates, in the unit of the amounts.
        log_likelihood: Natural log, summed over customers, without the penalty.
        is_converged: Whether the search ended at an optimum.
        is_on_ridge: Whether a parameter lies where the penalty acts: the data may leave it open.
        n_iterations: Of the search.
        message: How it ended, in a sentence.
        n_customers: How many the model was fitted to.
        n_excluded: How many it was not, because what they bought comes to nothing or less.
    """

    p: float
    q: float
    gamma: float
    log_likelihood: float
    is_converged: bool
    is_on_ridge: bool
    n_iterations: int
    message: str
    n_customers: int
    n_excluded: int


def fit(n_purchases: ArrayLike, mean_amount: ArrayLike) -> GammaGamma:
    """The most likely model.

    Args:
        n_purchases: How many purchases each customer's mean is of. The published figures leave the
            first purchase out, so that this is the frequency of `bg_nbd`.
        mean_amount: Of these purchases, after refunds, in any unit; not read where there are none.

    Returns:
        The model. Without any customer to learn from: one whose parameters are NaN, as are its
        expectations.

    Raises:
        HistoryError: A number of purchases is no whole number from 0, or an amount is missing.
    """
    x, mean = _checked(n_purchases, mean_amount)
    is_told = x > 0
    is_used = is_told & (mean > 0)
    n_used = int(is_used.sum())
    n_excluded = int(is_told.sum()) - n_used
    if not n_used:
        nothing = float("nan")
        return GammaGamma(
            nothing, nothing, nothing,
            log_likelihood=0.0, is_converged=False, is_on_ridge=False, n_iterations=0,
            message="nobody spent anything", n_customers=0, n_excluded=n_excluded,
        )  # fmt: skip
    x, mean = x[is_used], mean[is_used]
    unit = float(mean.mean())
    found = maximise(Likelihood(x, mean, unit).at, n_used, PARAMETERS, STARTS)
    p, above_one, gamma = found.parameters
    return GammaGamma(
        p, 1 + above_one, gamma * unit,
        log_likelihood=found.log_likelihood,
        is_converged=found.is_converged,
        is_on_ridge=found.is_on_ridge,
        n_iterations=found.n_iterations,
        message=found.message,
        n_customers=n_used,
        n_excluded=n_excluded,
    )  # fmt: skip


def expected_amount(model: GammaGamma, n_purchases: ArrayLike, mean_amount: ArrayLike) -> Floats:
    """What a customer is expected to spend per purchase.

    Args:
        model: Fitted.
        n_purchases: How many purchases the mean is of; 0 gives the mean over customers.
        mean_amount: Of these purchases, in the model's unit. Refunds above purchases count as
            purchases of nothing: little is expected, but never less than nothing.

    Raises:
        HistoryError: A number of purchases is no whole number from 0, or an amount is missing.
    """
    x, mean = _checked(n_purchases, mean_amount)
    spent = np.where(x > 0, x * np.maximum(mean, 0.0), 0.0)
    return model.p * (model.gamma + spent) / (model.p * x + model.q - 1)


class Likelihood:
    """The log-likelihood of mean amounts, with its parts that no parameter changes.

    The density of a mean m of x amounts:
    Γ(p x + q) / (Γ(p x) Γ(q)) gamma^q m^(p x - 1) x^(p x) / (gamma + x m)^(p x + q).

    Args:
        n_purchases: Of which each mean is, from 1.
        mean_amount: Above 0.
        unit: gamma is counted in this many of the amounts' units; the likelihood stays that of the
            amounts as they are.
    """

    def __init__(self, n_purchases: Floats, mean_amount: Floats, unit: float = 1.0) -> None:
        mean = mean_amount / unit
        self._n, self._sum = len(mean), n_purchases * mean
        self._x, self._log_sum = n_purchases, np.log(self._sum)
        self._fixed = float(np.log(mean).sum()) + self._n * float(np.log(unit))
        self._counts, self._place, self._customers = np.unique(
            n_purchases, return_inverse=True, return_counts=True
        )

    def at(self, log_parameters: Floats) -> tuple[float, Floats]:
        """The log-likelihood at log(p, q - 1, gamma), and its gradient by these."""
        p, above_one, gamma = np.exp(log_parameters)
        q, px = 1 + above_one, p * self._counts
        total = gamma + self._sum
        log_total = np.log(total)
        shape = p * self._x + q
        # the customers' part of the exponent of their sums
        share = self._x * (self._log_sum - log_total)
        value = (
            (self._customers * (special.gammaln(px + q) - special.gammaln(px))).sum()
            + self._n * (q * np.log(gamma) - special.gammaln(q))
            + p * share.sum()
            - q * log_total.sum()
            - self._fixed
        )
        psi = special.psi(px + q)
        gradient = (
            (self._customers * self._counts * (psi - special.psi(px))).sum() + share.sum(),
            (self._customers * psi).sum()
            + self._n * (np.log(gamma) - special.psi(q))
            - log_total.sum(),
            self._n * q / gamma - (shape / total).sum(),
        )
        return float(value), np.array(gradient) * (p, above_one, gamma)


def _checked(n_purchases: ArrayLike, mean_amount: ArrayLike) -> tuple[Floats, Floats]:
    x, mean = np.asarray(n_purchases, dtype=float), np.asarray(mean_amount, dtype=float)
    if x.ndim != 1 or x.shape != mean.shape:
        raise HistoryError("numbers of purchases and mean amounts must be columns of one length")
    for what, holds in (
        ("a number of purchases must be a whole number from 0", (x >= 0) & (x == np.rint(x))),
        ("a number of purchases must be finite", x < np.inf),
        ("a mean of purchases must be a finite amount", np.isfinite(mean) | (x == 0)),
    ):
        if n_wrong := int(holds.size - np.count_nonzero(holds)):
            raise HistoryError(f"{what}: {n_wrong} customers break that; correct or leave them out")
    return x, mean
