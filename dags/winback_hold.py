"""### Stop a campaign now, or let it go on

The stop button: press Trigger, choose a campaign and say why. `pause` works within one request, and
takes back what waits at the mail provider for the end of the quiet hours; `resume` lets a campaign
go on that was paused or stopped; `cancel` ends it for good. Who pressed, when and why is kept in
`ops.outreach_decision`. The same as `./winback outreach pause | resume | cancel`.
"""

from __future__ import annotations

from airflow.sdk import dag

from winback import operators


@dag(
    dag_id="winback_hold",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=operators.decision_params(),
    tags=["winback"],
    doc_md=__doc__,
)
def winback_hold() -> None:
    operators.hold()


winback_hold()
