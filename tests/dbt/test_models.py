"""The dbt project on a real warehouse: unit tests, data tests, and what a failure does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.small_shop import small_shop
from winback.dbt_build import build, invoke, schema_suffix
from winback.errors import ModelBuildFailed
from winback.extract.feeds import FEEDS
from winback.extract.snapshot import extract
from winback.settings import settings

AS_OF = date(2025, 3, 1)


@pytest.fixture(scope="module")
def extracted(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("dbt") as warehouse:
        shop = small_shop(warehouse.data, AS_OF)
        warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
        extract(AS_OF, "live")
        yield warehouse


@pytest.fixture(scope="module")
def built(extracted: Warehouse) -> dict[str, str]:
    """The status of every model and test; whoever needs the relations asks for it."""
    return build("stage", AS_OF) | build("model", AS_OF)


def test_every_model_builds_and_passes_its_tests(
    extracted: Warehouse, built: dict[str, str]
) -> None:
    assert {
        *(f"stg_{feed}" for feed in FEEDS), "int_orders__daily",
        "int_customers__rhythm", "int_candidates", "dim_customers", "fct_orders",
        "fct_inactive_six_months", "fct_customer_states", "fct_candidates", "fct_verdicts",
    } <= built.keys()  # fmt: skip
    assert sum(status == "pass" for status in built.values()) > 90
    assert extracted.execute("select count(*) from marts.fct_inactive_six_months") == [(20,)]
    # optional and absent, yet there: an empty table
    assert extracted.execute("select count(*) from staging.stg_order_lines") == [(0,)]


@pytest.mark.usefixtures("built")
def test_the_manifest_stands_while_the_project_does(extracted: Warehouse) -> None:
    def build_again() -> None:
        for part in ("stage", "model"):
            build(part, AS_OF)
        assert extracted.execute(
            "select added_to_build_id is not null from ops.mart_build"
            " order by mart_build_id desc limit 1"
        ) == [(True,)]

    manifest = settings().home / "dbt" / "target" / "manifest.json"
    whole = manifest.read_text()
    build_again()
    assert manifest.read_text() == whole
    # of other schemas, which nobody reads
    for part in ("stage", "model"):
        build(part, AS_OF, "_beside")
    assert manifest.read_text() == whole
    manifest.unlink()
    build_again()
    assert manifest.exists()


@pytest.mark.usefixtures("built")
def test_the_unit_tests_of_the_models_pass() -> None:
    results = invoke(["--quiet", "test", "--select", "test_type:unit"], None)
    tests = {name: status for name, (status, _) in results.items() if "on-run-end" not in name}
    assert len(tests) >= 14 + len(FEEDS)
    assert set(tests.values()) == {"pass"}


def test_a_failing_data_test_stops_the_build_and_is_named(extracted: Warehouse) -> None:
    extracted.execute("alter table raw.orders drop constraint orders_pkey")
    extracted.execute("insert into raw.orders select * from raw.orders limit 1")
    with pytest.raises(
        ModelBuildFailed,
        match=r"1 of \d+ failed, \d+ were skipped: unique_stg_orders_order_id",
    ):
        build("stage", AS_OF)
    extracted.execute(
        "delete from raw.orders as a using raw.orders as b"
        " where a.order_id = b.order_id and a.ctid > b.ctid"
    )


@pytest.mark.usefixtures("built")
def test_no_personal_column_reaches_a_mart(extracted: Warehouse) -> None:
    columns = extracted.execute(
        "select table_name, column_name from information_schema.columns"
        " where table_schema in ('staging', 'intermediate', 'marts')"
        " and column_name in ('email', 'first_name', 'last_name', 'address', 'phone')"
    )
    assert columns == []


def test_a_snapshot_that_does_not_exist_says_so(warehouse: Warehouse) -> None:
    with pytest.raises(ModelBuildFailed, match="there is no snapshot 7: run winback_ingest"):
        schema_suffix(7)
