"""The search for the most likely parameters: bounds, the penalty, and the start from a sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.model_customers import World, make_up
from winback.model import bg_nbd
from winback.model.maximum_likelihood import Parameter, maximise
from winback.model.purchase_history import compress

Columns = NDArray[np.float64]
LogLikelihood = Callable[[Columns], tuple[float, Columns]]

PARAMETERS = (Parameter("one", 0.1, 0.5, 20.0, 100.0), Parameter("two", 0.1, 0.5, 20.0, 100.0))
N = 1000.0


def hill(top: tuple[float, float], height: float = N) -> LogLikelihood:
    """A log-likelihood with its top at these parameters, longer in one direction than across it."""
    slopes = np.array([[3.0, 1.0], [1.0, 0.5]])

    def at(place: Columns) -> tuple[float, Columns]:
        away = place - np.log(top)
        return float(-height * away @ slopes @ away / 2), -height * slopes @ away

    return at


@pytest.mark.parametrize("start", [(1.0, 1.0), (0.1, 100.0), (100.0, 0.1)])
def test_a_top_between_the_bounds_is_found(start: tuple[float, float]) -> None:
    found = maximise(hill((2.0, 7.0)), N, PARAMETERS, [start])
    assert found.parameters == pytest.approx((2.0, 7.0))
    assert found.log_likelihood == pytest.approx(0, abs=1e-6)
    assert found.is_converged
    assert not found.is_on_ridge
    assert found.message == "converged"


def test_the_penalty_outweighs_a_flat_likelihood_and_yields_to_a_steep_one() -> None:
    flat = maximise(hill((2.0, 90.0), height=0.01), N, PARAMETERS, [(1.0, 1.0)])
    steep = maximise(hill((2.0, 90.0)), N, PARAMETERS, [(1.0, 1.0)])
    assert flat.parameters[1] < 25
    assert steep.parameters[1] == pytest.approx(90, rel=0.02)
    for each in (flat, steep):
        assert each.is_converged
        assert each.is_on_ridge
        assert "two lies above 20" in each.message


def test_no_bound_is_passed() -> None:
    found = maximise(hill((1e-4, 1e9)), N, PARAMETERS, [(1.0, 1.0)])
    assert found.parameters == pytest.approx((0.1, 100.0))
    assert found.is_converged
    assert "one lies below 0.5 and two lies above 20" in found.message


def test_what_does_not_end_at_a_top_has_not_converged() -> None:
    def lying(place: Columns) -> tuple[float, Columns]:
        return 0.0, np.array([N, -N])

    found = maximise(lying, N, PARAMETERS, [(1.0, 1.0), (2.0, 2.0)])
    assert not found.is_converged
    assert found.message.startswith("not converged: a slope of")


def test_the_next_start_is_tried_when_one_fails() -> None:
    top = np.log([2.0, 7.0])
    right = hill((2.0, 7.0))

    def cliff(place: Columns) -> tuple[float, Columns]:
        # far from the top nothing tells where it lies, and the slopes lie
        return right(place) if np.abs(place - top).max() < 1.5 else (-1e6, np.array([N, -N]))

    assert not maximise(cliff, N, PARAMETERS, [(90.0, 0.2)]).is_converged
    assert maximise(cliff, N, PARAMETERS, [(90.0, 0.2), (1.5, 5.0)]).parameters == pytest.approx(
        (2.0, 7.0)
    )


def counted(likelihood: LogLikelihood, calls: list[Columns]) -> LogLikelihood:
    def at(place: Columns) -> tuple[float, Columns]:
        calls.append(place)
        return likelihood(place)

    return at


def test_a_sample_saves_steps_in_the_whole_likelihood() -> None:
    made_up = make_up(100_000, World(), seed=10)
    histories = compress(made_up.frequency, made_up.recency, made_up.age)
    assert len(histories.age) > 2 * bg_nbd.SAMPLE
    whole = bg_nbd.Likelihood(histories, 365.0).at
    part = bg_nbd.Likelihood(bg_nbd._every(4, histories), 365.0).at
    plain: list[Columns] = []
    begun: list[Columns] = []
    one = maximise(counted(whole, plain), 1e5, bg_nbd.PARAMETERS, bg_nbd.STARTS)
    other = maximise(counted(whole, begun), 1e5, bg_nbd.PARAMETERS, bg_nbd.STARTS, (part, 2.5e4))
    assert other.is_converged
    assert other.parameters == pytest.approx(one.parameters, rel=1e-4)
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-4)
    assert len(begun) < len(plain) / 2


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param((hill((50.0, 0.2)), N), id="its top is elsewhere"),
        pytest.param((hill((1e9, 1e-9)), N), id="its top is beyond a bound"),
        pytest.param((lambda place: (0.0, np.zeros(2)), N), id="it says nothing"),
        pytest.param((hill((2.0, 7.0), height=-N), N), id="it is upside down"),
    ],
)
def test_a_sample_that_misleads_does_no_harm(sample: tuple[LogLikelihood, float]) -> None:
    found = maximise(hill((2.0, 7.0)), N, PARAMETERS, [(1.0, 1.0)], sample)
    assert found.parameters == pytest.approx((2.0, 7.0))
    assert found.is_converged
