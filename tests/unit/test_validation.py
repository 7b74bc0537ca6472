"""What a value must be to pass, and what becomes of a row that holds another."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from winback.extract.feeds import CUSTOMERS, ORDERS, Feed
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.rows.validation import Checked, check
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE

ORDER = {
    "order_id": "1",
    "customer_id": "c1",
    "ordered_at": "2024-01-02",
    "quantity": "1",
    "amount_cents": "100",
    "currency": "EUR",
}
CUSTOMER = {"customer_id": "c1", "email": "ada@example.com", "registered_at": "2024-01-02"}
CANARY = "Quirlina Zwetschgenkamp"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_KEY", "test key")


def checked(
    feed: Feed,
    rows: list[dict[str, Any]],
    zone: str = "UTC",
    known_until: datetime | None = None,
    **how: ColumnMapping,
) -> Checked:
    names = list(rows[0])
    columns = {name: ColumnMapping(column=name) for name in names} | how
    batch = pa.record_batch({name: pa.array([row[name] for row in rows]) for name in names})
    batch = batch.append_column(ROW_NUMBER, pa.array(range(1, len(rows) + 1), pa.int64()))
    source = pa.array(["shop.csv"] * len(rows)).dictionary_encode()
    batch = batch.append_column(SOURCE, source)
    return check(batch, FeedMapping(feed, columns), "shop", zone, known_until)


def one(column: str, value: Any, zone: str = "UTC", **details: str) -> tuple[Any, list[str]]:
    """What a single value became, and why it may not pass."""
    feed, row = (ORDERS, ORDER) if column in ORDER else (CUSTOMERS, CUSTOMER)
    how = {column: ColumnMapping(column=column, **details)}
    result = checked(feed, [row | {column: value}], zone, **how)
    if result.rejected:
        assert result.passed.num_rows == 0
        return None, result.rejected[0].reasons
    return result.passed.column(column)[0].as_py(), []


@pytest.mark.parametrize(
    ("column", "value", "details", "expected"),
    [
        ("quantity", " 3 ", {}, 3),
        ("quantity", "+3", {}, 3),
        ("quantity", "3.00", {}, 3),
        ("quantity", "", {}, None),
        ("quantity", None, {}, None),
        ("quantity", 3.0, {}, 3),
        ("amount_cents", "0", {}, 0),
        ("amount_cents", "1999", {}, 1999),
        ("amount_cents", "19.99", {"unit": "major"}, 1999),
        ("amount_cents", "19.9", {"unit": "major"}, 1990),
        ("amount_cents", "19.9900", {"unit": "major"}, 1999),
        ("amount_cents", 0.07, {"unit": "major"}, 7),
        ("amount_cents", "19,99", {"unit": "major", "decimal": ","}, 1999),
        ("amount_cents", "123456789012345.67", {"unit": "major"}, 12345678901234567),
        ("currency", "usd", {}, "USD"),
        ("email", " Ada.L@mail.example.com ", {}, "Ada.L@mail.example.com"),
    ],
)
def test_a_good_value_passes(
    column: str, value: Any, details: dict[str, str], expected: Any
) -> None:
    assert one(column, value, **details) == (expected, [])


NO_DATE = "is no date written as"
NO_NUMBER = "is no whole number"
NO_AMOUNT = "is no amount such as 12.34"
NO_EMAIL = "is no e-mail address"


@pytest.mark.parametrize(
    ("column", "value", "details", "reason"),
    [
        ("quantity", "1.5", {}, NO_NUMBER),
        ("quantity", 1.5, {}, NO_NUMBER),
        ("quantity", "-1", {}, "is negative"),
        ("quantity", "NaN", {}, NO_NUMBER),
        ("quantity", "1e3", {}, NO_NUMBER),
        ("quantity", "9" * 30, {}, NO_NUMBER),
        ("amount_cents", "-5", {}, "is negative"),
        ("amount_cents", "-0.05", {"unit": "major"}, "is negative"),
        ("amount_cents", "19.999", {"unit": "major"}, NO_AMOUNT),
        ("amount_cents", "19,99", {"unit": "major"}, NO_AMOUNT),
        ("amount_cents", "1.999", {"unit": "major", "decimal": ","}, "such as 12,34"),
        ("amount_cents", "nan", {"unit": "major"}, NO_AMOUNT),
        ("amount_cents", "inf", {"unit": "major"}, NO_AMOUNT),
        ("amount_cents", float("nan"), {"unit": "major"}, NO_AMOUNT),
        ("amount_cents", float("inf"), {"unit": "major"}, NO_AMOUNT),
        ("amount_cents", "", {}, "is missing"),
        ("currency", "XQX", {}, "is no currency code such as EUR"),
        ("currency", "Euro", {}, "is no currency code such as EUR"),
        ("currency", None, {}, "is missing"),
        ("order_id", "  ", {}, "is missing"),
        ("order_id", "a\x00b", {}, "holds a NUL character"),
        ("customer_id", None, {}, "is missing"),
        ("email", "ada", {}, NO_EMAIL),
        ("email", "ada@example", {}, NO_EMAIL),
        ("email", "ada@@example.com", {}, NO_EMAIL),
        ("email", "a b@example.com", {}, NO_EMAIL),
        ("email", "a\x00b@example.com", {}, NO_EMAIL),
        ("email", "Ada <ada@example.com>", {}, NO_EMAIL),
        ("email", "ada@example.com,bob@example.com", {}, NO_EMAIL),
        ("ordered_at", "yesterday", {}, NO_DATE),
        ("ordered_at", "2024-02-30", {}, NO_DATE),
        ("ordered_at", "2024", {}, NO_DATE),
        ("ordered_at", "2024-06", {}, NO_DATE),
        ("ordered_at", "31.12.2024", {}, NO_DATE),
        ("ordered_at", "2024-12-31", {"format": "%d.%m.%Y"}, "is no date written as %d.%m.%Y"),
        ("ordered_at", 1704188400, {}, NO_DATE),
        ("ordered_at", "1969-12-31", {}, NO_DATE),
        ("ordered_at", "2100-01-01", {}, NO_DATE),
        ("ordered_at", "", {}, "is missing"),
    ],
)  # fmt: skip
def test_a_bad_value_is_quarantined_with_its_reason(
    column: str, value: Any, details: dict[str, str], reason: str
) -> None:
    passed, reasons = one(column, value, **details)
    assert passed is None
    assert len(reasons) == 1
    assert reasons[0].startswith(column)
    assert reason in reasons[0]


@pytest.mark.parametrize(
    ("value", "zone", "details", "expected"),
    [
        ("2024-07-01", "Europe/Berlin", {}, "2024-06-30T22:00"),
        ("20240701", "Europe/Berlin", {}, "2024-06-30T22:00"),
        ("2024-07-01 10:30:00", "Europe/Berlin", {}, "2024-07-01T08:30"),
        ("2024-07-01 10:30", "Europe/Berlin", {"timezone": "UTC"}, "2024-07-01T10:30"),
        ("2024-07-01T10:30:00Z", "Europe/Berlin", {}, "2024-07-01T10:30"),
        ("2024-07-01t10:30:00z".upper(), "Europe/Berlin", {}, "2024-07-01T10:30"),
        ("2024-07-01 10:30:00.25+02", "UTC", {}, "2024-07-01T08:30:00.25"),
        ("2024-07-01T10:30:00-0500", "UTC", {}, "2024-07-01T15:30"),
        ("31-12-2024", "Europe/Berlin", {"format": "%d-%m-%Y"}, "2024-12-30T23:00"),
        ("31.12.2024 18:00 +0100", "UTC", {"format": "%d.%m.%Y %H:%M %z"}, "2024-12-31T17:00"),
        # the clock goes back: the first of the two; and forth at midnight: the day begins at one
        ("2024-10-27 02:30", "Europe/Berlin", {}, "2024-10-27T00:30"),
        ("2024-04-26", "Africa/Cairo", {}, "2024-04-25T22:00"),
        (date(2024, 7, 1), "Europe/Berlin", {}, "2024-06-30T22:00"),
        (datetime(2024, 7, 1, 10), "Europe/Berlin", {}, "2024-07-01T08:00"),
        (datetime(2024, 7, 1, 10, tzinfo=UTC), "Europe/Berlin", {}, "2024-07-01T10:00"),
    ],
)  # fmt: skip
def test_times_are_stored_as_utc(
    value: Any, zone: str, details: dict[str, str], expected: str
) -> None:
    passed, reasons = one("ordered_at", value, zone, **details)
    assert reasons == []
    assert passed == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_a_time_that_the_clock_skips_is_refused() -> None:
    passed, reasons = one("ordered_at", "2024-03-31 02:30", "Europe/Berlin")
    assert (passed, len(reasons)) == (None, 1)


def test_offsets_may_be_mixed_within_a_column() -> None:
    times = ["2024-01-01T10:00:00Z", "2024-01-01T10:00:00+02:00", "2024-01-01T10:00:00"]
    result = checked(ORDERS, [ORDER | {"ordered_at": value} for value in times], "Europe/Berlin")
    assert [time.hour for time in result.passed.column("ordered_at").to_pylist()] == [10, 8, 9]


def test_a_row_is_told_all_its_faults_and_the_others_pass() -> None:
    bad = ORDER | {"quantity": "1.5", "currency": "Euro", "order_id": ""}
    result = checked(ORDERS, [ORDER, bad, ORDER])
    assert result.passed.column(ROW_NUMBER).to_pylist() == [1, 3]
    [rejected] = result.rejected
    assert rejected.row_number == 2
    assert [reason.split()[0] for reason in rejected.reasons] == [
        "order_id", "quantity", "currency",
    ]  # fmt: skip
    assert json.loads(rejected.content)["quantity"] == "1.5"


def test_personal_values_leave_only_hashes_behind() -> None:
    row = CUSTOMER | {"customer_id": CANARY, "email": CANARY, "first_name": CANARY}
    [rejected] = checked(CUSTOMERS, [row]).rejected
    assert rejected.reasons == [f"email {NO_EMAIL}"]
    assert CANARY not in rejected.content
    passed = checked(CUSTOMERS, [row | {"email": "q@example.com"}]).passed.to_pylist()[0]
    assert {name for name, value in passed.items() if value == CANARY} == {
        "source_customer_id",
        "first_name",
    }


def test_rows_from_known_until_on_are_left_at_the_source() -> None:
    times = ["2024-01-01T23:59:59", "2024-01-02T00:00:00", "2024-01-03", "never"]
    result = checked(
        ORDERS,
        [ORDER | {"ordered_at": value} for value in times],
        known_until=datetime(2024, 1, 2, tzinfo=UTC),
    )
    assert result.passed.column(ROW_NUMBER).to_pylist() == [1]
    assert [row.row_number for row in result.rejected] == [4]
    assert result.n_not_yet == 2


def test_templates_constants_and_generated_ids() -> None:
    result = checked(
        ORDERS,
        [ORDER | {"customer_id": " 7 "}],
        order_id=ColumnMapping(template="{currency}-{customer_id}"),
        currency=ColumnMapping(constant="USD"),
    )
    [row] = result.passed.to_pylist()
    assert (row["order_id"], row["currency"]) == ("EUR-7", "USD")
