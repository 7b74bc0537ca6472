"""One small shop for each file; every test finds it as if nothing had been selected yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import PROJECT, WarehouseFactory
from tests.flow import up_to_gate
from tests.scored_shop import AS_OF, NAME, Scored
from tests.small_shop import small_shop

RULES = """
must_win:
  named:
    because: strategic
    customers: [lapsed-00]
"""
KEPT = (
    "ops.outreach, ops.verdict, ops.assignment, ops.campaign, ops.economics, ops.economics_run,"
    " ops.kpi_snapshot, ops.customer_count"
)


@pytest.fixture(scope="module")
def built(
    warehouse_factory: WarehouseFactory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scored]:
    with warehouse_factory("economics") as warehouse:
        folder = tmp_path_factory.mktemp("economics") / "campaigns"
        (folder / "templates").mkdir(parents=True)
        (folder / "templates" / NAME).symlink_to(PROJECT / "campaigns" / "templates" / NAME)
        rules = folder.parent / "customer_rules.yaml"
        rules.write_text(RULES, encoding="utf-8")
        shop = small_shop(warehouse.data, AS_OF)
        warehouse.configure(
            sources=shop.write(), dataset="shop", replay=True, max_candidates_pct=100,
            campaigns=folder, customer_rules=rules,
        )  # fmt: skip
        yield Scored(warehouse, up_to_gate(AS_OF), folder)


@pytest.fixture
def shop(built: Scored) -> Scored:
    built.warehouse.execute(f"truncate {KEPT} restart identity cascade")
    built.warehouse.execute("truncate marts.fct_customer_values")
    built.warehouse.execute("delete from raw.orders where order_id like 'test-%'")
    built.write_campaign()
    return built
