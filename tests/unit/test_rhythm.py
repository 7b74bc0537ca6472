"""The rhythm model: what it recovers, what it does with little, and which multiplier it chooses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, special, stats

from winback.model import rhythm
from winback.model.rhythm import Purchases, Rhythm

RHYTHM = Rhythm(2.0, 3.0, 100.0, 0.5, 1.75, None, 1000, is_fitted=True)


def made_up(
    n_customers: int, elasticity: float, shape: float = 2.0, seed: int = 1, stretching: float = 0.0
) -> Purchases:
    """Customers who buy with gamma gaps of a rate from Gamma(3, 1/100), longer after more."""
    random = np.random.default_rng(seed)
    customer, day, quantity = [], [], []
    for nth in range(n_customers):
        n = random.integers(2, 15)
        bought = np.exp(random.normal(0, 0.8, n)).round() + 1
        usual = np.exp(np.cumsum(np.log(bought)) / np.arange(1, n + 1))
        stock = (bought / usual)[:-1] ** elasticity
        stretches = stock**stretching
        waits = random.gamma(shape * stretches, 1 / random.gamma(3.0, 1 / 100)) / stretches
        gaps = np.maximum(1, (waits * stock).round())
        customer += [nth] * n
        day += [0, *np.cumsum(gaps).astype(int)]
        quantity += list(bought)
    return Purchases(np.array(customer), np.array(day), np.array(quantity, float))


@pytest.mark.parametrize(
    ("elasticity", "shape", "stretching"),
    [(0.0, 1.0, 0.0), (0.8, 2.0, 0.0), (1.0, 3.0, 0.0), (0.8, 2.0, 1.0), (1.0, 3.0, 0.5)],
)
def test_a_simulated_population_is_recovered(
    elasticity: float, shape: float, stretching: float
) -> None:
    fitted = rhythm.fit(made_up(4000, elasticity, shape, stretching=stretching), 1.75)
    assert fitted.is_fitted
    assert fitted.gap_shape == pytest.approx(shape, rel=0.1)
    assert fitted.rate_shape == pytest.approx(3.0, rel=0.15)
    assert fitted.rate_days == pytest.approx(100.0, rel=0.2)
    assert fitted.quantity_elasticity == pytest.approx(elasticity, abs=0.05)
    assert fitted.stretching == pytest.approx(stretching, abs=0.08)


def test_a_stock_that_is_as_many_gaps_has_the_quantiles_of_their_sum() -> None:
    """Four gaps of one rate one after the other, drawn one by one, against the row of level 4."""
    random = np.random.default_rng(4)
    rates = random.gamma(3.0 + 2.0 * 5, 1 / (100 + 250), 400_000)
    sums = random.gamma(2.0, 1 / rates, (4, len(rates))).sum(axis=0)
    level = rhythm.stock_levels(np.array([4.0]))
    found = rhythm.quantiles(replace(RHYTHM, stretching=1.0), np.array([5]), level)
    for name, share in rhythm.QUANTILES.items():
        assert np.mean(sums <= found[name] * 350 * 4) == pytest.approx(share, abs=0.003), name
    # one long gap of the same mean is far less certain
    long = rhythm.quantiles(RHYTHM, np.array([5]), level)
    assert long["late"] - long["early"] > 1.5 * (found["late"] - found["early"])


def test_a_usual_quantity_has_the_same_quantiles_however_stocks_stretch() -> None:
    n_gaps = np.arange(50)
    usual, stretched = (
        rhythm.quantiles(replace(RHYTHM, stretching=each), n_gaps) for each in (0.0, 1.0)
    )
    assert all((usual[name] == stretched[name]).all() for name in rhythm.QUANTILES)


def test_levels_are_two_to_a_doubling_and_end() -> None:
    factors = np.array([1e-4, 0.5, 0.8, 1.0, 1.18, 1.2, 2.0, 8.0, 900.0])
    assert rhythm.stock_levels(factors).tolist() == [-2, -2, -1, 0, 0, 1, 2, 6, 6]


def test_a_quantile_is_that_of_the_mixture() -> None:
    """The closed form against the integral over a customer's unknown rate."""
    [late] = rhythm.quantiles(RHYTHM, np.array([4]))["late"] * (100 + 250)
    rate = stats.gamma(3 + 2 * 4, scale=1 / (100 + 250))
    share, _ = integrate.quad(
        lambda each: rate.pdf(each) * special.gammainc(2.0, each * late), 0, 0.5
    )
    assert share == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("stretching", [0.0, 1.0])
