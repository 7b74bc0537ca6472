"""The same fit and scores by the package lifetimes, in a process of its own.

Prints one JSON object. Fed weighted, it gets the distinct histories and their numbers for
nothing, and scores these alone.

    python -m benchmarks.model_value_floor CUSTOMERS
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from benchmarks.measuring import peak_mib

HORIZON_DAYS = 365.0


def main(customers: str) -> None:
    """Fits, scores every row, and tells."""
    # here, because the other side takes its horizon from this module
    from lifetimes import BetaGeoFitter

    with np.load(customers) as columns:
        frequency, recency, age, weight = (
            columns[name] for name in ("frequency", "recency", "age", "weight")
        )
    is_weighted = bool((weight != 1).any())
    begin = time.perf_counter()
    model = BetaGeoFitter()
    model.fit(frequency, recency, age, weights=weight if is_weighted else None)
    to_come = model.predict(HORIZON_DAYS, frequency, recency, age)
    alive = model.conditional_probability_alive(frequency, recency, age)
    seconds = time.perf_counter() - begin
    # it tells the mean, of times multiplied by a scale of its own
    n_customers = float(weight.sum())
    of_scale = float((weight * frequency).sum() * np.log(model._scale))
    told = {
        "seconds": seconds,
        "peak_mib": peak_mib(),
        "log_likelihood": of_scale - float(model._negative_log_likelihood_) * n_customers,
        "mean_to_come": float((weight * to_come).sum()) / n_customers,
        "mean_alive": float((weight * alive).sum()) / n_customers,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
