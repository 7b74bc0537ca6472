"""One fit and scoring of BG/NBD as winback does it, in a process of its own.

Prints one JSON object. The other side is `model_value_floor.py`.

    python -m benchmarks.model_value_ours CUSTOMERS
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from benchmarks.measuring import peak_mib
from benchmarks.model_value_floor import HORIZON_DAYS
from winback.model import bg_nbd
from winback.model.expected_purchases import conditional_expected_purchases, probability_alive
from winback.model.purchase_history import compress


def main(customers: str) -> None:
    """Compresses, fits, scores every customer, and tells."""
    with np.load(customers) as columns:
        frequency, recency, age = (columns[name] for name in ("frequency", "recency", "age"))
    begin = time.perf_counter()
    histories = compress(frequency, recency, age)
    model = bg_nbd.fit(histories)
    distinct = histories.frequency, histories.recency, histories.age
    to_come = conditional_expected_purchases(model, *distinct, HORIZON_DAYS)[histories.place]
    alive = probability_alive(model, *distinct)[histories.place]
    seconds = time.perf_counter() - begin
    told = {
        "seconds": seconds,
        "peak_mib": peak_mib(),
        "log_likelihood": model.log_likelihood,
        "n_distinct": len(histories.age),
        "mean_to_come": float(to_come.mean()),
        "mean_alive": float(alive.mean()),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
