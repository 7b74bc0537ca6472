"""The personal rhythm: how long a customer usually waits between two purchases.

A customer's gaps are gamma distributed with a rate of their own; the rates of all customers are
gamma distributed as well. What one customer's gaps say is thus weighed against everybody's
(empirical Bayes): with gap shape k, and rates of shape s and scale 1/d (d in days), n gaps of sum S
leave a rate of Gamma(s + k n, d + S), so the next gap is (d + S) times a beta prime variate of
(k, s + k n). With k = 1 this is the Pareto II waiting time behind the NBD; regular buyers (k > 1)
are those of Chatfield and Goodhardt (1973), "A Consumer Purchasing Model with Erlang Inter-Purchase
Times", JASA 68.

What was bought last covers a longer time when it was more than usual: gaps are divided by the stock
factor f, the quantity over the customer's geometric mean so far, to the power of an elasticity. A
stock is used up stretch by stretch: f independent gamma gaps of shape k and one rate sum to a gamma
of shape k f (the gamma's additivity; Johnson, Kotz and Balakrishnan 1994, "Continuous Univariate
Distributions" 1, chapter 17), so that six packs last six times as long, but not six times as
uncertainly. Where usual quantities are only guessed, or a large basket is now and then for guests,
less than that holds. So the shape is k f^g with the stretching g between 0 (a large stock is one
long gap) and 1 (it is f gaps), whichever the company's gaps make most likely; the mean is f times
the usual one in any case. The next gap is (d + S) f / f^g times a beta prime variate of
(k f^g, s + k n). What a customer's own past says still counts gaps, not stretches: n and S are
sums of gaps divided by f, as large stocks are rare.

Pure: arrays in, numbers out. The search for what makes the gaps most likely is `gap_likelihood`;
reading purchases and storing what was fitted is `training/`; the same sums for every purchase are
`int_purchases__rhythm`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from winback.model import gap_likelihood

Floats = NDArray[np.float64]

# fewer say nothing about a population: a small shop must not be fitted to its noise
FEWEST_GAPS = 200
FEWEST_CUSTOMERS = 50
FEWEST_SLEEPING = 200
# an elasticity that could be chance is none
LEAST_T_VALUE = 3.0
# of the elasticity by the stretching and the other way round; simulated ones stand still after two
REFINEMENTS = 2
# of the stock factor: two to a doubling, from a half to eight times the usual; beyond as at the end
LEVELS_PER_DOUBLING = 2
STOCK_LEVELS = (-2, 6)
# as the warehouse rounds; and a stock of none would divide by nothing
LEAST_FACTOR = 1e-4
QUANTILES = {"early": 0.1, "expected": 0.5, "late": 0.9}
MULTIPLIERS = np.arange(1.0, 6.01, 0.05).round(2)


@dataclass(frozen=True)
class Rhythm:
    """Everybody's rhythm, against which one customer's is weighed.

    Attributes:
        gap_shape: k; 1 buys at random times, more is more regular.
        rate_shape: s; the larger, the more alike customers are.
        rate_days: d, in days.
        quantity_elasticity: 1 when twice the quantity covers twice the time, 0 when none.
        lapse_multiplier: Lapsed after so many late gaps (the 90 % quantile).
        returned_pct: Of those whom that calls sleeping, so many bought within the window; None when
            too few were there to tell.
        n_gaps: Gaps behind the fit.
        is_fitted: False when there were too few, and the default stands instead.
        stretching: g; 1 when a stock is as many gaps one after the other, 0 when it is one long
            gap. Runs of earlier versions lack it, and meant 0.
    """

    gap_shape: float
    rate_shape: float
    rate_days: float
    quantity_elasticity: float
    lapse_multiplier: float
    returned_pct: float | None
    n_gaps: int
    is_fitted: bool
    stretching: float = 0.0


@dataclass(frozen=True)
class Purchases:
    """Purchase days of customers, one element each, by customer and day.

    Attributes:
        customer: Number of the customer, ascending from 0.
        day: Day number, ascending within a customer.
        quantity: Items bought on that day; NaN where unknown.
    """

    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    quantity: Floats


def fit(purchases: Purchases, multiplier: float) -> Rhythm:
    """Fits gap shape, rates and elasticity by maximum likelihood.

    Args:
        purchases: What is known.
        multiplier: Stands as the lapse multiplier until `calibrate` chose one.

    Returns:
        The rhythm; a default that expects a purchase every month or two when there are fewer
        than `FEWEST_GAPS` gaps or `FEWEST_CUSTOMERS` customers with one.
    """
    of_gap, gaps = _gaps(purchases)
    n_customers = len(np.unique(purchases.customer[of_gap]))
    if len(gaps) < FEWEST_GAPS or n_customers < FEWEST_CUSTOMERS:
        return Rhythm(1.0, 3.0, 90.0, 0.0, multiplier, None, len(gaps), is_fitted=False)
    customer, ratios = purchases.customer[of_gap], quantity_ratios(purchases)[of_gap - 1]
    elasticity = _elasticity(customer, np.log(gaps), ratios)
    factors = stock_factors(ratios, elasticity)
    shape, rate_shape, rate_days, stretching = gap_likelihood.fit(customer, gaps, factors)
    for _ in range(REFINEMENTS if stretching else 0):
        # the log of a gap of larger shape is larger at the same mean: not the elasticity's doing
        shapes = shape * factors**stretching
        logs = np.log(gaps) - special.psi(shapes) + np.log(shapes)
        elasticity = _elasticity(customer, logs, ratios)
        factors = stock_factors(ratios, elasticity)
        shape, rate_shape, rate_days, stretching = gap_likelihood.fit(customer, gaps, factors)
    return Rhythm(
        round(shape, 4), round(rate_shape, 4), round(rate_days, 4), elasticity, multiplier, None,
        len(gaps), is_fitted=True, stretching=round(stretching, 4),
    )  # fmt: skip


def without_calendar_buyers(
    purchases: Purchases, season_days: int, season_share_pct: float
) -> Purchases:
    """The purchases of those who do not buy in the same weeks of each year.

    Whose gaps the calendar makes say nothing about anybody's rhythm. The rule is that of
    `int_purchases__calendar`, at each customer's last purchase.

    Args:
        purchases: Of all customers.
        season_days: So many days before and after an anniversary are the same weeks.
        season_share_pct: So many per cent of the purchases must lie in them.
    """
    customer = purchases.customer
    if not len(customer):
        return purchases
    ends = np.append(np.flatnonzero(np.diff(customer)), len(customer) - 1)
    places = np.unique(customer, return_inverse=True)[1]
    before = purchases.day[ends][places] - purchases.day
    years = np.rint(before / 365.25)
    is_in_season = np.abs(before - years * 365.25) <= season_days
    # purchases come in order of days, so the years of a customer do as well
    is_new_year = is_in_season & np.append(
        True, (np.diff(years) != 0) | (np.diff(customer) != 0) | ~is_in_season[:-1]
    )
    n, n_in_season, n_years = (
        np.bincount(places, each, minlength=len(ends))
        for each in (np.ones(len(places)), is_in_season, is_new_year)
    )
    is_by_calendar = (n_years >= 2) & (100 * n_in_season >= season_share_pct * n)
    kept = ~is_by_calendar[places]
    return Purchases(customer[kept], purchases.day[kept], purchases.quantity[kept])


def quantity_ratios(purchases: Purchases) -> Floats:
    """Log of each quantity over the customer's geometric mean up to then; 0 where unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(purchases.quantity)
    is_known = np.isfinite(logs)
    sums = _running_sum(purchases.customer, np.where(is_known, logs, 0.0))
    counts = _running_sum(purchases.customer, is_known.astype(float))
    return np.where(is_known, logs - sums / np.maximum(counts, 1.0), 0.0).round(7)


