"""What the tests of the gates share: two days of a shop with every feed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.broken_tables import AS_OF, run_script
from tests.conftest import Warehouse, WarehouseFactory
from tests.flow import up_to_gate
from tests.small_shop import small_shop
from winback.gate import run_gate

# from here on Great Expectations compares; see `COMPARED_FROM`
N_LAPSED, N_ACTIVE = 120, 30

ORDER_LINES = (
    "insert into raw.order_lines (order_id, line_number, product_id, quantity, amount_cents,"
    " currency, ordered_at, snapshot_id) select order_id, n, 'p', 1, amount_cents / 2, currency,"
    " ordered_at, snapshot_id from raw.orders, generate_series(1, 2) as n;"
    "insert into ops.extract_run (snapshot_id, feed, source, n_received, n_passed, n_quarantined,"
    " started_at) select max(snapshot_id), 'order_lines', 'lines.csv', 300, 300, 0, now()"
    " from ops.snapshot"
)
# ten weeks of twelve orders a day, on which the last day can be judged
HISTORY = (
    "insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency,"
    " snapshot_id) select 'history-' || day || '-' || n, (select min(customer_key) from"
    f" raw.customers), date '{AS_OF}' - day, 100, 'EUR', 1"
    " from generate_series(1, 70) as day, generate_series(1, 12) as n"
)


@pytest.fixture(scope="module")
def gated(warehouse_factory: WarehouseFactory) -> Iterator[tuple[Warehouse, int]]:
    """Two days of a shop with every feed that the faults below need; the second is judged."""
    with warehouse_factory("gates") as warehouse:
        shop = small_shop(warehouse.data, AS_OF, N_LAPSED, 0)
        for n in range(N_ACTIVE):
            shop.add(f"active-{n:02}", 3)
        warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
        up_to_gate(AS_OF - timedelta(days=1))
        snapshot_id = up_to_gate(AS_OF)
        run_script(warehouse, f"{ORDER_LINES};{HISTORY}")
        run_gate("raw", snapshot_id, AS_OF)
        yield warehouse, snapshot_id
