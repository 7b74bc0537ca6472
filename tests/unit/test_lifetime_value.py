"""Lifetime values against their definition, simulated customers with a known truth, edge cases."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.model_customers import MadeUpCustomers, World, make_up
from tests.unit.cdnow_sample import read_sample
from winback.errors import HistoryError
from winback.model import bg_nbd, gamma_gamma
from winback.model.bg_nbd import BgNbd
from winback.model.discounting import Discounting, discounted_purchases_if_alive
from winback.model.expected_purchases import (
    conditional_expected_purchases,
    expected_purchases_if_alive,
    probability_alive,
)
from winback.model.gamma_gamma import GammaGamma, expected_amount
from winback.model.lifetime_value import (
    Customers,
    Estimate,
    LifetimeValues,
    lifetime_values,
    margin_shares,
)
from winback.model.purchase_history import compress

WORLD = World()
PURCHASES = BgNbd(WORLD.r, WORLD.alpha, WORLD.a, WORLD.b, 0.0, True, False, 0, "", 1.0)
AMOUNTS = GammaGamma(6.25, 3.74, 15.44, 0.0, True, False, 0, "", 1, 0)
YEAR = Discounting(months=12, yearly_rate=0.1)
MARGIN = 0.4

Columns = NDArray[np.float64]


def customers(x: Any, t_x: Any, age: Any, mean: Any, share: Any = MARGIN) -> Customers:
    x, t_x, age, mean = (np.asarray(each, dtype=float) for each in (x, t_x, age, mean))
    shares = np.broadcast_to(np.asarray(share, dtype=float), x.shape)
    return Customers(x, t_x, age, x, mean, shares, np.zeros(x.shape, bool))


def values_of(*columns: Any, discounting: Discounting = YEAR, **options: Any) -> LifetimeValues:
    return lifetime_values(PURCHASES, AMOUNTS, customers(*columns), discounting, **options)


def both(values: LifetimeValues) -> tuple[Estimate, Estimate]:
    return values.alive_weighted, values.given_return


# Definitions


def test_who_sent_everything_back_is_worth_nothing_and_comes_after_everybody_else() -> None:
    made = customers([0, 9, 1, 9], [0, 30, 10, 30], [38] * 4, [0, 0, 0.01, 40])
    of_all = lifetime_values(PURCHASES, AMOUNTS, made, YEAR)
    sent_back = np.array([True, True, False, False])
    found = lifetime_values(PURCHASES, AMOUNTS, replace(made, sent_all_back=sent_back), YEAR)
    for before, after in zip(both(of_all), both(found), strict=True):
        for name in ("expected", "low", "high"):
            assert (getattr(after, name)[:2] == 0).all()
            assert (getattr(after, name)[2:] == getattr(before, name)[2:]).all()
        # others spend something, so without being told the model expects it of them as well
        assert (before.expected > 0).all()
        assert (after.expected[2:] > 0).all()


def test_a_value_is_the_discounted_margin_of_each_month() -> None:
    history = [2], [100], [300]
    found = values_of(*history, [50.0])
    ends = [
        conditional_expected_purchases(PURCHASES, *history, k * 365.25 / 12)[0] for k in range(13)
    ]
    margin = MARGIN * expected_amount(AMOUNTS, [2], [50.0])[0]
    expected = sum(
        (ends[k] - ends[k - 1]) * margin * 1.1 ** -((k - 0.5) / 12) for k in range(1, 13)
    )
    assert found.alive_weighted.expected[0] == pytest.approx(expected)


def test_given_the_return_is_a_purchase_now_and_those_after_it() -> None:
    found = values_of([2], [100], [300], [50.0], discounting=Discounting(12, 0.0))
    after = conditional_expected_purchases(PURCHASES, [3], [300], [300], 365.25)[0]
    margin = MARGIN * expected_amount(AMOUNTS, [2], [50.0])[0]
    assert found.given_return.expected[0] == pytest.approx(margin * (1 + after))


def test_given_the_return_a_long_silence_does_not_lower_the_value() -> None:
    """The probability of being active is in one value, and not in the other."""
    early, late = ([5], [50], [600], [40.0]), ([5], [500], [600], [40.0])
    assert probability_alive(PURCHASES, *early[:3])[0] < 0.1
    before, after = values_of(*early), values_of(*late)
    assert before.alive_weighted.expected[0] < 0.2 * after.alive_weighted.expected[0]
    assert before.given_return.expected[0] == after.given_return.expected[0]


def test_money_later_is_worth_less_and_more_time_brings_more() -> None:
    history = [3], [200], [300], [40.0]
    for name in ("alive_weighted", "given_return"):
        plain, discounted, longer, shorter = (
            getattr(values_of(*history, discounting=each), name).expected[0]
            for each in (
                Discounting(12, 0.0),
                Discounting(12, 0.2),
                Discounting(24, 0.0),
                Discounting(1, 0.0),
            )
        )
        assert shorter < discounted < plain < longer
        # nothing is taken off by more than a year's rate
        assert discounted > plain / 1.2


def test_weeks_and_days_give_the_same_values() -> None:
    weeks = replace(PURCHASES, alpha=WORLD.alpha / 7)
    in_weeks = lifetime_values(
        weeks, AMOUNTS, customers([2], [10], [30], [50.0]), Discounting(month=365.25 / 12 / 7)
    )
    in_days = values_of([2], [70], [210], [50.0])
    for one, other in zip(both(in_weeks), both(in_days), strict=True):
        for end in ("expected", "low", "high"):
            assert getattr(one, end) == pytest.approx(getattr(other, end))


def test_the_margin_scales_all_of_it() -> None:
    history = [2, 0], [100, 0], [300, 40], [50.0, np.nan]
    once, twice = values_of(*history, 0.2), values_of(*history, 0.4)
    for half, whole in zip(both(once), both(twice), strict=True):
        for end in ("expected", "low", "high"):
            assert 2 * getattr(half, end) == pytest.approx(getattr(whole, end))


def test_a_loss_per_purchase_is_a_negative_value_with_its_ends_in_order() -> None:
    for each in both(values_of([2], [290], [300], [50.0], -0.3)):
        assert each.low[0] < each.expected[0] < each.high[0] <= 0


def test_margin_shares_come_from_the_cost_where_it_is_known() -> None:
    turnover = [100.0, 100.0, 100.0, 0.0, -50.0, 100.0, 1.0]
    cost = [60.0, np.nan, 0.0, 10.0, 10.0, 130.0, 1000.0]
    found = margin_shares(turnover, cost, 0.35)
    assert found == pytest.approx([0.4, 0.35, 1.0, 0.35, 0.35, -0.3, -1.0])
    assert margin_shares([], [], 0.35).shape == (0,)


# Intervals, where the truth about each customer is known


def made_up_world() -> tuple[MadeUpCustomers, Columns, Columns]:
    """Customers, their mean amounts as seen, and the true ones."""
    made_up = make_up(100_000, WORLD, seed=8)
    draw = np.random.default_rng(9)
    rate = draw.gamma(AMOUNTS.q, 1 / AMOUNTS.gamma, len(made_up.age))
    x = np.maximum(made_up.frequency, 1)
    seen = np.where(made_up.frequency > 0, draw.gamma(AMOUNTS.p * x) / rate / x, np.nan)
    return made_up, seen, AMOUNTS.p / rate


def discounted_purchases(made_up: MadeUpCustomers) -> Columns:
    """Of customers whose rate and drop-out are known, by month."""
    p = np.maximum(made_up.drop_out, 1e-12)
    total = np.zeros(len(p))
    before = np.zeros(len(p))
    for k in range(12):
        now = -np.expm1(-made_up.rate * p * (k + 1) * YEAR.month) / p
        total += (now - before) * 1.1 ** -((k + 0.5) / 12)
        before = now
    return total


def coverage(estimate: Estimate, truth: Columns, weight: Columns) -> tuple[float, float, float]:
    """Shares of the truth below, within and above the interval."""
    parts = (
        truth < estimate.low,
        (truth >= estimate.low) & (truth <= estimate.high),
        truth > estimate.high,
    )
    below, within, above = ((weight * part).sum() / weight.sum() for part in parts)
    return float(below), float(within), float(above)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_cover_the_truth_as_often_as_they_say(confidence: float) -> None:
    made_up, seen, amount = made_up_world()
    who = customers(made_up.frequency, made_up.recency, made_up.age, seen)
    found = lifetime_values(PURCHASES, AMOUNTS, who, YEAR, confidence)
    to_come = discounted_purchases(made_up)
    tail = (1 - confidence) / 2

    truth = MARGIN * amount * made_up.is_alive * to_come
    alive = probability_alive(PURCHASES, who.frequency, who.recency, who.age)
    for x in (0, 1, 2, 4):
        is_here = made_up.frequency == x
        below, within, above = coverage(found.alive_weighted, truth, 1.0 * is_here)
        # who may have dropped out may be worth exactly nothing, which is then at the lower end, and
        # where that is likely, at the upper one
        assert max(below, above) <= tail + 0.012
        assert within >= confidence - 0.02
        _, _, above = coverage(found.alive_weighted, truth, 1.0 * (is_here & (alive > 0.5)))
        assert above == pytest.approx(tail, abs=0.015)
    assert found.alive_weighted.expected.mean() == pytest.approx(truth.mean(), rel=0.03)

    # somebody active buys now with a chance that grows with the rate
    truth = MARGIN * amount * (1 + (1 - made_up.drop_out) * to_come)
    buys_now = made_up.is_alive * made_up.rate
    for is_here in (made_up.frequency == 0, made_up.frequency == 1, made_up.frequency > 1):
        below, within, above = coverage(found.given_return, truth, buys_now * is_here)
        assert below == pytest.approx(tail, abs=0.02)
        assert above == pytest.approx(tail, abs=0.02)
        assert within == pytest.approx(confidence, abs=0.03)
    mean = (buys_now * found.given_return.expected).sum() / (buys_now * truth).sum()
    assert mean == pytest.approx(1, abs=0.05)


def test_a_narrower_interval_would_be_noticed() -> None:
    """That of 80 % covers less than 95 %: the test above can fail."""
    made_up, seen, amount = made_up_world()
    who = customers(made_up.frequency, made_up.recency, made_up.age, seen)
    found = lifetime_values(PURCHASES, AMOUNTS, who, YEAR, 0.8)
    truth = MARGIN * amount * made_up.is_alive * discounted_purchases(made_up)
    _, within, _ = coverage(found.alive_weighted, truth, 1.0 * (made_up.frequency == 0))
    assert within < 0.85


def test_the_more_is_known_the_narrower() -> None:
    widths = []
    for x in (0, 2, 20, 200):
        found = values_of([x], [300 if x else 0], [301], [35.0]).given_return
        widths.append((found.high[0] - found.low[0]) / found.expected[0])
    assert widths == sorted(widths, reverse=True)


def test_intervals_do_not_depend_on_who_else_is_there() -> None:
    """They are read off a grid that others shape; by how much that may show."""
    one = values_of([3], [200], [300], [40.0])
    crowd = values_of([3] * 4, [200, 10, 900, 0], [300, 20, 5000, 1], [40.0] * 4)
    for alone, among in zip(both(one), both(crowd), strict=True):
        assert among.expected[0] == alone.expected[0]
        assert among.low[0] == pytest.approx(alone.low[0], rel=0.02, abs=0.02)
        assert among.high[0] == pytest.approx(alone.high[0], rel=0.01)


def test_the_same_customers_always_get_the_same_values() -> None:
    once, again = (values_of([1, 0], [20, 0], [90, 5], [12.0, np.nan]) for _ in range(2))
    for one, other in zip(both(once), both(again), strict=True):
        assert (one.low == other.low).all()
        assert (one.high == other.high).all()


# Who comes first


def test_a_one_time_buyer_is_not_ranked_first() -> None:
    """On CDNOW's customers, though one-time buyers alone are surely active by construction."""
    sample = read_sample()
    purchases = bg_nbd.fit(compress(sample.frequency, sample.recency * 7, sample.age * 7))
    amounts = gamma_gamma.fit(sample.frequency, sample.mean_amount)
    who = customers(sample.frequency, sample.recency * 7, sample.age * 7, sample.mean_amount)
    alive = probability_alive(purchases, who.frequency, who.recency, who.age)
    is_once = who.frequency == 0
    assert alive[is_once].min() == 1 > alive[~is_once].max()
    for each in both(lifetime_values(purchases, amounts, who, YEAR)):
        best = np.argsort(-each.expected)[: len(alive) // 10]
        assert not is_once[best].any()
        assert (each.low <= each.expected).all()
        assert (each.expected <= each.high).all()


# Little or odd data


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5000), st.floats(0, 1), st.floats(0, 3000), st.floats(-1e12, 1e12),
            st.floats(-1, 1),
        ),
        max_size=8,
    )
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_values_are_defined_for_whatever_comes(
    drawn: list[tuple[int, float, float, float, float]],
) -> None:
    x, part, age, mean, share = np.array(drawn, dtype=float).reshape(-1, 5).T
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = values_of(x, np.where(x > 0, part * age, 0.0), age, mean, share)
    for each in both(found):
        assert each.expected.shape == x.shape
        assert np.isfinite([each.expected, each.low, each.high]).all()
        assert ((each.low <= each.expected) & (each.expected <= each.high)).all()
        assert (each.expected * np.sign(share) >= 0).all()


