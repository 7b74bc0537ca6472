"""The DAGs' tasks run by Airflow itself, without a scheduler: dates, XComs and failing gates."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.conftest import Warehouse
from tests.dags.conftest import RunPython
from tests.small_shop import SmallShop, small_shop

AS_OF = date(2025, 3, 1)
# Airflow's own metadata is a clone of its own, so no live scheduler is disturbed
_RUN = """
import sys
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
bag = DagBag(dag_folder=sys.argv[1])
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.session import create_session
with create_session() as session:
    session.merge(DagBundleModel(name="tests"))
sync_bag_to_db(bag, "tests", None)
for as_of in sys.argv[3:]:
    run = bag.dags[sys.argv[2]].test(run_conf={"as_of": as_of})
    print("STATE", run.state, {ti.task_id: str(ti.state) for ti in run.get_task_instances()})
"""


@pytest.fixture
def shop(warehouse: Warehouse) -> SmallShop:
    shop = small_shop(warehouse.data, AS_OF)
    warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
    return shop


def test_ingest_takes_the_date_it_is_given(
    warehouse: Warehouse, shop: SmallShop, airflow_python: RunPython
) -> None:
    shop.buy("active-00", 0)
    shop.write()
    result = airflow_python("-c", _RUN, "dags/winback_ingest.py", "winback_ingest", str(AS_OF))
    assert "STATE success {'extract': 'success', 'gate': 'success'}" in result.stdout, result.stderr
    assert warehouse.execute("select as_of, purpose from ops.snapshot") == [(AS_OF, "live")]
    assert warehouse.execute("select gate, is_passed from ops.gate_run") == [("raw", True)]
    # the order of the as-of date itself is not known on it
    assert warehouse.execute("select count(*) from raw.orders") == [(25,)]


def test_a_broken_batch_stops_at_the_gate_which_names_the_expectation(
    warehouse: Warehouse, shop: SmallShop, airflow_python: RunPython
) -> None:
    for order in shop.orders[:5]:
        order["total"] = "-1.00"
    shop.write()
    result = airflow_python("-c", _RUN, "dags/winback_ingest.py", "winback_ingest", str(AS_OF))
    assert "STATE failed {'extract': 'success', 'gate': 'failed'}" in result.stdout, result.stderr
    said = result.stdout + result.stderr
    assert "expect_column_max_to_be_between(quarantined_pct) on raw.orders" in said
    assert warehouse.execute("select is_passed, n_failed from ops.gate_run") == [(False, 1)]
    assert warehouse.execute(
        "select feed, n_received, n_passed, n_quarantined from ops.extract_run"
        " where n_quarantined > 0"
    ) == [("orders", 25, 20, 5)]


def test_an_older_date_after_a_newer_one_is_a_backfill(
    warehouse: Warehouse, shop: SmallShop, airflow_python: RunPython
) -> None:
    older = AS_OF - timedelta(days=240)
    shop.buy("lapsed-00", 241)
    shop.write()
    dates = [str(AS_OF), str(older)]
    airflow_python("-c", _RUN, "dags/winback_ingest.py", "winback_ingest", *dates)
    assert warehouse.execute("select as_of, purpose from ops.snapshot order by 1") == [
        (older, "backfill"),
        (AS_OF, "live"),
    ]
