"""What a measured effect says, in words that nobody can misread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from winback.kpi.incremental import Effect, Stratum

# below this the interval is honest, but too wide to decide anything by
FEWEST_EXPECTED = 10


def reading(
    strata: Sequence[Stratum], effect: Effect | None, is_closed: bool, closes_on: date
) -> str:
    """Puts an effect into words.

    Args:
        strata: The counts behind it.
        effect: From `stratified_newcombe`; None when there is nothing to compare.
        is_closed: Whether everybody had the full time to come back.
        closes_on: The day on which the last window ends.
    """
    if not is_closed:
        return f"open: people may still come back until {closes_on}"
    if effect is None:
        return "no comparison: treated and holdout are not both there"
    n_treated = sum(s.n_treated for s in strata)
    n_holdout = sum(s.n_holdout for s in strata)
    n_recovered = sum(s.n_recovered_treated + s.n_recovered_holdout for s in strata)
    if n_recovered / (n_treated + n_holdout) * min(n_treated, n_holdout) < FEWEST_EXPECTED:
        return "too few: fewer than 10 buyers expected in an arm"
    if effect.low > 0:
        return "more came back than would have by themselves"
    if effect.high < 0:
        return "fewer came back than would have by themselves"
    return "cannot be told from zero"