@pytest.mark.parametrize(
    "history",
    [
        ([0], [0], [0], [np.nan]),
        ([3], [0], [0], [10.0]),
        ([3], [0], [200], [10.0]),
        ([3], [200], [200], [10.0]),
        ([2], [5], [9], [-100.0]),
        ([2], [5], [9], [1e12]),
        ([2000], [10], [3000], [10.0]),
    ],
)
def test_odd_customers_have_a_value(history: tuple[list[float], ...]) -> None:
    for each in both(values_of(*history)):
        assert 0 <= each.low[0] <= each.expected[0] <= each.high[0]
        assert np.isfinite(each.high[0])
    assert values_of(*history).given_return.expected[0] > 0


def test_without_a_model_nothing_is_said() -> None:
    unfitted = bg_nbd.fit(compress([], [], [])), gamma_gamma.fit([], [])
    who = customers([1, 0], [2, 0], [3, 3], [5.0, np.nan])
    for models in ((unfitted[0], AMOUNTS), (PURCHASES, unfitted[1]), unfitted):
        for each in both(lifetime_values(*models, who, YEAR)):
            assert np.isnan([each.expected, each.low, each.high]).all()


def test_impossible_customers_are_refused() -> None:
    with pytest.raises(HistoryError, match="recency must lie between"):
        values_of([1], [9], [5], [10.0])
    with pytest.raises(HistoryError, match="margin share"):
        values_of([1], [3], [5], [10.0], np.nan)
    with pytest.raises(HistoryError, match="finite amount"):
        values_of([1], [3], [5], [np.inf])
    columns = customers([1], [3], [5], [10.0])
    with pytest.raises(HistoryError, match="as long as the histories"):
        lifetime_values(
            PURCHASES,
            AMOUNTS,
            replace(columns, n_purchases=np.ones(2), mean_amount=np.ones(2)),
            YEAR,
        )


def test_discounted_purchases_without_a_rate_are_expected_purchases() -> None:
    x, age = np.array([0, 1, 1, 7]), np.array([10.0, 0, 300, 30])
    plain = discounted_purchases_if_alive(PURCHASES, x, age, Discounting(6, 0.0))
    assert plain == pytest.approx(expected_purchases_if_alive(PURCHASES, x, age, 365.25 / 2))
