"""What is known beside purchases, as features of a past date: by hand, and never from later on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.test_return_model import simulated
from winback.model import basket_features, experience_features, return_model, window_models
from winback.model.basket_features import Baskets
from winback.model.experience_features import KINDS, NEVER, Experiences
from winback.model.return_features import SalesHistory, features, known_before

DAY = 500
STILL_OFFERED = 10**6


def experiences(*rows: tuple[int, str, int, int, float]) -> Experiences:
    """Rows of customer, kind, day, day on which it was over, and amount."""
    customer, kind, day, over, amount = zip(*rows, strict=True)
    places = np.array([KINDS.index(each) for each in kind], np.int8)
    return Experiences(
        np.array(customer), places, np.array(day), np.array(over), np.array(amount, float)
    )


def baskets(*rows: tuple[float, ...]) -> Baskets:
    """Rows in the order of the attributes."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    numbers = [
        column.astype(np.int64 if place in (0, 1, 5) else np.float32)
        for place, column in enumerate(columns)
    ]
    return Baskets(*numbers)


def with_random_facts(history: SalesHistory, seed: int = 1) -> SalesHistory:
    """A history with made-up experiences and baskets, before and after any date."""
    random = np.random.default_rng(seed)
    customer, day = history.purchases.customer, history.purchases.day
    n, n_days = 4000, len(day)
    begins = random.integers(0, 900, n)
    over = np.where(random.random(n) < 0.5, begins + random.integers(1, 300, n), NEVER)
    made_up = Experiences(
        random.integers(0, customer.max() + 1, n),
        random.integers(0, len(KINDS), n).astype(np.int8),
        begins, over, random.integers(0, 5000, n).astype(float),
    )  # fmt: skip

    def counts(most: int) -> np.ndarray:
        return random.integers(0, most, n_days).astype(np.float32)

    n_products = counts(5) + 1
    return replace(
        history,
        experiences=made_up,
        baskets=Baskets(
            customer, day, n_products, np.minimum(counts(3), n_products), counts(9) + 1,
            random.integers(100, 1500, n_days), counts(2), counts(9) + 1,
            random.normal(0, 0.5, n_days).astype(np.float32),
            n_products, np.minimum(counts(3), n_products), np.minimum(counts(3), n_products),
        ),
    )  # fmt: skip


def test_what_comes_later_changes_no_feature() -> None:
    whole = with_random_facts(simulated(300))
    basis = window_models.basis_on(whole, DAY)
    then = features(whole, DAY, 60, basis.rhythm, basis.bg_nbd)
    only = features(known_before(whole, DAY), DAY, 60, basis.rhythm, basis.bg_nbd)
    assert set(then.columns) > {*experience_features.NAMES, *basket_features.NAMES}
    for name, column in then.columns.items():
        assert np.array_equal(column, only.columns[name]), name
        if name in return_model.BESIDE_PURCHASES:
            assert np.ptp(column) > 0, name
    # and the facts of who bought first afterwards are nobody else's
    known = known_before(whole, DAY)
    assert known.experiences is not None
    assert len(known.experiences.day) < (whole.experiences.day < DAY).sum()  # type: ignore[union-attr]


def test_experiences_by_hand() -> None:
    found = experience_features.features(
        experiences(
            (0, "complaint", 480, NEVER, 0),
            # settled after the date, and before it
            (0, "complaint", 470, 510, 0),
            (0, "complaint", 300, 320, 0),
            (0, "complaint", 100, NEVER, 0),
            (0, "complaint", DAY, NEVER, 0),
            (0, "return", 460, NEVER, 250),
            (0, "return", 510, NEVER, 999),
            (1, "contract", 10, 490, 0),
            (1, "cancellation", 490, NEVER, 0),
            (2, "contract", 10, NEVER, 0),
            # revoked before the date; before the last purchase; revoked after the date
            (2, "cancellation", 480, 495, 0),
            (2, "cancellation", 440, NEVER, 0),
            (3, "cancellation", 480, 505, 0),
            (3, "stated_absence", 480, 520, 0),
            # not known on the date
            (4, "complaint", 480, NEVER, 0),
        ),
        DAY,
        place=np.array([0, 1, 2, 3, -1]),
        last_day=np.array([450, 450, 450, 450]),
        turnover=np.array([1000.0, 1000.0, 0.0, 1000.0]),
    )
    assert set(found) == set(experience_features.NAMES)
    assert found["n_complaint_last_365_days"].tolist() == [3, 0, 0, 0]
    assert found["n_complaint_since_purchase"].tolist() == [2, 0, 0, 0]
    assert found["n_standing_complaint"].tolist() == [3, 0, 0, 0]
    assert found["returned_share"].tolist() == [0.25, 0, 0, 0]
    assert found["n_standing_contract"].tolist() == [0, 0, 1, 0]
    assert found["is_cancelled_since_purchase"].tolist() == [0, 1, 0, 1]
    assert found["n_standing_stated_absence"].tolist() == [0, 0, 0, 1]


