"""BG/NBD where the data are little, odd, or tell nearly nothing of a parameter."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from benchmarks.model_customers import World, make_up
from tests.unit.cdnow_sample import CDNOW
from winback.model import bg_nbd
from winback.model.bg_nbd import BgNbd
from winback.model.expected_purchases import (
    conditional_expected_purchases,
    expected_purchases,
    probability_alive,
)
from winback.model.purchase_history import compress

ODD = {
    "a single customer": ([3], [5.0], [9.0]),
    "a single one-time buyer": ([0], [0.0], [9.0]),
    "one-time buyers only": ([0] * 50, [0] * 50, range(50)),
    "all of today": ([0] * 9, [0] * 9, [0] * 9),
    "every gap zero": ([2] * 50, [0] * 50, range(50)),
    "just bought": ([4] * 50, range(1, 51), range(1, 51)),
    "very frequent": ([100_000, 3], [900.0, 2.0], [901.0, 800.0]),
    "very old": ([1, 2, 0], [1e7, 1e9, 0], [1e9, 1e9, 1e9]),
    "very young": ([1, 2, 0], [1e-7, 1e-9, 0], [1e-7, 1e-9, 1e-9]),
}


def within_bounds(found: BgNbd, mean_age: float) -> bool:
    values = (found.r, found.alpha / mean_age, found.a, found.b)
    return all(
        each.lowest * 0.999 <= value <= each.highest * 1.001
        for each, value in zip(bg_nbd.PARAMETERS, values, strict=True)
    )


@pytest.mark.parametrize("name", ODD)
def test_little_or_odd_data_have_a_defined_result(name: str) -> None:
    history = tuple(np.array(column, dtype=float) for column in ODD[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = bg_nbd.fit(compress(*history))
        scores = [
            probability_alive(found, *history),
            conditional_expected_purchases(found, *history, 365),
            expected_purchases(found, [0, 1, 365]),
        ]
    assert within_bounds(found, history[2].mean() or 1.0)
    assert np.isfinite(found.log_likelihood)
    assert found.message
    for score in scores:
        assert np.isfinite(score).all()
        assert (score >= 0).all()
    assert (scores[0] <= 1).all()


def test_nothing_gives_nothing() -> None:
    found = bg_nbd.fit(compress([], [], []))
    assert not found.is_converged
    assert found.message == "there are no customers"
    assert np.isnan([found.r, found.alpha, found.a, found.b]).all()
    assert probability_alive(CDNOW, [], [], []).shape == (0,)
    assert conditional_expected_purchases(CDNOW, [], [], [], 365).shape == (0,)
    # nothing is known, so nothing is said
    assert np.isnan(probability_alive(found, [1], [2], [3])).all()


@pytest.mark.parametrize("b", [1.0, 400.0])
def test_a_ridge_ends_within_bounds_and_says_so(b: float) -> None:
    """Regular buyers who hardly ever drop out tell little of a and b."""
    made_up = make_up(2_000, World(r=3.0, alpha=60.0, a=0.001, b=b), seed=5)
    history = made_up.frequency, made_up.recency, made_up.age
    assert 1 - made_up.is_alive.mean() < 0.01
    found = bg_nbd.fit(compress(*history))
    assert found.is_converged
    assert found.is_on_ridge
    assert "lies " in found.message
    assert within_bounds(found, made_up.age.mean())
    assert found.r == pytest.approx(3.0, rel=0.1)
    to_come = conditional_expected_purchases(found, *history, 365)
    assert np.isfinite(to_come).all()
    # hardly anybody drops out, so people buy on as they did
    rate = (found.r + made_up.frequency) / (found.alpha + made_up.age)
    assert to_come.sum() == pytest.approx(365 * rate.sum(), rel=0.1)


def test_where_the_data_tell_enough_the_penalty_yields() -> None:
    """A b beyond what costs nothing is found nevertheless."""
    made_up = make_up(100_000, World(r=3.0, alpha=20.0, a=4.0, b=250.0), seed=6)
    found = bg_nbd.fit(compress(made_up.frequency, made_up.recency, made_up.age))
    assert found.is_on_ridge
    assert found.a / (found.a + found.b) == pytest.approx(4 / 254, rel=0.02)
    assert found.b == pytest.approx(250, rel=0.25)
