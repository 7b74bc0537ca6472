"""What a fitted BG/NBD model says of a customer: still active or not, and how much is to come.

Nobody is ranked by the probability of being active: it is 1 by construction for those without a
repeat purchase, who return least. Rank by expected purchases or by value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from winback.model.bg_nbd import BgNbd
from winback.model.purchase_history import Floats, checked, distinct

# the formula has gaps at a = 1 and a + b = 1, where it is bridged this far on both sides
BRIDGE = 1e-5
# Beyond both of these SciPy's 2F1 may be wrong or give up (1.17): from y = 9 on, and c = 78 where
# differences of parameters are whole, else c = 172. Below, right to 1e-6 in 150,000 random places
# within the bounds of `bg_nbd`.
FAR_C, FAR_Y = 40.0, 5.0
# 1 minus 2F1 loses its digits where it is smaller: beside a gap, and for very short times
LEAST_DIFFERENCE = 1e-9
# logarithm of the share that integration leaves out
TAIL = 40.0


def probability_alive(
    model: BgNbd, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> Floats:
    """Probability that a customer is still active.

    Args:
        model: Fitted.
        frequency: Repeat purchases.
        recency: From the first to the last purchase, in the model's unit of time.
        age: From the first purchase to now.

    Returns:
        One per customer; exactly 1 without a repeat purchase, whatever the silence.

    Raises:
        HistoryError: The histories contradict themselves.

    Source:
        Fader, Hardie and Lee (2008), Computing P(alive) Using the BG/NBD Model.
    """
    x, t_x, total = checked(frequency, recency, age)
    is_again = x > 0
    odds = np.log(model.a / (model.b + np.where(is_again, x, 1.0) - 1))
    odds += (model.r + x) * np.log((model.alpha + total) / (model.alpha + t_x))
    return np.where(is_again, special.expit(-odds), 1.0)


def expected_purchases(model: BgNbd, time: ArrayLike) -> Floats:
    """Mean number of repeat purchases of all customers by the time since their first purchase.

    Equation (9) of Fader, Hardie and Lee (2005).

    Args:
        model: Fitted.
        time: Since the first purchase, in the model's unit of time; any number of them.
    """
    times = np.atleast_1d(np.asarray(time, dtype=float))
    nothing = np.zeros(len(times))
    return _if_alive(model, nothing, nothing, times)


def conditional_expected_purchases(
    model: BgNbd, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, horizon: float
) -> Floats:
    """Expected purchases of a customer within the time to come.

    Equation (10) of Fader, Hardie and Lee (2005).

    Args:
        model: Fitted.
        frequency: Repeat purchases so far.
        recency: From the first to the last purchase, in the model's unit of time.
        age: From the first purchase to now.
        horizon: From now on.

    Raises:
        HistoryError: The histories contradict themselves.
    """
    alive = probability_alive(model, frequency, recency, age)
    return alive * expected_purchases_if_alive(model, frequency, age, horizon)


def expected_purchases_if_alive(
    model: BgNbd, frequency: ArrayLike, age: ArrayLike, horizon: float
) -> Floats:
    """Expected purchases within the time to come, of a customer who is known to be active now."""
    x, total = np.asarray(frequency, dtype=float), np.asarray(age, dtype=float)
    example, place = distinct(x, total)
    times = np.full(len(example), float(horizon))
    return _if_alive(model, x[example], total[example], times)[place]


def _if_alive(model: BgNbd, x: Floats, age: Floats, times: Floats) -> Floats:
    y = times / (model.alpha + age)
    for gap in (1.0, 1.0 - model.b):
        below, above = gap - BRIDGE, gap + BRIDGE
        if below < model.a < above:
            share = (model.a - below) / (above - below)
            return (1 - share) * _closed(model.r, below, model.b, x, y) + share * _closed(
                model.r, above, model.b, x, y
            )
    return _closed(model.r, model.a, model.b, x, y)


def _closed(r: float, a: float, b: float, x: Floats, y: Floats) -> Floats:
    """The numerator of equation (10), for a horizon of y times (alpha + T).

    Euler's transformation of its 2F1(r + x, b + x; a + b + x - 1; z), z = y / (1 + y), takes x out
    of the first two parameters and the power of 1 - z: nothing overflows for frequent buyers.
    """
    c = a + b + x - 1
    found = np.empty(len(x))
    is_integrated = (c > FAR_C) & (y > FAR_Y)
    is_integrated |= (r + x) * y * abs(a - 1) < LEAST_DIFFERENCE * np.abs(c)
    for i in np.flatnonzero(is_integrated):
        found[i] = _integrated(r + x[i], a, b + x[i], y[i])
    c, y = c[~is_integrated], y[~is_integrated]
    rest = np.exp((1 - a) * np.log1p(y)) * special.hyp2f1(a - 1, a + b - 1 - r, c, y / (1 + y))
    found[~is_integrated] = c / (a - 1) * (1 - rest)
    return found


def _integrated(k: float, a: float, b: float, y: float) -> float:
    """The same with k = r + x, as the mean of g(p) = (1 - (1 + p y)^-k) / p over p ~ Beta(a, b).

    The trapezoidal rule over the log-odds of p converges exponentially. So that nothing is cut off
    at either end, k y (1 - p)^m and g(1) p, whose means are known, are taken off g before.
    """
    at_zero, at_one = k * y, -np.expm1(-k * np.log1p(y))
    m = max(at_zero, 1.0)
    step = min(0.25, 0.8 * np.sqrt(special.polygamma(1, a) + special.polygamma(1, b)))
    log_odds = np.arange(
        -np.log(max(m, b)) - TAIL / (1 + a), np.log1p(a) + TAIL / (1 + b) + step, step
    )
    log_p, log_rest = special.log_expit(log_odds), special.log_expit(-log_odds)
    p = np.exp(log_p)
    density = np.exp(a * log_p + b * log_rest - special.betaln(a, b))
    g = -np.expm1(-k * np.log1p(p * y)) / p
    between = step * (density * (g - at_zero * np.exp(m * log_rest) - at_one * p)).sum()
    off = at_zero * np.exp(special.betaln(a, b + m) - special.betaln(a, b)) + at_one * a / (a + b)
    return float(between + off)