def test_the_next_gap_lies_within_its_quantiles_as_often_as_they_say(stretching: float) -> None:
    purchases = made_up(4000, 0.8, seed=2, stretching=stretching)
    fitted = rhythm.fit(made_up(4000, 0.8, seed=1, stretching=stretching), 1.75)
    ends = np.flatnonzero(np.diff(purchases.customer, append=-1) != 0)
    gaps = (purchases.day[ends] - purchases.day[ends - 1]).astype(float)
    n_gaps, sums = rhythm.gap_sums(purchases, fitted.quantity_elasticity)
    factors = rhythm.stock_factors(rhythm.quantity_ratios(purchases), fitted.quantity_elasticity)
    levels = rhythm.stock_levels(factors[ends - 1])
    found = rhythm.quantiles(fitted, n_gaps[ends - 1].astype(int), levels)
    is_large = levels > 1
    scale = (fitted.rate_days + sums[ends - 1]) * factors[ends - 1]
    for name, share in rhythm.QUANTILES.items():
        is_within = gaps <= scale * found[name]
        assert np.mean(is_within) == pytest.approx(share, abs=0.02), name
        # some 230 or more
        assert np.mean(is_within[is_large]) == pytest.approx(share, abs=0.06), name


def test_sums_and_ratios_stay_with_their_customer() -> None:
    purchases = Purchases(
        np.array([0, 0, 0, 1, 1]),
        np.array([0, 10, 70, 5, 8]),
        np.array([1.0, 4.0, np.nan, 0.0, 3.0]),
    )
    ratios = rhythm.quantity_ratios(purchases)
    assert np.exp(ratios).round(4).tolist() == [1.0, 2.0, 1.0, 1.0, 1.0]
    n_gaps, sums = rhythm.gap_sums(purchases, 1.0)
    assert n_gaps.tolist() == [0, 1, 2, 0, 1]
    assert sums.tolist() == [0, 10, 40, 0, 3]


@pytest.mark.parametrize("n_customers", [0, 1, 49])
def test_too_few_purchases_give_the_default(n_customers: int) -> None:
    made = made_up(n_customers, 0.0) if n_customers else Purchases(*[np.array([], int)] * 3)
    fitted = rhythm.fit(made, 1.75)
    assert not fitted.is_fitted
    assert rhythm.quantiles(fitted, np.array([0]))["late"][0] > 0


def test_customers_who_are_all_alike_end_within_bounds() -> None:
    n_customers, n_each = 200, 10
    customer = np.repeat(np.arange(n_customers), n_each)
    day = np.tile(np.arange(n_each) * 30, n_customers)
    fitted = rhythm.fit(Purchases(customer, day, np.ones(len(day))), 1.75)
    assert fitted.gap_shape <= 30.0001
    assert np.isfinite([fitted.rate_shape, fitted.rate_days]).all()
    found = rhythm.quantiles(fitted, np.array([9]))
    expected = (fitted.rate_days + 270) * found["expected"][0]
    assert 25 < expected < 35


def test_the_smallest_multiplier_that_keeps_the_promise_is_chosen() -> None:
    # those up to twice as late come back, one in twenty of the others does; the long gone never do
    lateness = np.concatenate([np.linspace(1.01, 5.0, 1000), np.full(5000, 20.0)])
    returned = np.zeros(6000, bool)
    returned[:1000] = np.where(lateness[:1000] <= 2.0, True, np.arange(1000) % 20 == 0)
    multiplier, share = rhythm.calibrate(lateness, returned, 10.0) or (0, 0)
    assert 1.8 < multiplier <= 2.0
    assert share <= 10.0
    below = round(multiplier - 0.05, 2)
    assert 100 * returned[(lateness > below) & (lateness <= 2 * below)].mean() > 10.0


def test_where_no_multiplier_keeps_it_the_best_is_taken_and_told() -> None:
    lateness = np.linspace(1.01, 8.0, 3000)
    returned = np.arange(3000) % 10 < np.select([lateness > 6.0, lateness > 3.0], [7, 5], 9)
    multiplier, share = rhythm.calibrate(lateness, returned, 10.0) or (0, 0)
    assert multiplier == pytest.approx(3.0, abs=0.05)
    assert 48 < share < 52


def test_a_handful_of_late_buyers_chooses_nothing() -> None:
    few = rhythm.FEWEST_SLEEPING - 1
    assert rhythm.calibrate(np.full(few, 2.0), np.zeros(few, bool), 10.0) is None


def test_who_buys_by_the_calendar_is_left_out_of_the_fit() -> None:
    purchases = Purchases(
        np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 3]),
        # twice at Christmas and the year before; two purchases in May; all year round; once
        np.array([340, 700, 714, 120, 490, 10, 100, 200, 300, 380, 50]),
        np.ones(11),
    )
    kept = rhythm.without_calendar_buyers(purchases, 30, 80)
    assert set(kept.customer.tolist()) == {2, 3}
    assert len(kept.day) == 6
    nobody = rhythm.without_calendar_buyers(Purchases(*[np.array([], int)] * 3), 30, 80)
    assert len(nobody.day) == 0