def stock_factors(ratios: Floats, elasticity: float) -> Floats:
    """How much longer than usual a purchase lasts, from `quantity_ratios`."""
    return np.maximum(np.exp(elasticity * ratios).round(4), LEAST_FACTOR)


def stock_levels(factors: Floats) -> NDArray[np.int64]:
    """Of which row of `quantiles` a stock is, from `stock_factors`; 0 is the usual quantity."""
    levels = np.rint(LEVELS_PER_DOUBLING * np.log2(factors))
    ends: NDArray[np.int64] = np.clip(levels, *STOCK_LEVELS).astype(np.int64)
    return ends


def gap_sums(purchases: Purchases, elasticity: float) -> tuple[Floats, Floats]:
    """The number n and the adjusted sum S (days) of all gaps up to each purchase."""
    of_gap, gaps = _gaps(purchases)
    factors = stock_factors(quantity_ratios(purchases), elasticity)
    adjusted = np.zeros(len(purchases.day))
    adjusted[of_gap] = (gaps / factors[of_gap - 1]).round(2)
    has_gap = np.zeros(len(purchases.day))
    has_gap[of_gap] = 1.0
    return (
        _running_sum(purchases.customer, has_gap),
        _running_sum(purchases.customer, adjusted).round(2),
    )


def quantiles(
    rhythm: Rhythm, n_gaps: NDArray[np.int64], levels: NDArray[np.int64] | int = 0
) -> dict[str, Floats]:
    """Quantiles of the next gap by number of gaps, in units of (d + S) times the stock factor.

    Args:
        rhythm: Everybody's.
        n_gaps: Numbers of gaps.
        levels: Of what was bought last, from `stock_levels`, one for each number or for all.

    Returns:
        For each name in `QUANTILES` one value per number.
    """
    stretches = np.exp2(rhythm.stretching * np.asarray(levels) / LEVELS_PER_DOUBLING)
    second = rhythm.rate_shape + rhythm.gap_shape * n_gaps
    found = {}
    for name, q in QUANTILES.items():
        x = special.betaincinv(rhythm.gap_shape * stretches, second, q)
        found[name] = (x / (1 - x) / stretches).round(8)
    return found


