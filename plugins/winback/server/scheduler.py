"""Airflow's scheduler, which has imported beforehand what the tasks will need.

LocalExecutor forks its workers from the scheduler, and a worker forks every task: so a task
starts with these libraries instead of importing them (Great Expectations 4.4 s, statsmodels
2.3 s, dbt 2 s; measured 2026-11 on two cores), and the processes share their memory. winback's
own modules are left out, so that a changed one counts from the next task on.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module

_LIBRARIES = (
    "adbc_driver_postgresql.dbapi",
    "dbt.adapters.postgres",
    "dbt.cli.main",
    "great_expectations",
    "pandas",
    "psycopg",
    "pyarrow.dataset",
    "sendgrid",
    "statsmodels.stats.api",
)


def main() -> None:
    """Imports the libraries and becomes the scheduler."""
    # first, because Airflow sets up logging, which some of the others write to
    airflow = import_module("airflow.__main__")
    # it logs some two hundred lines about its own classes
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    for name in _LIBRARIES:
        import_module(name)
    sys.argv = ["airflow", "scheduler", "--skip-serve-logs"]
    airflow.main()


if __name__ == "__main__":
    main()
