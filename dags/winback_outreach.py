"""### Choose whom to write to, and write

`select` gives every candidate of every campaign a verdict and draws the holdout. `outreach` checks
each planned message once more right before its request and sends it, at most once per key, whatever
is repeated, cleared or killed. Then it writes the marketing lists.

Starts on the asset `winback://candidates`, passes on `winback://outreach`. Nothing is selected or
sent from a backfill, or from a snapshot that has not passed both gates.
"""

from __future__ import annotations

from airflow.sdk import dag

from winback import operators


@dag(
    dag_id="winback_outreach",
    schedule=[operators.CANDIDATES],
    catchup=False,
    max_active_runs=1,
    tags=["winback"],
    doc_md=__doc__,
)
def winback_outreach() -> None:
    operators.outreach(operators.select())


winback_outreach()
