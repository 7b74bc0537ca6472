"""### Write down what it brought, with the holdout beside every claim

`kpi` writes one snapshot per day up to the as-of date: win-back rate, incremental effect with its
interval, and how many customers are there and gone. Days without a snapshot are caught up. When
late data changes a figure, a new revision is added and the old one stays.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from airflow.sdk import dag

from winback import operators
from winback.settings import settings


@dag(
    dag_id="winback_kpi",
    schedule=settings().cron("kpi"),
    start_date=datetime(2024, 1, 1, tzinfo=ZoneInfo(settings().business_timezone)),
    catchup=False,
    max_active_runs=1,
    params=operators.PARAMS,
    tags=["winback"],
    doc_md=__doc__,
)
def winback_kpi() -> None:
    operators.kpi()


winback_kpi()
