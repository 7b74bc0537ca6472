"""How many more people than before need a person's approval."""

from __future__ import annotations

import pytest

from winback.select.audience_size import is_jump


@pytest.mark.parametrize(
    ("n_people", "n_before", "expected"),
    [
        (1500, 1000, False),
        (1501, 1000, True),
        (10, 1000, False),
        # the first audience of a campaign is the one that somebody wrote a file for
        (1_000_000, None, False),
        # few count as a hundred, and so does nobody
        (150, 3, False),
        (151, 3, True),
        (50_000, 0, True),
    ],
)
def test_half_as_many_again_are_a_jump(n_people: int, n_before: int | None, expected: bool) -> None:
    assert is_jump(n_people, n_before, 50) is expected
