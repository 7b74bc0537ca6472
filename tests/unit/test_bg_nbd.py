"""BG/NBD against published figures, another implementation, numeric integration, and edge cases."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from benchmarks.model_customers import World, make_up
from tests.unit.cdnow_sample import CDNOW, Sample, model, read_sample
from winback.errors import HistoryError
from winback.model import bg_nbd
from winback.model.bg_nbd import BgNbd
from winback.model.expected_purchases import (
    conditional_expected_purchases,
    expected_purchases,
    expected_purchases_if_alive,
    probability_alive,
)
from winback.model.purchase_history import compress, distinct


@pytest.fixture(scope="module")
def sample() -> Sample:
    return read_sample()


@pytest.fixture(scope="module")
def fitted(sample: Sample) -> BgNbd:
    return bg_nbd.fit(compress(sample.frequency, sample.recency, sample.age))


@pytest.fixture(scope="module")
def oracle(sample: Sample) -> Iterator[object]:
    """The package lifetimes, fitted to the same customers."""
    with warnings.catch_warnings():
        from lifetimes import BetaGeoFitter

        yield BetaGeoFitter().fit(sample.frequency, sample.recency, sample.age)


# Published figures


def test_the_published_parameters(fitted: BgNbd) -> None:
    """Fader, Hardie and Lee (2005)."""
    assert fitted.n_customers == 2357
    assert f"{fitted.r:.3f}" == "0.243"
    assert f"{fitted.alpha:.3f}" == "4.414"
    assert f"{fitted.a:.3f}" == "0.793"
    assert f"{fitted.b:.3f}" == "2.426"
    assert f"{fitted.log_likelihood:.1f}" == "-9582.4"
    assert fitted.is_converged
    assert not fitted.is_on_ridge
    assert fitted.message == "converged"


def test_in_days_it_is_the_same_model(sample: Sample, fitted: BgNbd) -> None:
    days = bg_nbd.fit(compress(sample.frequency, sample.recency * 7, sample.age * 7))
    assert days.alpha == pytest.approx(7 * fitted.alpha, rel=1e-5)
    assert (days.r, days.a, days.b) == pytest.approx((fitted.r, fitted.a, fitted.b), rel=1e-4)
    assert days.log_likelihood == pytest.approx(
        fitted.log_likelihood - sample.frequency.sum() * np.log(7)
    )


def test_the_penalty_moves_nothing_here(sample: Sample, fitted: BgNbd) -> None:
    """The likelihood itself, without the penalty, has no slope left."""
    likelihood = bg_nbd.Likelihood(compress(sample.frequency, sample.recency, sample.age))
    value, slope = likelihood.at(np.log([fitted.r, fitted.alpha, fitted.a, fitted.b]))
    assert value == pytest.approx(fitted.log_likelihood)
    assert np.abs(slope).max() < 1e-3


def test_what_came_later_was_foreseen(sample: Sample, fitted: BgNbd) -> None:
    """On the 39 weeks after the calibration, which the fit has not seen."""
    foreseen = conditional_expected_purchases(
        fitted, sample.frequency, sample.recency, sample.age, 39
    )
    assert foreseen.sum() == pytest.approx(sample.n_later.sum(), rel=0.15)
    assert np.corrcoef(foreseen, sample.n_later)[0, 1] > 0.6


# Another implementation


def test_scores_are_those_of_lifetimes(sample: Sample, fitted: BgNbd, oracle: object) -> None:
    history = sample.frequency, sample.recency, sample.age
    of_parameters = [oracle.params_[name] for name in ("r", "alpha", "a", "b")]  # type: ignore[attr-defined]
    assert (fitted.r, fitted.alpha, fitted.a, fitted.b) == pytest.approx(of_parameters, rel=1e-4)
    same = model(*of_parameters)
    theirs = oracle.conditional_probability_alive(*history)  # type: ignore[attr-defined]
    assert probability_alive(same, *history) == pytest.approx(theirs, rel=1e-9)
    theirs = oracle.conditional_expected_number_of_purchases_up_to_time(39.0, *history)  # type: ignore[attr-defined]
    ours = conditional_expected_purchases(same, *history, 39.0)
    assert ours == pytest.approx(np.asarray(theirs), rel=1e-9)
    times = np.array([0.5, 1, 10, 39, 500])
    theirs = oracle.expected_number_of_purchases_up_to_time(times)  # type: ignore[attr-defined]
    assert expected_purchases(same, times) == pytest.approx(np.asarray(theirs), rel=1e-9)


# Likelihood

histories = st.lists(
    st.tuples(st.integers(0, 60), st.floats(0, 1), st.floats(0, 500)), min_size=1, max_size=20
)
parameters = st.tuples(*[st.floats(-3, 3)] * 4)


def columns(drawn: list[tuple[int, float, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, part, age = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    return x, np.where(x > 0, part * age, 0.0), age


@given(histories, parameters)
@settings(max_examples=50, deadline=None)
def test_the_gradient_is_that_of_the_likelihood(
    drawn: list[tuple[int, float, float]], place: tuple[float, ...]
) -> None:
    likelihood, step = bg_nbd.Likelihood(compress(*columns(drawn)), unit=10.0), 1e-5
    value, gradient = likelihood.at(np.array(place))
    for i in range(4):
        shift = np.eye(4)[i] * step
        difference = likelihood.at(place + shift)[0] - likelihood.at(place - shift)[0]
        tolerance = 1e-9 * abs(value) / step + 1e-5
        assert gradient[i] == pytest.approx(difference / (2 * step), rel=1e-4, abs=tolerance)


def test_the_likelihood_is_the_mean_over_rates_and_drop_outs() -> None:
    """One customer's likelihood, averaged over gamma and beta quantiles: what (6) solves."""
    r, alpha, a, b = 0.6, 5.0, 1.2, 2.5
    levels = (np.arange(4000) + 0.5) / 4000
    rate = stats.gamma.ppf(levels, r, scale=1 / alpha)[:, np.newaxis]
    p = stats.beta.ppf(levels, a, b)
    for x, t_x, age in ((0, 0.0, 30.0), (1, 12.0, 30.0), (4, 29.0, 30.0), (2, 0.0, 8.0)):
        each = (1 - p) ** x * rate**x * np.exp(-rate * age)
        if x:
            each = each + p * (1 - p) ** (x - 1) * rate**x * np.exp(-rate * t_x)
        likelihood = bg_nbd.Likelihood(compress([x], [t_x], [age]), unit=3.0)
        value, _ = likelihood.at(np.log([r, alpha / 3.0, a, b]))
        assert value == pytest.approx(np.log(each.mean()), abs=2e-3)


