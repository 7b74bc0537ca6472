"""The likelihood of gaps of gamma shape and stretched stocks, and the search for its maximum.

With h = f^g, where f is the stock factor, a customer's gap x is gamma distributed with shape k h
and rate r h / f, and r over customers Gamma(s, 1 / d). With r integrated out, a customer's gaps
have the density

    prod((h x / f)^(k h) / (x Gamma(k h))) d^s / Gamma(s) Gamma(s + k H) / (d + T)^(s + k H),
    H = sum h, T = sum h x / f.

What the parameters mean, and what is made of them, is `rhythm`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Floats = NDArray[np.float64]

# of gap shape, rate shape and rate days, the latter in median gaps
BOUNDS = ((0.2, 30.0), (0.2, 100.0), (0.1, 1e5))


def fit(
    customer: NDArray[np.int64], gaps: Floats, factors: Floats
) -> tuple[float, float, float, float]:
    """The parameters of the rhythm that make the gaps most likely.

    Args:
        customer: Whose gap it is, ascending.
        gaps: In days, above 0.
        factors: The stock factor of what was bought before each, above 0.

    Returns:
        Gap shape k, rate shape s, rate days d and stretching g.
    """
    places = np.unique(customer, return_inverse=True)[1]
    scale = float(np.median(gaps)) or 1.0
    usual = gaps / factors / scale
    # most gaps share their stock with others, so what depends on it alone is worked out once
    stocks, of_stock, n = np.unique(factors, return_inverse=True, return_counts=True)
    log_stocks, logs = np.log(stocks), np.bincount(of_stock, np.log(usual))
    n_customers = int(places.max()) + 1

    def negative(point: Floats) -> tuple[float, Floats]:
        k, s, theta = np.exp(point[:3])
        stretches = stocks ** point[3]
        h = stretches[of_stock]
        sums, days = np.bincount(places, h), theta + np.bincount(places, h * usual)
        second = s + k * sums
        log_h = n * np.log(stretches) + logs
        value = (
            (k * stretches * log_h - n * special.gammaln(k * stretches)).sum()
            + n_customers * (s * np.log(theta) - special.gammaln(s))
            + (special.gammaln(second) - second * np.log(days)).sum()
        )
        pull = special.psi(second) - np.log(days)
        own = log_h - n * special.psi(k * stretches)
        of_h = k * (own + n) * stretches
        # how a customer's sums follow the stretching
        grown = h * log_stocks[of_stock]
        gradient = (
            k * ((stretches * own).sum() + (sums * pull).sum()),
            s * (n_customers * (np.log(theta) - special.psi(s)) + pull.sum()),
            theta * (n_customers * s / theta - (second / days).sum()),
            (of_h * log_stocks).sum()
            + (k * np.bincount(places, grown) * pull).sum()
            - (second / days * np.bincount(places, grown * usual)).sum(),
        )
        return -float(value) / n_customers, -np.array(gradient) / n_customers

    # without any stock there is nothing to stretch
    most = 1.0 if len(stocks) > 1 else 0.0
    found = optimize.minimize(
        negative, np.array([0.0, 0.0, 0.0, most / 2]), jac=True, method="L-BFGS-B",
        bounds=[*np.log(BOUNDS), (0.0, most)],
    )  # fmt: skip
    k, s, theta = np.exp(found.x[:3])
    return float(k), float(s), float(theta) * scale, float(found.x[3])