def calibrate(
    lateness: Floats, has_returned: NDArray[np.bool_], most_returned_pct: float
) -> tuple[float, float] | None:
    """The smallest lapse multiplier by which few of the sleeping come back by themselves.

    The sleeping are those who lapsed, but not yet twice over: together with the long gone, who
    never come back, any multiplier would seem good enough.

    Args:
        lateness: Silence over the late gap (90 % quantile, stock included), for repeat buyers at
            past dates.
        has_returned: Whether they bought within the window after that date.
        most_returned_pct: So many per cent of the sleeping may come back.

    Returns:
        The multiplier, and the per cent that came back with it; where none is enough, the one with
        which fewest came back. None when fewer than `FEWEST_SLEEPING` were late.
    """
    order = np.argsort(lateness)
    ordered = lateness[order]
    begin, end = (ordered.searchsorted(times * MULTIPLIERS, side="right") for times in (1, 2))
    is_judged = end - begin >= FEWEST_SLEEPING
    if not is_judged.any():
        return None
    n_returned = np.concatenate([[0], np.cumsum(has_returned[order])])
    shares = np.full(len(MULTIPLIERS), np.inf)
    shares[is_judged] = 100.0 * (n_returned[end] - n_returned[begin])[is_judged]
    shares[is_judged] /= (end - begin)[is_judged]
    fits = np.flatnonzero(shares <= most_returned_pct)
    place = fits[0] if len(fits) else np.argmin(shares)
    return float(MULTIPLIERS[place]), round(float(shares[place]), 2)


def _gaps(purchases: Purchases) -> tuple[NDArray[np.int64], Floats]:
    """Positions of the purchases that end a gap, and the gaps in days."""
    of_gap = np.flatnonzero(np.diff(purchases.customer) == 0) + 1
    return of_gap, (purchases.day[of_gap] - purchases.day[of_gap - 1]).astype(float)


def _running_sum(customer: NDArray[np.int64], values: Floats) -> Floats:
    total = np.cumsum(values)
    first = np.flatnonzero(np.diff(customer, prepend=-1))
    before = np.repeat(total[first] - values[first], np.diff(first, append=len(customer)))
    return total - before


def _elasticity(customer: NDArray[np.int64], log_gaps: Floats, ratios: Floats) -> float:
    """Slope of log gap on the log ratio of what was bought before it, within customers."""
    places = np.unique(customer, return_inverse=True)[1]
    counts = np.bincount(places)
    x, y = (
        values - (np.bincount(places, values) / counts)[places] for values in (ratios, log_gaps)
    )
    squares = x @ x
    freedom = len(x) - len(counts) - 1
    if squares <= 0 or freedom <= 0:
        return 0.0
    slope = (x @ y) / squares
    residual = y - slope * x
    error = np.sqrt(residual @ residual / freedom / squares)
    is_chance = slope < LEAST_T_VALUE * error
    return 0.0 if is_chance else float(np.clip(np.round(slope, 2), 0.0, 1.0))
