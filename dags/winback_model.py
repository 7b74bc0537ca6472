"""### Build who is gone and what they are worth

`stage` and `model` run dbt: staging views, then rhythm, value, states, candidates and marts, each
with its tests. `gate` judges the marts by `expectations/marts.py`.

Starts on the asset `winback://raw`, passes on `winback://candidates`. The newest date stands in the
schema `marts`; any other date is built beside it, in `marts_asof_<date>`.
"""

from __future__ import annotations

from airflow.sdk import dag

from winback import operators


@dag(
    dag_id="winback_model",
    schedule=[operators.RAW],
    catchup=False,
    max_active_runs=1,
    tags=["winback"],
    doc_md=__doc__,
)
def winback_model() -> None:
    staged = operators.stage()
    operators.gate("marts", operators.CANDIDATES)(operators.model(staged))


winback_model()
