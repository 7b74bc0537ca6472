"""What is true in a simulated world, and what an answer about it looks like.

Days are counted from the as-of date: -1.5 is noon of the day before yesterday, what is positive has
not happened yet. How worlds are made stands in `world.py` and the modules it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

AS_OF = date(2025, 7, 1)
BEGIN = -1096.0
END = 900.0
NEVER = float("inf")
# one-time buyers count as lapsed after so many days (docs/naming.md); before, nobody can tell
ONE_TIME_DAYS = 180.0

Days = npt.NDArray[np.float64]
Fate = Literal["alive", "lost", "excused", "undecided"]
Rows = list[dict[str, Any]]


@dataclass
class Customer:
    """A customer and the truth about them.

    Attributes:
        customer_id: The id at the source.
        kind: How they buy: regular, one_time, stockpiler, seasonal, yearly.
        fate: `lost` left so long ago that the silence shows it, `excused` left for a reason that
            the company was told and that is no loss yet, `undecided` is between.
        left: The day after which they never buy; NEVER where that is beyond the simulated future.
        mean_gap: Their own mean gap in days.
        shape: Shape of their gamma-distributed gaps; 0 for those who buy by the calendar.
        purchases: Days of their purchases before the as-of date, ascending.
        next_purchase: The day of the first one after it; None when there is none.
        sizes: How many usual quantities each purchase was, where quantity moves the next one.
        silent_because: Why their silence is no loss: a label of the marts.
        labels: The labels that are right for them, whether their silence needs one or not.
        reason: Why they left or will leave.
        has_evidence: Whether something in the feeds tells that reason.
        seasons: In how many seasons they bought; 0 for those without.
        amounts, quantities: Of each purchase, in cents and items.
    """

    customer_id: str
    kind: str
    fate: Fate
    left: float
    mean_gap: float
    shape: float
    purchases: Days
    next_purchase: float | None
    sizes: Days = field(default_factory=lambda: np.empty(0))
    silent_because: str | None = None
    labels: frozenset[str] = frozenset()
    reason: str | None = None
    has_evidence: bool = False
    seasons: int = 0
    amounts: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    quantities: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def silence(self) -> float:
        """Days since the last purchase."""
        return -float(self.purchases[-1])


@dataclass
class World:
    """A company with customers of known fates.

    Attributes:
        name: The world's name; the dataset it is loaded as.
        seed: What it was drawn with.
        customers: The truth.
        tables: The rows of each feed, as the company knows them at the as-of date.
    """

    name: str
    seed: int
    customers: list[Customer]
    tables: dict[str, Rows]


@dataclass(frozen=True)
class Call:
    """What was said about one customer; days as in the truth.

    Attributes:
        state: active, at_risk, sleeping, inactive, angry, cancelled or returned.
        is_lapsed: Whether they are to be won back.
        not_lapsed_because: The label of a silence that is no loss.
        expected: From when until when the next purchase is expected.
        reason: The main reason of their loss.
        n_signs: Signs that they will leave; 0 without a warning.
    """

    state: str
    is_lapsed: bool
    not_lapsed_because: str | None = None
    expected: tuple[float, float] | None = None
    reason: str | None = None
    n_signs: int = 0


def instant(day: float) -> str:
    """A day as the ISO 8601 text of a time, to the second."""
    moment = datetime.combine(AS_OF, time(), UTC) + timedelta(days=float(day))
    return moment.isoformat(timespec="seconds")


def day_of(when: date) -> float:
    """A date as a day."""
    return float((when - AS_OF).days)


def fate_of(left: float, lost_from: float) -> Fate:
    """The fate of who leaves on a day, which shows from another day on."""
    if left >= 0:
        return "alive"
    return "lost" if lost_from <= 0 else "undecided"
