"""### Choose whom to write to, and write

`select` gives every candidate of every campaign a verdict and draws the holdout. `outreach` checks
each planned message once more right before its request and sends it, at most once per key, whatever
is repeated, cleared or killed. Then it writes the marketing lists.

Starts on the asset `winback://candidates`, and each day at the time of the setting
`schedule_outreach`, shortly after the quiet hours: that run selects nobody and sends what still
waits, if anything does. Passes on `winback://outreach`. Nothing is selected or
sent from a backfill, or from a snapshot that has not passed both gates.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from airflow.sdk import dag

from winback import operators
from winback.settings import settings


@dag(
    dag_id="winback_outreach",
    schedule=operators.asset_or_time(operators.CANDIDATES, settings().cron("outreach")),
    start_date=datetime(2024, 1, 1, tzinfo=ZoneInfo(settings().business_timezone)),
    catchup=False,
    max_active_runs=1,
    tags=["winback"],
    doc_md=__doc__,
)
def winback_outreach() -> None:
    operators.outreach(operators.select())


winback_outreach()
