"""Purchase histories as the value models read them: checked, and each distinct one only once.

A history is (frequency, recency, age): the number of repeat purchases x, the time from the first to
the last purchase t_x, and the time from the first purchase to now T, all in one unit of time. Most
customers of a shop share theirs with others, so that a model is fitted to the distinct ones with
their numbers, and scored on them as well. What is made of histories is in `bg_nbd`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from winback.errors import HistoryError

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

# in one 64-bit number with the sign left out
MOST_COMBINATIONS = 2**63 - 1


@dataclass(frozen=True)
class PurchaseHistories:
    """Distinct histories, by frequency, age and recency.

    Attributes:
        frequency: Repeat purchases x, whole numbers.
        recency: From the first to the last purchase, t_x; 0 without a repeat purchase.
        age: From the first purchase to now, T.
        weight: How many customers have this history.
        place: For each customer, in the order they came, where the own history stands.
    """

    frequency: Floats
    recency: Floats
    age: Floats
    weight: Floats
    place: Positions


def compress(
    frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, weight: ArrayLike | None = None
) -> PurchaseHistories:
    """Counts equal histories together.

    Args:
        frequency: Repeat purchases, one element per customer.
        recency: From the first to the last purchase, in any unit of time.
        age: From the first purchase to now, in the same unit.
        weight: How many customers an element stands for; left out: one.

    Raises:
        HistoryError: As `checked` says, or a weight is not a positive number.
    """
    x, t_x, total = checked(frequency, recency, age)
    first, place = distinct(x, total, t_x)
    if weight is None:
        counts = np.bincount(place, minlength=len(first)).astype(float)
    else:
        weights = np.asarray(weight, dtype=float)
        if weights.shape != x.shape or not (np.isfinite(weights) & (weights > 0)).all():
            raise HistoryError("weights must be positive numbers, one for each history")
        counts = np.bincount(place, weights, minlength=len(first))
    return PurchaseHistories(x[first], t_x[first], total[first], counts, place)


def checked(
    frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Frequency, recency and age as arrays of floats that a model can read.

    Raises:
        HistoryError: They differ in length; or one is missing, negative or infinite, a frequency is
            no whole number, or a recency exceeds the age or stands without a repeat purchase.
    """
    x, t_x, total = (np.asarray(column, dtype=float) for column in (frequency, recency, age))
    if x.ndim != 1 or not x.shape == t_x.shape == total.shape:
        raise HistoryError("frequency, recency and age must be columns of one length")
    # a comparison with NaN is false, so each condition says what has to hold
    for what, holds in (
        ("frequency must be a whole number from 0", (x >= 0) & (x == np.rint(x)) & (x < np.inf)),
        ("recency must lie between 0 and the age", (t_x >= 0) & (t_x <= total)),
        ("age must be finite", total < np.inf),
        ("recency must be 0 without a repeat purchase", (x > 0) | (t_x == 0)),
    ):
        if n_wrong := int(holds.size - np.count_nonzero(holds)):
            raise HistoryError(f"{what}: {n_wrong} histories break that; correct or leave them out")
    return x, t_x, total


def distinct(*columns: Floats) -> tuple[Positions, Positions]:
    """Distinct rows of columns, sorted by the first column, then the next.

    Sorting one whole number per row is several times faster than sorting rows, so each row becomes
    one number.

    Returns:
        Where one example of each distinct row stands, and for each row which distinct one it is.
    """
    n_rows = len(columns[0])
    if not n_rows:
        nothing = np.zeros(0, np.intp)
        return nothing, nothing
    key, n_keys = np.zeros(n_rows, np.int64), 1
    for column in columns:
        code, n_codes = _codes(column)
        if n_keys * n_codes > MOST_COMBINATIONS:
            kept, key = np.unique(key, return_inverse=True)
            n_keys = len(kept)
        key = key * n_codes + code
        n_keys *= n_codes
    keys, place = np.unique(key, return_inverse=True)
    example = np.empty(len(keys), np.intp)
    example[place] = np.arange(n_rows)
    return example, place


def _codes(column: Floats) -> tuple[NDArray[np.int64], int]:
    """Whole numbers in the order of the values, from 0, and the number above all of them."""
    low, high = float(column.min()), float(column.max())
    if high - low < 2**31 and abs(low) < 2**31:
        whole = column.astype(np.int64)
        if np.array_equal(whole, column):
            return whole - int(low), int(high - low) + 1
    values, codes = np.unique(column, return_inverse=True)
    return codes, len(values)
