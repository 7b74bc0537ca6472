"""Gamma-Gamma against published figures, another implementation, simulation, and edge cases."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.unit.cdnow_sample import Sample, read_sample
from winback.errors import HistoryError
from winback.model import gamma_gamma
from winback.model.gamma_gamma import GammaGamma, expected_amount


@pytest.fixture(scope="module")
def sample() -> Sample:
    return read_sample()


@pytest.fixture(scope="module")
def fitted(sample: Sample) -> GammaGamma:
    return gamma_gamma.fit(sample.frequency, sample.mean_amount)


def model(p: float, q: float, gamma: float) -> GammaGamma:
    return GammaGamma(p, q, gamma, 0.0, True, False, 0, "", 1, 0)


CDNOW = model(6.25, 3.74, 15.44)


# Published figures


def test_the_published_parameters(fitted: GammaGamma) -> None:
    """Fader and Hardie (2013)."""
    assert fitted.n_customers == 946
    assert f"{fitted.p:.2f}" == "6.25"
    assert f"{fitted.q:.2f}" == "3.74"
    assert f"{fitted.gamma:.2f}" == "15.44"
    assert fitted.is_converged
    assert not fitted.is_on_ridge
    assert fitted.n_excluded == 0
    assert fitted.message == "converged"


def test_in_cents_it_is_the_same_model(sample: Sample, fitted: GammaGamma) -> None:
    cents = gamma_gamma.fit(sample.frequency, sample.mean_amount * 100)
    assert cents.gamma == pytest.approx(100 * fitted.gamma, rel=1e-4)
    assert (cents.p, cents.q) == pytest.approx((fitted.p, fitted.q), rel=1e-4)
    assert cents.log_likelihood == pytest.approx(fitted.log_likelihood - 946 * np.log(100))


# Another implementation


def test_fit_and_expectations_are_those_of_lifetimes(sample: Sample, fitted: GammaGamma) -> None:
    from lifetimes import GammaGammaFitter

    is_again = sample.frequency > 0
    oracle = GammaGammaFitter()
    oracle.fit(sample.frequency[is_again], sample.mean_amount[is_again])
    of_parameters = [oracle.params_[name] for name in ("p", "q", "v")]
    assert (fitted.p, fitted.q, fitted.gamma) == pytest.approx(of_parameters, rel=1e-3)
    theirs = oracle.conditional_expected_average_profit(
        sample.frequency, np.nan_to_num(sample.mean_amount)
    )
    ours = expected_amount(model(*of_parameters), sample.frequency, sample.mean_amount)
    assert ours == pytest.approx(np.asarray(theirs), rel=1e-9)


# Likelihood


@given(
    st.lists(st.tuples(st.integers(1, 60), st.floats(0.01, 1e4)), min_size=1, max_size=20),
    st.tuples(*[st.floats(-3, 3)] * 3),
)
@settings(max_examples=50, deadline=None)
def test_the_gradient_is_that_of_the_likelihood(
    drawn: list[tuple[int, float]], place: tuple[float, ...]
) -> None:
    x, mean = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    likelihood, step = gamma_gamma.Likelihood(x, mean, unit=10.0), 1e-5
    value, gradient = likelihood.at(np.array(place))
    for i in range(3):
        shift = np.eye(3)[i] * step
        difference = likelihood.at(place + shift)[0] - likelihood.at(place - shift)[0]
        tolerance = 1e-9 * abs(value) / step + 1e-5
        assert gradient[i] == pytest.approx(difference / (2 * step), rel=1e-4, abs=tolerance)


def test_the_likelihood_is_the_mean_over_rates() -> None:
    p, q, gamma = 2.0, 3.0, 10.0
    levels = (np.arange(200_000) + 0.5) / 200_000
    rate = stats.gamma.ppf(levels, q, scale=1 / gamma)
    for x, mean in ((1, 4.0), (5, 12.0), (3, 0.5)):
        density = stats.gamma.pdf(mean, p * x, scale=1 / (rate * x)).mean()
        likelihood = gamma_gamma.Likelihood(np.array([float(x)]), np.array([mean]), unit=7.0)
        value, _ = likelihood.at(np.log([p, q - 1, gamma / 7.0]))
        assert value == pytest.approx(np.log(density), abs=1e-3)


# Expectations


def test_a_mean_of_few_is_drawn_towards_everybodys() -> None:
    everybody = 6.25 * 15.44 / 2.74
    found = expected_amount(CDNOW, [0, 1, 5, 1000], [np.nan, 100, 100, 100])
    assert found[0] == pytest.approx(everybody)
    assert everybody < found[1] < found[2] < found[3] < 100
    assert found[3] == pytest.approx(100, rel=0.01)


def test_expectations_fit_simulated_customers() -> None:
    draw = np.random.default_rng(7)
    rate = draw.gamma(3.74, 1 / 15.44, 200_000)
    x = draw.integers(1, 6, len(rate))
    mean = draw.gamma(6.25 * x) / rate / x
    found = gamma_gamma.fit(x, mean)
    assert (found.p, found.q, found.gamma) == pytest.approx((6.25, 3.74, 15.44), rel=0.03)
    expected = expected_amount(found, x, mean)
    for low, high in ((0, 20), (20, 40), (40, 80), (80, 1e9)):
        is_here = (expected >= low) & (expected < high)
        assert expected[is_here].mean() == pytest.approx((6.25 / rate[is_here]).mean(), rel=0.02)


# Little or odd data


def test_refunds_are_left_out_and_counted() -> None:
    x, mean = np.array([1, 2, 3, 4, 0]), np.array([10.0, 20.0, -5.0, 0.0, np.nan])
    found = gamma_gamma.fit(x, mean)
    assert (found.n_customers, found.n_excluded) == (2, 2)
    without = gamma_gamma.fit(x[:2], mean[:2])
    assert (found.p, found.q, found.gamma) == (without.p, without.q, without.gamma)
    # they are expected to spend little, and more than nothing
    scores = expected_amount(CDNOW, x, mean)
    assert (scores > 0).all()
    assert scores[2] < scores[4]
    assert scores[2] == expected_amount(CDNOW, [3], [0.0])[0]


@pytest.mark.parametrize(
    ("x", "mean"),
    [
        ([1], [10.0]),
        ([3], [1e12]),
        ([2] * 100, [9.9] * 100),
        ([1, 1], [1.0, 1e12]),
        ([1, 2, 3], [1e-6, 1e-6, 2e-6]),
        ([1_000_000, 1], [5.0, 6.0]),
    ],
)
def test_little_or_odd_data_have_a_defined_result(x: list[int], mean: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gamma_gamma.fit(x, mean)
        scores = expected_amount(found, [*x, 0], [*mean, np.nan])
    values = (found.p, found.q - 1, found.gamma / np.mean(mean))
    for each, value in zip(gamma_gamma.PARAMETERS, values, strict=True):
        assert each.lowest * 0.999 <= value <= each.highest * 1.001
    assert found.is_on_ridge
    assert "lies " in found.message
    assert np.isfinite(scores).all()
    assert (scores > 0).all()


@pytest.mark.parametrize(("x", "mean"), [([], []), ([0, 0], [np.nan, 3.0]), ([2], [-7.0])])
def test_nobody_to_learn_from_gives_nothing(x: list[int], mean: list[float]) -> None:
    found = gamma_gamma.fit(x, mean)
    assert not found.is_converged
    assert found.n_customers == 0
    assert found.n_excluded == sum(each > 0 for each in x)
    assert found.message == "nobody spent anything"
    assert np.isnan([found.p, found.q, found.gamma]).all()
    assert np.isnan(expected_amount(found, [1, 0], [5.0, 0.0])).all()
    assert expected_amount(found, [], []).shape == (0,)


@pytest.mark.parametrize(
    ("x", "mean", "message"),
    [
        ([-1], [5.0], "whole number"),
        ([0.5], [5.0], "whole number"),
        ([np.nan], [5.0], "whole number"),
        ([np.inf], [5.0], "finite"),
        ([1], [np.nan], "finite amount"),
        ([1], [np.inf], "finite amount"),
        ([1, 2], [5.0], "one length"),
    ],
)
def test_impossible_amounts_are_refused(x: list[float], mean: list[float], message: str) -> None:
    for read in (lambda: gamma_gamma.fit(x, mean), lambda: expected_amount(CDNOW, x, mean)):
        with pytest.raises(HistoryError, match=message) as refused:
            read()
        assert "\n" not in str(refused.value)
