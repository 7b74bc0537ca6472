"""The estimator of the incremental effect against other implementations and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from winback.kpi.incremental import Stratum, stratified_newcombe
from winback.kpi.reading import reading


@pytest.mark.parametrize(
    ("treated", "holdout"),
    [((471, 10444), (97, 2611)), ((7, 55), (1, 14)), ((0, 50), (0, 10)), ((50, 50), (9, 10))],
)
def test_one_stratum_is_newcombes_interval(
    treated: tuple[int, int], holdout: tuple[int, int]
) -> None:
    effect = stratified_newcombe([Stratum(treated[1], treated[0], holdout[1], holdout[0])])
    assert effect is not None
    low, high = confint_proportions_2indep(*treated, *holdout, method="newcomb")
    assert effect.difference == pytest.approx(treated[0] / treated[1] - holdout[0] / holdout[1])
    if 0 < treated[0] < treated[1] and holdout[0] > 0:
        assert (effect.low, effect.high) == pytest.approx((low, high))
    else:
        # without spread the weights alone decide, and with one stratum they change nothing
        assert (effect.low, effect.high) == pytest.approx((low, high), abs=1e-9)


def test_a_published_single_table() -> None:
    """Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10: 56/70 - 48/80."""
    effect = stratified_newcombe([Stratum(70, 56, 80, 48)])
    assert effect is not None
    assert (round(effect.low, 4), round(effect.high, 4)) == (0.0524, 0.3339)


def test_strata_guard_against_simpsons_paradox() -> None:
    """In each stratum nothing happens, but the arms are mixed differently."""
    strata = [Stratum(900, 90, 100, 10), Stratum(100, 50, 900, 450)]
    effect = stratified_newcombe(strata)
    pooled = stratified_newcombe([Stratum(1000, 140, 1000, 460)])
    assert effect is not None
    assert pooled is not None
    assert effect.difference == pytest.approx(0)
    assert effect.low < 0 < effect.high
    assert pooled.high < -0.2


def test_a_stratum_without_one_arm_says_nothing() -> None:
    both = Stratum(100, 10, 25, 2)
    assert stratified_newcombe([both, Stratum(5, 5, 0, 0)]) == stratified_newcombe([both])
    assert stratified_newcombe([Stratum(5, 5, 0, 0)]) is None
    assert stratified_newcombe([]) is None


counts = st.tuples(st.integers(1, 400), st.floats(0, 1), st.integers(1, 100), st.floats(0, 1)).map(
    lambda c: Stratum(c[0], round(c[0] * c[1]), c[2], round(c[2] * c[3]))
)


@given(st.lists(counts, min_size=1, max_size=5))
def test_the_interval_holds_the_difference(strata: list[Stratum]) -> None:
    effect = stratified_newcombe(strata)
    assert effect is not None
    assert effect.low - 1e-9 <= effect.difference <= effect.high + 1e-9
    mirrored = stratified_newcombe(
        [
            Stratum(s.n_holdout, s.n_recovered_holdout, s.n_treated, s.n_recovered_treated)
            for s in strata
        ]
    )
    assert mirrored is not None
    assert (mirrored.low, mirrored.high) == pytest.approx((-effect.high, -effect.low))


def test_it_covers_a_true_effect() -> None:
    """Three strata with different rates and an effect of 3 points, drawn 2,000 times."""
    random = np.random.default_rng(1)
    sizes, rates, lift = [(400, 100), (300, 75), (100, 25)], [0.03, 0.08, 0.15], 0.03
    n_covered = 0
    for _ in range(2000):
        strata = [
            Stratum(t, int(random.binomial(t, p + lift)), h, int(random.binomial(h, p)))
            for (t, h), p in zip(sizes, rates, strict=True)
        ]
        effect = stratified_newcombe(strata)
        assert effect is not None
        n_covered += effect.low <= lift <= effect.high
    assert 0.93 <= n_covered / 2000 <= 0.975


def test_what_an_effect_is_said_to_mean() -> None:
    from datetime import date

    def say(*strata: Stratum, is_closed: bool = True) -> str:
        return reading(strata, stratified_newcombe(strata), is_closed, date(1998, 3, 2))

    assert say(Stratum(1000, 45, 250, 11), is_closed=False).endswith("until 1998-03-02")
    assert say(Stratum(1000, 45, 250, 11)) == "cannot be told from zero"
    assert say(Stratum(1000, 45, 200, 9)).startswith("too few")
    assert say(Stratum(1000, 150, 250, 11)).startswith("more came back")
    assert say(Stratum(1000, 20, 250, 50)).startswith("fewer came back")
    assert say(Stratum(1000, 45, 0, 0)).startswith("no comparison")
