"""Hostile rows all the way into PostgreSQL: every row accounted for, and no value is another's."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Warehouse
from tests.hostile.file_cases import FILES, HostileFile
from tests.hostile.passing import COLUMNS, FAIR_CUSTOMERS
from tests.hostile.row_cases import VALUES, HostileValue
from tests.hostile.test_hostile_rows import CUSTOMER, ORDER
from winback.errors import SourceError
from winback.extract.snapshot import extract
from winback.privacy.keyed_hash import address_hash

AS_OF = date(2026, 6, 1)
# a load takes half a second, so every third one; the others end before the database is met
LOADED_FILES = [case for case in FILES if case.refused is None][::3] + [
    case for case in FILES if case.refused is not None
][::8]


def declare(warehouse: Warehouse, **feeds: Any) -> None:
    warehouse.data.mkdir(exist_ok=True)
    sources = warehouse.data / "sources.yaml"
    sources.write_text(yaml.safe_dump({"datasets": {"shop": {"feeds": feeds}}}))
    warehouse.configure(dataset="shop", sources=sources, business_timezone="Europe/Berlin")


def write_rows(path: Path, cases: list[HostileValue], good: dict[str, str], key: str) -> None:
    """A good row before each hostile one, each with a key of its own."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(good), lineterminator="\n")
        writer.writeheader()
        for n, case in enumerate(cases):
            writer.writerow(good | {key: f"good {n}"})
            writer.writerow({**good, key: f"hostile {n}"} | {case.column: case.text})


def counts(warehouse: Warehouse, feed: str) -> tuple[int, int, int]:
    [(received, passed, quarantined)] = warehouse.execute(
        "select n_received, n_passed, n_quarantined from ops.extract_run where feed = %s", (feed,)
    )
    return received, passed, quarantined


def quarantined(warehouse: Warehouse, feed: str) -> dict[int, list[str]]:
    rows = warehouse.execute(
        "select row_number, reasons from quarantine.rejected_row where feed = %s", (feed,)
    )
    return dict(rows)


def feed(path: Path, columns: dict[str, Any]) -> dict[str, Any]:
    return {"file": str(path), "columns": columns}


def test_hostile_values_reach_the_warehouse_as_they_are_or_not_at_all(warehouse: Warehouse) -> None:
    cases = [case for case in VALUES if case.column in ORDER and case.column != "order_id"]
    of_customers = [case for case in VALUES if case.column not in ORDER]
    declare(
        warehouse,
        orders=feed(
            warehouse.data / "orders.csv",
            {name: name for name in ORDER} | {"amount_cents": {"column": "amount_cents",
                                                               "unit": "major"}},
        ),
        customers=feed(warehouse.data / "customers.csv", {name: name for name in CUSTOMER}),
    )  # fmt: skip
    write_rows(warehouse.data / "orders.csv", cases, ORDER, "order_id")
    write_rows(warehouse.data / "customers.csv", of_customers, CUSTOMER, "customer_id")
    extract(AS_OF, "live")

    for name, values in (("orders", cases), ("customers", of_customers)):
        bad = {2 * n + 2: [f"{case.column} {case.reason}"] for n, case in enumerate(values)
               if case.reason}  # fmt: skip
        assert quarantined(warehouse, name) == bad
        assert counts(warehouse, name) == (2 * len(values), 2 * len(values) - len(bad), len(bad))

    names = ["ordered_at", "quantity", "amount_cents", "currency", "channel"]
    rows = {
        row[0]: dict(zip(names, row[1:], strict=True))
        for row in warehouse.execute(f"select order_id, {', '.join(names)} from raw.orders")
    }
    fair = rows["good 0"]
    for n, case in enumerate(cases):
        assert rows.pop(f"good {n}") == fair
        if case.reason is None:
            assert rows.pop(f"hostile {n}") == fair | {case.column: case.becomes}
    assert rows == {}

    emails = dict(warehouse.execute("select source_customer_id, email from pii.customers"))
    hashes = {hash_ for (hash_,) in warehouse.execute("select email_hash from raw.customers")}
    for n, case in enumerate(of_customers):
        if case.reason is None:
            assert emails[f"hostile {n}"] == case.becomes
            assert address_hash("email", case.text) in hashes
    [(kept,)] = warehouse.execute(
        "select string_agg(content::text, '') from quarantine.rejected_row"
    )
    assert "example.com" not in kept


def test_hostile_keys_are_keys_like_others(warehouse: Warehouse) -> None:
    cases = [case for case in VALUES if case.column == "order_id"]
    declare(
        warehouse,
        orders=feed(warehouse.data / "orders.csv", {name: name for name in ORDER}),
        customers=feed(warehouse.data / "customers.csv", {name: name for name in CUSTOMER}),
    )
    (warehouse.data / "customers.csv").write_text(FAIR_CUSTOMERS)
    with (warehouse.data / "orders.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(ORDER), lineterminator="\n")
        writer.writeheader()
        writer.writerows(ORDER | {"order_id": case.text, "amount_cents": "1"} for case in cases)
    extract(AS_OF, "live")
    loaded = {order_id for (order_id,) in warehouse.execute("select order_id from raw.orders")}
    assert loaded == {case.becomes for case in cases if case.reason is None}
    assert quarantined(warehouse, "orders") == {
        n: [f"order_id {case.reason}"] for n, case in enumerate(cases, start=1) if case.reason
    }


@pytest.mark.parametrize("case", LOADED_FILES, ids=lambda case: case.name)
def test_a_hostile_file_is_loaded_whole_or_not_at_all(
    warehouse: Warehouse, case: HostileFile
) -> None:
    columns: dict[str, Any] = {
        name: how.column for name, how in COLUMNS.items() if how.column is not None
    }
    columns["amount_cents"] = {"column": "total", "unit": "major"}
    columns["currency"] = {"constant": "EUR"}
    path = warehouse.data / f"orders.{case.ending}"
    declare(
        warehouse,
        orders=feed(path, columns) | case.how,
        customers=feed(warehouse.data / "customers.csv", {name: name for name in CUSTOMER}),
    )
    (warehouse.data / "customers.csv").write_text(FAIR_CUSTOMERS)
    path.write_bytes(case.content)
    if case.refused is not None:
        with pytest.raises(SourceError):
            extract(AS_OF, "live")
        assert warehouse.execute("select count(*) from raw.orders") == [(0,)]
        assert warehouse.execute("select count(*) from quarantine.rejected_row") == [(0,)]
        return
    extract(AS_OF, "live")
    rows = warehouse.execute("select order_id, amount_cents, channel from raw.orders")
    assert sorted(rows) == sorted(case.passed.values())
    assert quarantined(warehouse, "orders") == case.quarantined
    n_passed, n_bad = len(case.passed), len(case.quarantined)
    assert counts(warehouse, "orders") == (n_passed + n_bad, n_passed, n_bad)
