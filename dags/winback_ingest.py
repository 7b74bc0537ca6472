"""### Extract the sales data and decide whether it may be used

`extract` takes a snapshot of every feed that `config/sources.yaml` maps. Rows that break their
declaration go to `quarantine.rejected_row` with the reason; nothing vanishes. `gate` judges the
batch by `expectations/raw.py` and stops the flow when it is not fit to act on.

Passes on: the asset `winback://raw`, with snapshot and as-of date. Runs again at any time: rows are
replaced by their keys. A date before the newest one, or a backfill, is only computed, never sent.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from airflow.sdk import dag

from winback import operators
from winback.settings import settings


@dag(
    dag_id="winback_ingest",
    schedule=settings().cron("ingest"),
    start_date=datetime(2024, 1, 1, tzinfo=ZoneInfo(settings().business_timezone)),
    catchup=False,
    max_active_runs=1,
    params=operators.PARAMS,
    tags=["winback"],
    doc_md=__doc__,
)
def winback_ingest() -> None:
    operators.gate("raw", operators.RAW)(operators.extract())


winback_ingest()
