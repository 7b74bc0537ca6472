"""How the portions of a ramp-up follow one another."""

from __future__ import annotations

import pytest

from winback.outreach.ramp_up import LARGEST_PORTION, next_portion


@pytest.mark.parametrize(
    ("was_used_up", "was_stopped", "expected"),
    [(True, False, 1000), (False, False, 500), (True, True, 500), (False, True, 500)],
)
def test_only_a_full_day_without_a_stop_doubles(
    was_used_up: bool, was_stopped: bool, expected: int
) -> None:
    assert next_portion(500, was_used_up=was_used_up, was_stopped=was_stopped) == expected


def test_doubling_ends_before_the_column_does() -> None:
    portion = 500
    for _ in range(100):
        portion = next_portion(portion, was_used_up=True, was_stopped=False)
    assert portion == LARGEST_PORTION
