"""The weekly training: rhythm first, then the value models.

Which models there are stands here; how each is fitted and judged in its own module.
"""

from __future__ import annotations

from datetime import date

from threadpoolctl import threadpool_limits

from winback.training import rhythm_training, value_training
from winback.warehouse import connection as warehouse


def date_of_marts() -> date | None:
    """The date for which the marts stand; None before the first were built.

    Not that of the newest snapshot: when a gate stopped it, the purchases of its last days are not
    there, and would look like customers who stayed away.
    """
    with warehouse.connect("loader") as connection:
        [(is_built,)] = connection.execute(
            "select to_regclass('marts.fct_customer_states') is not null"
        ).fetchall()
        if not is_built:
            return None
        [(as_of,)] = connection.execute("select max(as_of) from marts.fct_customer_states")
    return as_of if isinstance(as_of, date) else None


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
