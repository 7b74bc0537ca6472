"""Keyed hashes by batch are those made one by one, whatever came before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winback.extract.rows import known_hashes
from winback.extract.rows.known_hashes import KnownHashes
from winback.privacy.keyed_hash import hasher

CUSTOMERS = hasher("customer", "shop\x1f", key="a key of a test")
texts = st.lists(st.none() | st.text(max_size=3) | st.sampled_from(["ada", "a\0", "a\0b", "Ada"]))


def hashed_counting(asked: list[str]) -> Callable[[str], str]:
    def hashed(text: str) -> str:
        asked.append(text)
        return CUSTOMERS(text)

    return hashed


def one_by_one(batch: list[str | None]) -> list[str | None]:
    return [None if text is None else CUSTOMERS(text) for text in batch]


@given(st.lists(texts, max_size=4))
def test_every_text_gets_its_own_hash_in_every_batch(batches: list[list[str | None]]) -> None:
    known = KnownHashes(CUSTOMERS)
    for batch in batches:
        values = pa.array([None, *batch], pa.string()).slice(1)
        assert known.of(values).to_pylist() == one_by_one(batch)


def test_a_text_that_came_before_is_not_hashed_again() -> None:
    asked: list[str] = []
    known = KnownHashes(hashed_counting(asked))
    batch = [f"customer {n % 500}" for n in range(2000)]
    for _ in range(3):
        assert known.of(pa.array(batch)).to_pylist() == one_by_one(batch)
    assert sorted(asked) == sorted(set(batch))


def test_a_few_new_ones_among_many_known_are_hashed_and_not_kept() -> None:
    asked: list[str] = []
    known = KnownHashes(hashed_counting(asked))
    batch = [f"customer {n}" for n in range(1000)]
    known.of(pa.array(batch))
    with_one_more = [*batch, "another"]
    for _ in range(2):
        assert known.of(pa.array(with_one_more)).to_pylist() == one_by_one(with_one_more)
    assert asked.count("another") == 2


def test_it_forgets_before_it_grows_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_hashes, "MOST_KNOWN", 150)
    known = KnownHashes(CUSTOMERS)
    for begin in (0, 100, 50, 0):
        batch = [f"customer {n}" for n in range(begin, begin + 100)]
        assert known.of(pa.array(batch)).to_pylist() == one_by_one(batch)
        assert len(known._sorted) <= 150


def test_texts_of_the_same_first_number_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def colliding(written: np.ndarray, hash_key: str, categorize: bool) -> np.ndarray:
        is_first = hash_key == known._keys[0]
        return np.array([7 if is_first else len(text) for text in written], np.uint64)

    known = KnownHashes(CUSTOMERS)
    monkeypatch.setattr(known_hashes, "hash_array", colliding)
    batch = ["a", "bb", "a", "ccc"]
    for _ in range(2):
        assert known.of(pa.array(batch)).to_pylist() == one_by_one(batch)


def test_the_largest_number_is_not_taken_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def largest(written: np.ndarray, hash_key: str, categorize: bool) -> np.ndarray:
        return np.full(len(written), 2**64 - 1, np.uint64)

    monkeypatch.setattr(known_hashes, "hash_array", largest)
    known = KnownHashes(CUSTOMERS)
    assert known.of(pa.array(["ada"])).to_pylist() == one_by_one(["ada"])
