"""Hostile values: each passes as what it means or is quarantined with its reason, whatever stands
beside it in the batch.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tests.hostile.row_cases import VALUES, HostileValue
from winback.extract.feeds import CUSTOMERS, ORDERS
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.rows.validation import Checked, check
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE

ORDER = {
    "order_id": "o1",
    "customer_id": "k1",
    "ordered_at": "2024-01-02",
    "quantity": "1",
    "amount_cents": "1.00",
    "currency": "EUR",
    "channel": "fine",
}
CUSTOMER = {"customer_id": "k1", "email": "ada@example.com", "registered_at": "2024-01-02"}
BAD_NEIGHBOURS = {
    "order_id": "\0",
    "ordered_at": "never",
    "quantity": "some",
    "amount_cents": "free",
    "currency": "shells",
    "channel": "\0",
    "email": "nobody",
}
# other ways to write a good value, on which Arrow's quick way gives up
SLOW_NEIGHBOURS = {"ordered_at": "2024-01-02T03:04:05.123456789Z", "quantity": "2.00"}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_KEY", "test key")


def row_of(case: HostileValue) -> dict[str, str]:
    return (ORDER if case.column in ORDER else CUSTOMER) | {case.column: case.text}


def checked(rows: list[dict[str, str]]) -> Checked:
    feed = ORDERS if "order_id" in rows[0] else CUSTOMERS
    columns = {name: ColumnMapping(name) for name in rows[0]}
    if feed is ORDERS:
        columns["amount_cents"] = ColumnMapping("amount_cents", unit="major")
    batch = pa.record_batch({name: pa.array([row[name] for row in rows]) for name in rows[0]})
    batch = batch.append_column(ROW_NUMBER, pa.array(range(1, len(rows) + 1), pa.int64()))
    batch = batch.append_column(SOURCE, pa.array(["shop.csv"] * len(rows)).dictionary_encode())
    return check(batch, FeedMapping(feed, columns), "shop", "Europe/Berlin")


def fates(rows: list[dict[str, str]], column: str) -> dict[int, Any]:
    """By row number the value of a column that passed, or the reasons why the row did not."""
    result = checked(rows)
    assert len(result.rejected) + result.passed.num_rows == len(rows)
    passed = zip(
        result.passed.column(ROW_NUMBER).to_pylist(),
        result.passed.column(column).to_pylist(),
        strict=True,
    )
    return dict(passed) | {row.row_number: row.reasons for row in result.rejected}


@pytest.mark.parametrize("case", VALUES, ids=lambda case: f"{case.column} {case.text[:30]!a}")
def test_a_hostile_value(case: HostileValue) -> None:
    expected = [f"{case.column} {case.reason}"] if case.reason else case.becomes
    row = row_of(case)
    good = ORDER if case.column in ORDER else CUSTOMER
    bad = good | {case.column: BAD_NEIGHBOURS[case.column]}
    slow = good | {case.column: SLOW_NEIGHBOURS.get(case.column, good[case.column])}
    fate_of_good = fates([good], case.column)[1]
    assert fates([row], case.column) == {1: expected}
    assert fates([good, row, good], case.column) == {1: fate_of_good, 2: expected, 3: fate_of_good}
    for other in (bad, slow):
        fate_of_other = fates([other], case.column)[1]
        assert fates([other, row, good], case.column) == {
            1: fate_of_other, 2: expected, 3: fate_of_good
        }  # fmt: skip


def test_ids_that_look_alike_are_other_customers() -> None:
    ids = ["café", "cafe\u0301", "café\u200b", "CAFÉ", "\u216dafé"]
    result = checked([ORDER | {"customer_id": each} for each in ids])
    assert len(set(result.passed.column("customer_key").to_pylist())) == len(ids)
