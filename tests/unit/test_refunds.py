"""What was paid back: on which purchase it counts, since when it is known, what it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.test_return_model import history, simulated
from winback.model import refunds, window_models
from winback.model.refunds import Refunds, kept_amounts
from winback.model.return_features import Outcome, SalesHistory, features, known_before, outcome

BOUGHT = history(
    [(0, 100, 50.0), (0, 130, 10.0), (0, 200, 40.0), (1, 100, 5.0), (1, 150, 7.0), (2, 300, 9.0)]
)


def sent_back(of: SalesHistory, *rows: tuple[int, int, int, float]) -> SalesHistory:
    """The history with returns: customer, day accepted, day of the order, amount."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return replace(
        of, refunds=refunds.of_purchases(of.purchases, *columns[:3], columns[3].astype(float))
    )


@pytest.mark.parametrize(
    ("customer", "bought_on", "place"),
    [
        (0, 130, 1),
        # no order named: the newest purchase until then
        (0, 199, 1),
        (0, 200, 2),
        (0, 900, 2),
        (1, 120, 3),
        # before everything that is known of them
        (1, 99, 3),
        (2, 10, 5),
    ],
)
def test_a_return_counts_on_its_purchase(customer: int, bought_on: int, place: int) -> None:
    made = sent_back(BOUGHT, (customer, 950, bought_on, 3.0))
    assert made.refunds is not None
    assert made.refunds.place.tolist() == [place]
    kept = kept_amounts(BOUGHT.amount, made.refunds)
    assert (BOUGHT.amount - kept).tolist() == [3.0 if n == place else 0.0 for n in range(6)]


def test_it_is_known_from_the_day_after_it_was_accepted() -> None:
    made = sent_back(BOUGHT, (0, 210, 130, 10.0))
    for day, kept in ((210, 10.0), (211, 0.0), (None, 0.0)):
        assert kept_amounts(BOUGHT.amount, made.refunds, day)[1] == kept


def test_features_count_what_was_kept_and_was_known_then() -> None:
    made = sent_back(
        BOUGHT, (0, 110, 100, 50.0), (0, 210, 200, 15.0), (1, 400, 150, 7.0), (1, 401, 150, 9.0)
    )
    basis = window_models.basis_on(BOUGHT, 260)

    def of(name: str, day: int) -> list[float]:
        return features(made, day, 30, basis.rhythm, basis.bg_nbd).columns[name].tolist()

    assert of("turnover", 205) == [50.0, 12.0]
    assert of("turnover", 260) == [35.0, 12.0]
    assert of("last_amount", 260) == [25.0, 7.0]
    assert of("mean_amount", 260) == [35.0 / 3, 6.0]
    # paid back more than paid: nothing, and never less
    assert of("turnover", 500) == [35.0, 0.0, 9.0]
    assert of("last_amount", 500) == [25.0, 0.0, 9.0]
    # the purchases stay purchases
    assert of("n_purchases", 500) == [3.0, 2.0, 1.0]


def test_what_is_paid_back_later_changes_no_feature_of_a_past_date() -> None:
    whole, day = simulated(300), 500
    random = np.random.default_rng(3)
    chosen = random.choice(len(whole.amount), 400, replace=False)
    accepted = whole.purchases.day[chosen] + random.integers(1, 200, len(chosen))
    of_all = replace(whole, refunds=Refunds(chosen, accepted, whole.amount[chosen]))
    is_known = accepted < day
    assert 50 < is_known.sum() < 350
    known_then = replace(
        whole,
        refunds=Refunds(chosen[is_known], accepted[is_known], whole.amount[chosen[is_known]]),
    )
    basis = window_models.basis_on(whole, day)

    def at(past: SalesHistory) -> dict[str, np.ndarray]:
        return features(past, day, 60, basis.rhythm, basis.bg_nbd).columns

    found = at(of_all)
    for other in (at(known_then), at(known_before(of_all, day))):
        for name, column in found.items():
            assert np.array_equal(column, other[name]), name
    without = at(whole)
    assert (found["turnover"] < without["turnover"]).sum() > 30
    assert (found["n_purchases"] == without["n_purchases"]).all()


def test_what_customers_spend_in_a_window_is_net_of_what_was_known_to_come_back() -> None:
    made = sent_back(BOUGHT, (0, 140, 130, 4.0), (0, 250, 200, 60.0))

    def spent(known_on: int | None) -> Outcome:
        return outcome(made, 120, 100, np.array([0, 1, 2]), known_on)

    assert spent(220).spend.tolist() == [46.0, 7.0, 0.0]
    assert spent(None).spend.tolist() == [0.0, 7.0, 0.0]
    assert spent(None).has_bought.tolist() == [True, True, False]


def test_windows_of_the_past_are_fitted_to_what_was_known_when_they_were() -> None:
    whole, day = simulated(400), 600
    everything = np.arange(len(whole.amount))
    late = Refunds(everything, np.full(len(everything), day), whole.amount)
    basis = window_models.basis_on(whole, day)
    plain, later, earlier = (
        window_models.fit_on(made, day, 60, basis, ["all_features"])["all_features"].model
        for made in (
            whole,
            replace(whole, refunds=late),
            replace(whole, refunds=replace(late, day=late.day - 1)),
        )
    )
    assert later == plain
    assert earlier.value_intercept < plain.value_intercept