# Scores


@given(
    st.tuples(
        st.floats(1e-3, 100), st.floats(1e-2, 500), st.floats(1e-3, 50), st.floats(1e-3, 1000)
    ),
    st.integers(0, 3000), st.floats(0, 3000), st.floats(0.1, 3000),
)  # fmt: skip
@example(of=(1.0, 1.0, 1.0, 965.5), x=0, age=613.0, horizon=1.0)
@settings(max_examples=150, deadline=None)
def test_expected_purchases_lie_where_they_must(
    of: tuple[float, float, float, float], x: int, age: float, horizon: float
) -> None:
    """Everywhere within the bounds: finite, growing with time, never above an immortal's."""
    shorter, longer = (
        expected_purchases_if_alive(model(*of), [x], [age], time)[0]
        for time in (horizon / 2, horizon)
    )
    immortal = (of[0] + x) / (of[1] + age) * horizon
    assert 0 < shorter <= longer * (1 + 1e-6)
    assert longer <= immortal * (1 + 1e-6)


@pytest.mark.parametrize(
    ("of", "x", "age", "horizon"),
    [
        ((0.243, 4.414, 0.793, 2.426), 3, 30.0, 39.0),
        ((0.243, 4.414, 1.0, 2.426), 3, 30.0, 39.0),
        ((0.243, 4.414, 1.000004, 2.426), 0, 0.0, 39.0),
        ((0.243, 4.414, 0.3, 0.7), 0, 10.0, 39.0),
        ((0.243, 4.414, 0.3, 0.3), 0, 10.0, 39.0),
        ((0.25, 1.0, 0.25, 0.5), 103, 0.0, 10.0),
        ((37.75, 10.0, 1.75, 86.75), 98, 0.0, 102.6),
        ((5.0, 40.0, 0.2, 300.0), 900, 700.0, 365.0),
        ((40.0, 100.0, 45.0, 900.0), 12, 3.0, 2000.0),
        ((0.5, 0.01, 0.5, 700.0), 1, 0.0, 365.0),
        ((1.5, 0.01, 5.0, 800.0), 2, 0.0, 365.0),
    ],
)
def test_expected_purchases_are_a_mean_over_drop_outs(
    of: tuple[float, float, float, float], x: int, age: float, horizon: float
) -> None:
    """Where the formula has gaps, and where SciPy's function gives up, too."""
    r, alpha, a, b = of
    y, drop_out = horizon / (alpha + age), stats.beta(a, b + x)

    def purchases(level: float) -> float:
        p = max(float(drop_out.ppf(level)), 1e-300)
        return float(-np.expm1(-(r + x) * np.log1p(p * y)) / p)

    mean, _ = integrate.quad(purchases, 0, 1, epsrel=1e-9, limit=500)
    found = expected_purchases_if_alive(model(*of), [x], [age], horizon)
    assert found[0] == pytest.approx(mean, rel=1e-5)


