"""Features, return model, backtest and the decision: on made-up histories whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from winback.model import backtest, choice, return_model, window_models
from winback.model.backtest import stability_index
from winback.model.return_features import SalesHistory, features, known_before, outcome
from winback.model.rhythm import Purchases
from winback.training.model_runs import ModelRun
from winback.training.value_training import decide

YEAR = 365


def history(rows: list[tuple[int, int, float]]) -> SalesHistory:
    """Rows of customer, day and amount."""
    columns = list(zip(*rows, strict=True)) or [[], [], []]
    return SalesHistory(
        Purchases(np.array(columns[0], int), np.array(columns[1], int), np.ones(len(rows))),
        np.array(columns[2], float),
    )


def simulated(n_customers: int, seed: int = 1, n_days: int = 900, december: float = 1.0):
    """Buyers with rates and drop-out of their own; in one month of each year they buy more."""
    random = np.random.default_rng(seed)
    rows = []
    for customer in range(n_customers):
        rate = random.gamma(1.2, 1 / 60)
        begin = int(random.integers(0, n_days - 200))
        end = begin + int(random.exponential(300)) + 1
        usual = float(np.exp(random.normal(8, 0.5)))
        days = {begin}
        for day in range(begin + 1, min(end, n_days)):
            times = december if 330 <= day % YEAR < 360 else 1.0
            if random.random() < rate * times:
                days.add(day)
        rows += [(customer, day, round(usual * random.gamma(6, 1 / 6))) for day in sorted(days)]
    return history(rows)


def test_what_comes_later_changes_no_feature() -> None:
    whole = simulated(300)
    day = 500
    basis = window_models.basis_on(whole, day)
    then = features(whole, day, 60, basis.rhythm, basis.bg_nbd)
    only = features(known_before(whole, day), day, 60, basis.rhythm, basis.bg_nbd)
    assert len(then.customer) == len(only.customer) > 100
    for name, column in then.columns.items():
        assert np.array_equal(column, only.columns[name]), name


def test_features_of_one_customer_by_hand() -> None:
    made = history([(0, 100, 50.0), (0, 130, 10.0), (0, 200, 40.0), (1, 300, 5.0)])
    basis = window_models.basis_on(made, 260)
    of = features(made, 260, 30, basis.rhythm, basis.bg_nbd)
    assert of.customer.tolist() == [0]
    found = {name: float(column[0]) for name, column in of.columns.items()}
    assert found["silence_days"] == 60
    assert found["n_purchases"] == 3
    assert found["age_days"] == 160
    assert found["turnover"] == 100
    assert found["last_amount"] == 40
    assert found["mean_gap_days"] == 50
    assert found["last_gap_days"] == 70
    assert (found["n_last_60_days"], found["n_last_90_days"]) == (1, 1)
    assert found["n_last_180_days"] == 3
    a_year_later = features(made, 100 + YEAR, 31, basis.rhythm, basis.bg_nbd)
    assert a_year_later.columns["n_same_days_1_years_ago"].tolist() == [2.0, 0.0]
    after = outcome(made, 130, 71, np.array([0, 1]))
    assert after.has_bought.tolist() == [True, False]
    assert after.spend.tolist() == [50.0, 0.0]


def test_probabilities_add_up_and_rank() -> None:
    made = simulated(3000)
    day, horizon = 700, 60
    basis = window_models.basis_on(made, day)
    fitted = window_models.fit_on(made, day, horizon, basis)
    assert set(fitted) == {*return_model.CANDIDATES} - {return_model.PURCHASES}
    known = features(made, day, horizon, basis.rhythm, basis.bg_nbd)
    then = outcome(made, day, horizon, known.customer)
    predictions = {
        name: window_models.predict(made, day, horizon, basis, each)
        for name, each in fitted.items()
    }
    rows = {row["candidate"]: row for row in backtest.judge(predictions, known, then)[:5]}
    own = rows["all_features"]
    assert own["auc"] > 0.75
    assert own["auc"] > rows["recency"]["auc"] - 0.005
    assert own["n_expected"] == pytest.approx(own["n_buyers"], rel=0.2)
    spend = return_model.spend_if_bought(fitted["all_features"].model, known)
    probability = return_model.probability(fitted["all_features"].model, known)
    assert float(probability @ spend) == pytest.approx(then.spend.sum(), rel=0.3)


def test_the_level_moves_the_sum_and_not_the_order() -> None:
    made = simulated(1500)
    basis = window_models.basis_on(made, 700)
    model = window_models.fit_on(made, 700, 60, basis)["all_features"].model
    known = features(made, 700, 60, basis.rhythm, basis.bg_nbd)
    usual, doubled = (return_model.probability(model, known, level) for level in (1.0, 2.0))
    assert doubled.sum() == pytest.approx(2 * usual.sum(), rel=1e-6)
    assert np.array_equal(np.argsort(usual), np.argsort(doubled))
    assert (doubled <= 1).all()


def test_a_season_comes_back_at_its_level() -> None:
    """Before the third December the level follows the second, not the autumn before it."""
    made = simulated(3000, n_days=1100, december=4.0)
    day, horizon = 330 + 2 * YEAR, 30
    basis = window_models.basis_on(made, day)
    fitted = window_models.fit_on(made, day, horizon, basis)["all_features"]
    assert fitted.levels[0] > 1.5
    known = features(made, day, horizon, basis.rhythm, basis.bg_nbd)
    n_buyers = outcome(made, day, horizon, known.customer).has_bought.sum()
    expected = return_model.probability(fitted.model, known, fitted.levels[0]).sum()
    without = return_model.probability(fitted.model, known).sum()
    assert abs(np.log(expected / n_buyers)) < abs(np.log(without / n_buyers))
    assert expected == pytest.approx(n_buyers, rel=0.25)


def test_stored_parameters_give_the_same_probabilities() -> None:
    made = simulated(1500)
    basis = window_models.basis_on(made, 700)
    fitted = window_models.fit_on(made, 700, 60, basis)["all_features"]
    known = features(made, 700, 60, basis.rhythm, basis.bg_nbd)
    again = window_models.from_parameters(window_models.as_parameters(fitted))
    for level in (fitted.levels[0], 1.0):
        assert np.allclose(
            return_model.probability(fitted.model, known, level),
            return_model.probability(again.model, known, level),
            atol=1e-9,
        )


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(0, 10, 5.0)],
        [(n, 10, 5.0) for n in range(100)],
        [(0, day, 5.0) for day in range(10, 500)],
        [(n, 10 + n % 300, 0.0) for n in range(500)],
    ],
    ids=["nobody", "one customer", "all once", "every day", "worth nothing"],
)
def test_histories_that_say_nothing_fit_nothing(rows: list[tuple[int, int, float]]) -> None:
    made = history(rows)
    if rows:
        basis = window_models.basis_on(made, 600)
        assert window_models.fit_on(made, 600, 60, basis) == {}
    assert backtest.run(made, 600, 60, 3) == []


def test_huge_amounts_stay_finite() -> None:
    made = simulated(1500)
    rich = replace(made, amount=made.amount * 1e9)
    basis = window_models.basis_on(rich, 700)
    model = window_models.fit_on(rich, 700, 60, basis)["all_features"].model
    known = features(rich, 700, 60, basis.rhythm, basis.bg_nbd)
    assert np.isfinite(return_model.spend_if_bought(model, known)).all()
    assert np.isfinite(return_model.probability(model, known)).all()


def test_area_under_curve_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    score = random.integers(0, 20, 500).astype(float)
    is_positive = random.random(500) < score / 25
    assert backtest.area_under_curve(score, is_positive) == pytest.approx(
        roc_auc_score(is_positive, score)
    )


def rows_of(
    expected: dict[str, float] | None = None, **auc: list[float]
) -> list[dict[str, object]]:
    expected = expected or {}
    return [
        {
            "candidate": name,
            "day": day,
            "population": "all",
            "auc": value,
            "rank_correlation": 0.3,
            "n_customers": 1000,
            "n_buyers": 100,
            "n_expected": expected.get(name, 100.0),
        }
        for name, values in auc.items()
        for day, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("simple", "chosen"),
    [
        ([0.85, 0.86, 0.84], "rfm"),
        ([0.81, 0.80, 0.79], "all_features"),
        # better once, worse twice: noise
        ([0.90, 0.79, 0.78], "all_features"),
    ],
)
def test_a_simpler_score_that_wins_is_used(simple: list[float], chosen: str) -> None:
    best, because = choice.choose(rows_of(all_features=[0.80, 0.81, 0.79], rfm=simple))
    assert best == chosen
    assert ("rfm alone ranked better" in because) == (chosen == "rfm")
    assert choice.choose([])[0] == "all_features"


def test_a_score_that_wins_among_few_does_not_win() -> None:
    rows = rows_of(all_features=[0.80, 0.81, 0.79], rfm=[0.79, 0.80, 0.78])
    rows += [
        row | {"population": "long_inactive", "n_customers": 40, "n_buyers": 5, "auc": auc}
        for row in rows
        for auc in [0.5 if row["candidate"] == "all_features" else 0.7]
    ]
    assert choice.choose(rows)[0] == "all_features"


@pytest.mark.parametrize(
    ("all_features", "chosen", "said"),
    [
        ([0.84, 0.85, 0.83], "all_features", "ranked better than purchases alone"),
        ([0.80, 0.81, 0.79], "purchases", "did not rank better than purchases alone"),
        # better once, worse twice: noise
        ([0.90, 0.80, 0.77], "purchases", "did not rank better than purchases alone"),
    ],
)
def test_reasons_and_products_have_to_earn_their_place(
    all_features: list[float], chosen: str, said: str
) -> None:
    rows = rows_of(all_features=all_features, purchases=[0.80, 0.81, 0.79], rfm=[0.7, 0.7, 0.7])
    best, because = choice.choose(rows)
    assert best == chosen
    assert f"reasons and products {said} by more than the noise" in because


@pytest.mark.parametrize(
    ("in_steps", "expected", "chosen"),
    [
        # no worse, and nearer to what happened
        ([0.80, 0.81, 0.79], {"all_features": 80.0}, "all_features_in_steps"),
        ([0.80, 0.81, 0.79], {"all_features_in_steps": 80.0}, "all_features"),
        # ranks worse: its totals do not matter
        ([0.77, 0.79, 0.76], {"all_features": 80.0}, "all_features"),
        # ranks better
        ([0.83, 0.84, 0.83], {"all_features_in_steps": 80.0}, "all_features_in_steps"),
    ],
)
def test_a_long_window_is_taken_in_steps_where_that_fared_better(
    in_steps: list[float], expected: dict[str, float], chosen: str
) -> None:
    rows = rows_of(
        expected, all_features=[0.80, 0.81, 0.79], all_features_in_steps=in_steps, rfm=[0.6] * 3
    )
    assert choice.choose(rows)[0] == chosen


def test_totals_are_compared_on_the_dates_that_judged_both() -> None:
    same = [0.80, 0.81, 0.79]
    expected = {"all_features": 90.0, "all_features_in_steps": 80.0}
    rows = rows_of(expected, all_features=same, all_features_in_steps=same)
    # on a fourth date the steps expected too many, which would make up for too few on the others
    [fourth] = rows_of({"all_features_in_steps": 140.0}, all_features_in_steps=[0.80])
    assert choice.choose([*rows, fourth | {"day": 4}])[0] == "all_features"


def test_steps_are_taken_where_no_long_window_was_closed_before() -> None:
    rows = rows_of(all_features_in_steps=[0.8, 0.8], purchases_in_steps=[0.8, 0.8])
    best, because = choice.choose(rows)
    assert best == "purchases_in_steps"
    assert "too few were closed earlier" in because


def test_a_long_window_in_steps_adds_up_to_what_happened() -> None:
    made = simulated(4000, n_days=1100)
    day, horizon, name = 430, 180, "all_features_in_steps"
    basis = window_models.basis_on(made, day)
    fitted = window_models.fit_on(made, day, horizon, basis, [name])[name]
    assert len(fitted.levels) == 3
    probability = window_models.predict(made, day, horizon, basis, fitted).probability
    known = features(made, day, horizon, basis.rhythm, basis.bg_nbd)
    then = outcome(made, day, horizon, known.customer)
    assert probability.sum() == pytest.approx(then.has_bought.sum(), rel=0.1)
    assert backtest.area_under_curve(probability, then.has_bought) > 0.75
    again = window_models.from_parameters(window_models.as_parameters(fitted))
    assert np.allclose(
        window_models.predict(made, day, horizon, basis, again).probability, probability, atol=1e-6
    )
    # what happens within the window is not known in advance
    before = window_models.predict(known_before(made, day), day, horizon, basis, fitted)
    assert np.array_equal(before.probability, probability)


def test_parameters_of_an_earlier_version_are_read() -> None:
    made = simulated(1500)
    basis = window_models.basis_on(made, 700)
    fitted = window_models.fit_on(made, 700, 60, basis)["all_features"]
    stored = window_models.as_parameters(fitted)
    [stored["level"]] = stored.pop("levels")
    del stored["value_reliability"]
    again = window_models.from_parameters(stored)
    assert again.levels == pytest.approx(fitted.levels, abs=1e-6)
    assert again.model.value_reliability == 0.0


def test_the_place_by_spend_follows_the_chance_where_few_buy_and_the_spend_where_all_do() -> None:
    made = simulated(1500)
    basis = window_models.basis_on(made, 700)
    model = window_models.fit_on(made, 700, 60, basis)["all_features"].model
    assert 0 < model.value_reliability < 1
    chance, spend = np.array([0.02, 0.01, 0.03]), np.array([10.0, 500.0, 100.0])
    assert np.argsort(return_model.spend_place(model, chance, spend)).tolist() == [1, 0, 2]
    place = return_model.spend_place(model, chance + 0.95, spend)
    assert np.argsort(place).tolist() == [0, 2, 1]
    assert (place > 0).all()
    assert (place < 1).all()


def test_populations_are_compared_by_their_deciles() -> None:
    then = np.arange(1000) / 1000
    assert stability_index(then, then) == 0.0
    # other people with the same chances
    assert stability_index(np.arange(0.5, 100) / 100, then) < 0.001
    # twice as many in the upper half as in the lower: 5 deciles of 2/15 and 5 of 1/15
    shifted = np.concatenate([then[:500], then[500:], then[500:]])
    by_hand = 5 * (2 / 15 - 0.1) * np.log(4 / 3) + 5 * (1 / 15 - 0.1) * np.log(2 / 3)
    assert stability_index(shifted, then) == pytest.approx(by_hand, rel=0.01)
    # all of them as good as the best were
    assert stability_index(np.full(7, 2.0), then) > 5


def metrics(quality: float | None, drift: float = 0.0) -> dict[str, object]:
    window = {"quality": quality, "noise": 0.002, "chosen_because": "it ranked best"}
    return {"windows": {"60": window}, "drift": drift}


@pytest.mark.parametrize(
    ("new", "before", "is_in_use", "said"),
    [
        (metrics(0.8), None, True, "the first value models; it ranked best"),
        (metrics(0.8), metrics(0.8), True, "AUC on past dates 0.800, before 0.800"),
        (metrics(0.796), metrics(0.8), True, "AUC on past dates 0.796"),
        (metrics(0.79), metrics(0.8), False, "that of run 7 0.800, noise 0.005: that one stays"),
        (metrics(0.9, drift=0.3), metrics(0.8), False, "stability index 0.30, at most 0.25"),
        (metrics(None), metrics(0.8), True, "no closed window to compare with"),
    ],
)
def test_the_new_model_has_to_be_no_worse(
    new: dict[str, object], before: dict[str, object] | None, is_in_use: bool, said: str
) -> None:
    current = None if before is None else ModelRun(7, None, {}, before)  # type: ignore[arg-type]
    decided, because = decide(new, current)
    assert decided == is_in_use
    assert said in because
