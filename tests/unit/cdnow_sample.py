"""The tenth of CDNOW's customers that the papers behind the value models print their figures for.

It is a file of the package lifetimes, which is read without importing the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winback.model.bg_nbd import BgNbd

CALIBRATION_END = np.datetime64("1997-09-30")


@dataclass(frozen=True)
class Sample:
    """Histories up to the end of the calibration, in weeks and dollars, and what came after it.

    Attributes:
        frequency: Days with a purchase after the first.
        recency: Weeks from the first to the last purchase.
        age: Weeks from the first purchase to the end of the calibration.
        mean_amount: Of the purchases after the first; NaN without one.
        n_later: Days with a purchase in the 39 weeks that followed.
    """

    frequency: NDArray[np.int64]
    recency: NDArray[np.float64]
    age: NDArray[np.float64]
    mean_amount: NDArray[np.float64]
    n_later: NDArray[np.int64]


def read_sample() -> Sample:
    spec = find_spec("lifetimes")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "datasets" / "CDNOW_sample.txt"
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    days: dict[str, dict[np.datetime64, float]] = {}
    for _, customer, day, _, dollars in rows:
        of_customer = days.setdefault(customer, {})
        date = np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}")
        of_customer[date] = of_customer.get(date, 0.0) + float(dollars)
    columns = []
    for of_customer in days.values():
        known = sorted(day for day in of_customer if day <= CALIBRATION_END)
        again = [of_customer[day] for day in known[1:]]
        columns.append(
            (
                len(again),
                (known[-1] - known[0]).astype(int) / 7,
                (CALIBRATION_END - known[0]).astype(int) / 7,
                np.mean(again) if again else np.nan,
                len(of_customer) - len(known),
            )
        )
    frequency, recency, age, mean_amount, n_later = (
        np.array(c) for c in zip(*columns, strict=True)
    )
    return Sample(frequency, recency, age, mean_amount, n_later)


def model(r: float, alpha: float, a: float, b: float) -> BgNbd:
    """A model of these parameters, as if fitted."""
    return BgNbd(r, alpha, a, b, 0.0, True, False, 0, "", 1.0)


# the parameters that were published for the sample
CDNOW = model(0.243, 4.414, 0.793, 2.426)