def test_scores_fit_simulated_customers() -> None:
    """The truth about each is known here, and so is the future."""
    world = World()
    made_up = make_up(200_000, world, seed=3)
    truth = model(world.r, world.alpha, world.a, world.b)
    history = made_up.frequency, made_up.recency, made_up.age
    alive = probability_alive(truth, *history)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        is_here = (alive >= low) & (alive < low + 0.2) & (made_up.frequency > 0)
        assert alive[is_here].mean() == pytest.approx(made_up.is_alive[is_here].mean(), abs=0.015)
    to_come = conditional_expected_purchases(truth, *history, 365)
    p = np.maximum(made_up.drop_out, 1e-12)
    really = made_up.is_alive * -np.expm1(-made_up.rate * p * 365) / p
    for x in range(4):
        is_here = made_up.frequency == x
        assert to_come[is_here].mean() == pytest.approx(really[is_here].mean(), rel=0.05)


def test_parameters_are_found_again() -> None:
    world = World(r=0.8, alpha=60.0, a=1.5, b=4.0)
    made_up = make_up(200_000, world, seed=4)
    found = bg_nbd.fit(compress(made_up.frequency, made_up.recency, made_up.age))
    assert (found.r, found.alpha) == pytest.approx((0.8, 60.0), rel=0.03)
    assert (found.a, found.b) == pytest.approx((1.5, 4.0), rel=0.1)


def test_a_one_time_buyer_is_not_ranked_first(sample: Sample, fitted: BgNbd) -> None:
    """Although surely active by construction, and nobody else is."""
    history = sample.frequency, sample.recency, sample.age
    alive = probability_alive(fitted, *history)
    is_once = sample.frequency == 0
    assert (alive[is_once] == 1).all()
    assert (alive[~is_once] < 1).all()
    expected = conditional_expected_purchases(fitted, *history, 52)
    best = np.argsort(-expected)[: len(expected) // 10]
    assert not is_once[best].any()
    # and they do return least
    assert sample.n_later[is_once].mean() < sample.n_later[~is_once].mean() / 3


# Histories


def test_equal_histories_are_counted_together() -> None:
    found = compress([1, 0, 1, 2, 1], [3, 0, 3, 3, 4], [9, 9, 9, 9, 9])
    rows = list(zip(found.frequency, found.recency, found.age, found.weight, strict=True))
    assert rows == [(0, 0, 9, 1), (1, 3, 9, 2), (1, 4, 9, 1), (2, 3, 9, 1)]
    assert found.place.tolist() == [1, 0, 1, 3, 2]


@given(histories, st.booleans())
@settings(deadline=None)
def test_compressing_loses_nothing(drawn: list[tuple[int, float, float]], is_whole: bool) -> None:
    x, t_x, age = columns(drawn)
    if is_whole:
        t_x, age = np.floor(t_x), np.floor(age)
    found = compress(x, t_x, age)
    for column, original in ((found.frequency, x), (found.recency, t_x), (found.age, age)):
        assert (column[found.place] == original).all()
    assert found.weight.sum() == len(x)
    assert len({*zip(x, t_x, age, strict=True)}) == len(found.weight)
    assert (np.diff(found.frequency) >= 0).all()


def test_rows_that_do_not_fit_into_one_number_are_told_apart() -> None:
    draw = np.random.default_rng(1)
    table = draw.integers(0, 2**30, (400, 5)).astype(float)
    table[200:] = table[:200]
    example, place = distinct(*table.T)
    assert len(example) == 200
    assert (table[example][place] == table).all()
    assert (np.lexsort(table[example].T[::-1]) == np.arange(200)).all()


def test_weights_are_customers(sample: Sample, fitted: BgNbd) -> None:
    rows = compress(sample.frequency, sample.recency, sample.age)
    again = bg_nbd.fit(compress(rows.frequency, rows.recency, rows.age, rows.weight))
    assert again == fitted


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (([-1], [0], [5]), "frequency must be a whole number"),
        (([0.5], [0], [5]), "frequency must be a whole number"),
        (([np.nan], [0], [5]), "frequency must be a whole number"),
        (([np.inf], [0], [5]), "frequency must be a whole number"),
        (([1], [6], [5]), "recency must lie between"),
        (([1], [-1], [5]), "recency must lie between"),
        (([1], [np.nan], [5]), "recency must lie between"),
        (([1], [3], [np.nan]), "recency must lie between"),
        (([1], [3], [np.inf]), "age must be finite"),
        (([0], [3], [5]), "without a repeat purchase"),
        (([1, 2], [3], [5]), "one length"),
        (([[1]], [[3]], [[5]]), "one length"),
    ],
)
def test_impossible_histories_are_refused(history: tuple[list[float], ...], message: str) -> None:
    for read in (
        lambda: compress(*history),
        lambda: probability_alive(CDNOW, *history),
        lambda: conditional_expected_purchases(CDNOW, *history, 10),
    ):
        with pytest.raises(HistoryError, match=message) as refused:
            read()
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("weight", [[0], [-1], [np.nan], [1, 1]])
def test_impossible_weights_are_refused(weight: list[float]) -> None:
    with pytest.raises(HistoryError, match="weights must be positive"):
        compress([1], [2], [3], weight)