def test_how_long_somebody_stays_away_is_known_in_advance_and_nothing_else_is() -> None:
    made = experiences(
        (0, "stated_absence", 480, 520, 0), (0, "complaint", 480, 520, 0),
        (0, "complaint", 480, 490, 0),
    )  # fmt: skip
    known = made.known_before(DAY, np.array([0]))
    assert known.over.tolist() == [520, NEVER, 490]


def test_baskets_by_hand() -> None:
    found = basket_features.features(
        baskets(
            (0, 400, 2, 2, 1, STILL_OFFERED, 2, 1, 0.0, 0, 0, 0),
            (0, 430, 2, 1, 2, 480, 0, 2, 0.5, 1, 1, 0),
            (0, 450, 1, 0, 1, STILL_OFFERED, 0, 3, np.log(2), 1, 0, 1),
            # after the date: all of it another favourite
            (0, 501, 9, 9, 9, 1, 9, 9, 9.0, 9, 9, 9),
            (1, 450, 1, 1, 1, 520, 1, 1, 0.0, 0, 0, 0),
            (2, 501, 1, 1, 1, STILL_OFFERED, 1, 1, 0.0, 0, 0, 0),
        ),
        DAY,
        place=np.array([0, 1, 2]),
        mean_gap=np.array([25.0, 0.0, 10.0]),
        silence=np.array([50.0, 50.0, 5.0]),
    )
    assert set(found) == set(basket_features.NAMES)
    assert {name: column[0] for name, column in found.items()} == pytest.approx(
        {
            "n_products": 3,
            "products_per_purchase": 5 / 3,
            "products_of_last": 1,
            "new_share": 3 / 5,
            "new_share_of_last": 0,
            "n_categories": 2,
            "favourite_share": 2 / 3,
            "favourite_category_share": 1,
            "is_favourite_discontinued": 1,
            "cheaper_share": 1 / 2,
            "dearer_share": 1 / 2,
            "dearer_share_of_last": 1,
            "days_covered": 50,
            "silence_over_days_covered": 1,
        }
    )
    # discontinued after the date; products unknown
    assert found["is_favourite_discontinued"][1] == 0
    assert all(column[2] == 0 for column in found.values())


def test_without_feeds_nothing_changes() -> None:
    """The same features, the same models to the last digit, and no candidate more."""
    made = simulated(1500)
    basis = window_models.basis_on(made, 700)
    plain = window_models.fit_on(made, 700, 180, basis)
    known = features(made, 700, 180, basis.rhythm, basis.bg_nbd)
    assert return_model.BESIDE_PURCHASES.isdisjoint(known.columns)
    assert not {"purchases", "purchases_in_steps"} & set(plain)
    facts = with_random_facts(made)
    rich = window_models.fit_on(facts, 700, 180, basis)
    assert {"purchases", "purchases_in_steps"} <= set(rich)
    for simple in ("all_features", "all_features_in_steps"):
        with_purchases = rich[simple.replace("all_features", "purchases")]
        assert replace(with_purchases.model, candidate="all_features") == plain[simple].model
        assert with_purchases.levels == plain[simple].levels
        assert set(rich[simple].model.names) > set(plain[simple].model.names)


def test_a_feed_that_tells_nothing_any_more_counts_as_nothing_having_happened() -> None:
    facts = with_random_facts(simulated(1500))
    basis = window_models.basis_on(facts, 700)
    fitted = window_models.fit_on(facts, 700, 60, basis, ["all_features"])["all_features"]
    empty = replace(
        facts,
        experiences=facts.experiences.known_before(-1, np.arange(1500)),  # type: ignore[union-attr]
        baskets=facts.baskets.known_before(-1, np.arange(1500)),  # type: ignore[union-attr]
    )
    predicted = window_models.predict(empty, 700, 60, basis, fitted).probability
    assert ((predicted > 0) & (predicted < 1)).all()


def test_facts_that_tell_who_leaves_are_found() -> None:
    made = simulated(3000)
    ends = np.append(np.flatnonzero(np.diff(made.purchases.customer)), len(made.amount) - 1)
    last = made.purchases.day[ends]
    random = np.random.default_rng(2)
    leaves = (last < 840) & (random.random(len(last)) < 0.7)
    customer = np.flatnonzero(leaves)
    told = Experiences(
        customer, np.full(len(customer), KINDS.index("stated_other"), np.int8),
        last[customer] + 5, np.full(len(customer), NEVER), np.zeros(len(customer)),
    )  # fmt: skip
    rich = replace(made, experiences=told)
    basis = window_models.basis_on(rich, 700)
    fitted = window_models.fit_on(rich, 700, 60, basis, ["all_features"])["all_features"]
    weights = dict(zip(fitted.model.names, fitted.model.weights, strict=True))
    assert weights["n_stated_other_since_purchase"] < -0.3
