"""### Take in what became of the messages

`record` turns the batches that the mail provider's webhook left in the inbox into events, moves the
ledger forward, and suppresses whoever bounced, complained or unsubscribed. What a worker was
sending when it died becomes `unknown` and waits for an event or a person.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from airflow.sdk import dag

from winback import operators
from winback.settings import settings


@dag(
    dag_id="winback_events",
    schedule=settings().cron("events"),
    start_date=datetime(2024, 1, 1, tzinfo=ZoneInfo(settings().business_timezone)),
    catchup=False,
    max_active_runs=1,
    tags=["winback"],
    doc_md=__doc__,
)
def winback_events() -> None:
    operators.record()


winback_events()
