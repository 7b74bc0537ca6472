"""CDNOW through the ordinary file source, compared with a reading of the raw file by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.conftest import Warehouse, WarehouseFactory
from winback.extract.feeds import FEEDS
from winback.extract.snapshot import extract


@pytest.fixture(scope="module")
def rows(cdnow_data: Path) -> list[tuple[str, ...]]:
    lines = (cdnow_data / "CDNOW_master.txt").read_text().splitlines()[1:]
    return [tuple(line.split()) for line in lines]


@pytest.fixture(scope="module")
def loaded(warehouse_factory: WarehouseFactory, cdnow_data: Path) -> Iterator[Warehouse]:
    with warehouse_factory("cdnow") as warehouse:
        warehouse.configure(data=cdnow_data.parent, dataset="cdnow")
        extract(date(1998, 7, 1), "live")
        yield warehouse


def test_every_row_of_the_file_is_an_order(loaded: Warehouse, rows: list[tuple[str, ...]]) -> None:
    found = loaded.execute(
        "select count(*), count(*) filter (where amount_cents = 0), sum(amount_cents),"
        " sum(quantity), count(distinct customer_key) from raw.orders"
    )
    cents = [round(float(amount) * 100) for *_, amount in rows]
    expected = (
        len(rows), cents.count(0), sum(cents), sum(int(row[2]) for row in rows),
        len({row[0] for row in rows}),
    )  # fmt: skip
    assert found == [expected]
    assert (expected[0], expected[1], expected[4]) == (69_659, 80, 23_570)


def test_identical_rows_are_kept(loaded: Warehouse, rows: list[tuple[str, ...]]) -> None:
    repeated = loaded.execute(
        "select coalesce(sum(n - 1), 0) from (select count(*) as n from raw.orders"
        " group by customer_key, ordered_at, quantity, amount_cents) as same"
    )
    assert repeated == [(sum(n - 1 for n in Counter(rows).values()),)] == [(255,)]


def test_customers_are_registered_on_their_first_purchase(
    loaded: Warehouse, rows: list[tuple[str, ...]]
) -> None:
    found = loaded.execute(
        "select pii.source_customer_id, to_char(raw.registered_at, 'YYYYMMDD')"
        " from raw.customers as raw inner join pii.customers as pii using (customer_key)"
    )
    first: dict[str, str] = {}
    for customer_id, day, *_ in rows:
        first[customer_id] = min(day, first.get(customer_id, day))
    assert dict(found) == first


def test_the_counts_are_written_and_nothing_is_quarantined(loaded: Warehouse) -> None:
    runs = loaded.execute(
        "select feed, n_received, n_passed, n_quarantined from ops.extract_run order by feed"
    )
    n_consents = loaded.execute("select count(*) from raw.consents")[0][0]
    assert runs == [
        ("consents", n_consents, n_consents, 0),
        ("customers", 23_570, 23_570, 0),
        ("orders", 69_659, 69_659, 0),
    ]
    status = loaded.execute("select feed, is_present, is_made_up from ops.feed_status")
    present = {name: is_made_up for name, is_present, is_made_up in status if is_present}
    assert present == {"consents": True, "customers": True, "orders": False}
    absent = {name for name, is_present, _ in status if not is_present}
    assert absent == FEEDS.keys() - present.keys()


def test_a_replay_leaves_later_rows_at_the_source(
    warehouse: Warehouse, cdnow_data: Path, rows: list[tuple[str, ...]]
) -> None:
    warehouse.configure(data=cdnow_data.parent, dataset="cdnow", replay=True)
    for as_of in (date(1998, 1, 1), date(1998, 4, 1)):
        extract(as_of, "live")
        known = [row for row in rows if row[1] < f"{as_of:%Y%m%d}"]
        found = warehouse.execute("select count(*), max(ordered_at)::date from raw.orders")
        newest = max(row[1] for row in known)
        assert found == [(len(known), date.fromisoformat(newest))]
        customers = warehouse.execute("select count(*) from raw.customers")
        assert customers == [(len({row[0] for row in known}),)]
        received = warehouse.execute(
            "select n_received from ops.extract_run where feed = 'orders' order by 1 desc limit 1"
        )
        assert received == [(len(known),)]
