"""### Fit the models to the past, and judge them by it

`train` fits rhythm, BG/NBD, Gamma-Gamma and the return models to what the marts know,
judges them on windows of the past, and takes them into use unless they are worse than those in use
or the customers of today differ from those they were fitted to. Parameters and figures stand in
`ops.model_run`, a page for people in `<home>/models`. The next `winback_model` uses them.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from airflow.sdk import dag

from winback import operators
from winback.settings import settings


@dag(
    dag_id="winback_training",
    schedule=settings().cron("training"),
    start_date=datetime(2024, 1, 1, tzinfo=ZoneInfo(settings().business_timezone)),
    catchup=False,
    max_active_runs=1,
    tags=["winback"],
    doc_md=__doc__,
)
def winback_training() -> None:
    operators.train()


winback_training()
