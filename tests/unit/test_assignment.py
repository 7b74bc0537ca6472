"""The draw: exact shares, at least one of each arm, and nothing but keys, salt and batch."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winback.select.assignment import draw

keys = st.text(min_size=1, max_size=8)
people = st.lists(
    st.tuples(keys, st.sampled_from(["high", "medium", "low"])),
    unique_by=lambda pair: pair[0],
    max_size=60,
)
shares = st.floats(min_value=5, max_value=50)


def crowd(n: int, stratum: str = "high") -> list[tuple[str, str]]:
    return [(f"{stratum}-{i}", stratum) for i in range(n)]


@pytest.mark.parametrize(
    ("n", "share", "n_holdout"),
    [(2, 5, 1), (2, 50, 1), (3, 20, 1), (5, 20, 1), (10, 20, 2), (12, 20, 2), (13, 20, 3),
     (100, 20, 20), (1000, 12.5, 125), (18207, 20, 3641)],
)  # fmt: skip
def test_every_stratum_gets_its_share_exactly(n: int, share: float, n_holdout: int) -> None:
    arms = draw(crowd(n) + crowd(50, "low"), share, "salt", "batch")
    assert Counter(arm for key, arm in arms.items() if key.startswith("high")) == {
        "holdout": n_holdout,
        "treated": n - n_holdout,
    }


def test_single_members_are_drawn_by_the_hash_alone() -> None:
    drawn = Counter(draw([("one", "high")], 20, "salt", f"batch {n}")["one"] for n in range(4000))
    # three standard deviations of a binomial of 4,000 and 20 % are 76; the salt is fixed
    assert 724 < drawn["holdout"] < 876


def test_batches_and_salts_draw_afresh() -> None:
    first = draw(crowd(2000), 50, "salt", "batch 1")
    for salt, batch in (("salt", "batch 2"), ("other", "batch 1")):
        second = draw(crowd(2000), 50, salt, batch)
        n_same = sum(first[key] == second[key] for key in first)
        # independent draws agree on about half; three standard deviations are 67
        assert 933 < n_same < 1067


def test_nobody_in_nobody_out() -> None:
    assert draw([], 20, "salt", "batch") == {}


@given(people, shares, st.text(min_size=1), st.text(), st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_matter(
    candidates: list[tuple[str, str]], share: float, salt: str, batch: str, shuffle: random.Random
) -> None:
    drawn = draw(candidates, share, salt, batch)
    shuffled = list(candidates)
    shuffle.shuffle(shuffled)
    assert draw(iter(shuffled), share, salt, batch) == drawn
    assert drawn.keys() == {key for key, _ in candidates}


@given(people, shares)
def test_each_stratum_of_two_or_more_has_both_arms_and_its_rounded_share(
    candidates: list[tuple[str, str]], share: float
) -> None:
    drawn = draw(candidates, share, "salt", "batch")
    for stratum in {stratum for _, stratum in candidates}:
        arms = Counter(drawn[key] for key, of in candidates if of == stratum)
        n = arms.total()
        if n >= 2:
            assert arms["holdout"] >= 1
            assert arms["treated"] >= 1
            assert abs(arms["holdout"] - n * share / 100) <= max(0.5, 1 - n * share / 100) + 1e-9


@given(people, keys)
def test_other_strata_have_no_say(candidates: list[tuple[str, str]], newcomer: str) -> None:
    others = [(f"other {newcomer}", "very low")]
    drawn = draw(candidates, 20, "salt", "batch")
    with_others = draw(candidates + others, 20, "salt", "batch")
    assert {key: with_others[key] for key in drawn} == drawn
