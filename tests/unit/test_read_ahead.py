"""A step in a thread of its own: the same items, its errors, and its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from winback.extract.rows.read_ahead import read_ahead


def test_the_items_come_in_their_order() -> None:
    assert list(read_ahead(iter(range(1000)), 3)) == list(range(1000))


def test_it_works_while_the_items_are_used() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for n in range(10):
            made.append(n)
            yield n

    ahead = read_ahead(items(), 3)
    assert next(ahead) == 0
    deadline = time.monotonic() + 10
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    # one taken, three waiting, one in hand
    assert made == [0, 1, 2, 3, 4]
    assert list(ahead) == list(range(1, 10))


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    ahead = read_ahead(items(), 3)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_its_thread_ends_when_nobody_takes_the_items_any_more() -> None:
    before = threading.active_count()
    ahead = read_ahead(iter(range(10**9)), 3)
    assert next(ahead) == 0
    assert threading.active_count() == before + 1
    ahead.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
