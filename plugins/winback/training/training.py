"""The weekly training: rhythm first, then the value models.

Which models there are stands here; how each is fitted and judged in its own module.
"""

from __future__ import annotations

from datetime import date

from threadpoolctl import threadpool_limits

from winback.training import rhythm_training, value_training


def train(as_of: date) -> list[int]:
    """Fits all models to the newest marts; returns the runs that were recorded.

    Args:
        as_of: The date the marts were built for.
    """
    # beside other work, threads that wait for each other made the training of CDNOW six times as
    # slow (63 s against 10, two cores)
    with threadpool_limits(1):
        runs = [rhythm_training.train(as_of)]
        value = value_training.train(as_of)
    return runs if value is None else [*runs, value.model_run_id]
