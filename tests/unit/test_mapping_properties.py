"""What holds of the mapping for any rows: every value is what a slow reading with Python's own
types says, whatever stands beside it in the batch; nothing vanishes, and nothing personal is told.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winback.extract.feeds import CUSTOMERS, ORDERS, Feed
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.rows.rejected_rows import Rejected
from winback.extract.rows.validation import check
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata",
    "Europe/Dublin", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Beirut",
)  # fmt: skip
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
BAD = object()
SOME = settings(
    max_examples=120, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_KEY", "test key")


# The slow reading: one value after the other; BAD is what may not pass


def slow_decimal(text: str, point: str, most_digits: int, decimals: int) -> Any:
    whole, _, rest = text.lstrip("+-").partition(point)
    signs = text[: len(text) - len(text.lstrip("+-"))]
    is_plain = set(whole + rest) <= set(string.digits) and whole != "" and len(signs) <= 1
    if not is_plain or len(whole) > most_digits or (point in text and not rest):
        return BAD
    try:
        number = Decimal(signs + whole + "." + (rest or "0"))
    except InvalidOperation:
        return BAD
    return number if len(rest.rstrip("0")) <= decimals else BAD


def slow_amount(text: str, point: str = ".") -> Any:
    number = slow_decimal(text, point, 15, 2)
    return BAD if number is BAD or number < 0 else int(number.scaleb(2))


def slow_integer(text: str) -> Any:
    number, _, zeros = text.partition(".")
    digits = number.removeprefix("-") if number.startswith("-") else number.removeprefix("+")
    if not digits or set(digits) - set(string.digits) or set(zeros) - {"0"}:
        return BAD
    return BAD if abs(int(number)) >= 10**18 or int(number) < 0 else int(number)


def slow_instant(text: str, zone: str) -> Any:
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return BAD
    if read.tzinfo is None:
        local = read.replace(tzinfo=ZoneInfo(zone))
        instant = local.astimezone(UTC)
        if instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != read:
            if read.time() != time(0):
                return BAD
            instant = first_moment_after(read, ZoneInfo(zone))
    else:
        instant = read.astimezone(UTC)
    return instant if EARLIEST <= instant < LATEST else BAD


def first_moment_after(skipped: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which a clock change that skips a local time happens."""
    low = skipped.replace(tzinfo=UTC) - timedelta(days=2)
    high = skipped.replace(tzinfo=UTC) + timedelta(days=2)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < skipped:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


# Rows as shops write them


@dataclass(frozen=True)
class Written:
    """How the orders of one shop are written.

    Attributes:
        zone: Of times without an offset.
        point: Between major and minor units.
    """

    zone: str
    point: str


JUNK = st.text(max_size=12) | st.sampled_from(
    ["", " ", "NaN", "1e5", "0x10", "-", "+", "--1", "1.2.3", "1,2,3", "inf", "NULL", "2024-02-30",
     "2024-03-31T24:30", "now", "١٢٣", "9" * 40, "1_000"]
)  # fmt: skip
DAYS = st.datetimes(datetime(1969, 12, 30), datetime(2100, 1, 2))
# hours around the clock changes of the zones above
CHANGES = st.builds(
    lambda day, minutes: datetime.combine(day, time()) + timedelta(minutes=minutes),
    st.sampled_from(
        [date(2024, 3, 31), date(2024, 10, 27), date(2024, 3, 10), date(2024, 11, 3),
         date(2018, 11, 4), date(2018, 2, 18), date(2024, 4, 7), date(2024, 10, 6),
         date(2022, 3, 27), date(2060, 3, 28), date(2071, 10, 25)]
    ),
    st.integers(-60, 260),
)  # fmt: skip
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def time_texts() -> st.SearchStrategy[str]:
    moments = DAYS | CHANGES
    return st.one_of(
        moments.map(lambda moment: moment.date().isoformat()),
        moments.map(lambda moment: moment.isoformat(" ", "minutes")),
        moments.map(lambda moment: moment.isoformat("T", "seconds")),
        moments.map(lambda moment: moment.isoformat("T", "milliseconds")),
        moments.map(lambda moment: moment.isoformat()),
        moments.map(lambda moment: moment.isoformat("T", "seconds") + "Z"),
        st.builds(lambda moment, zone: moment.replace(tzinfo=zone).isoformat(), moments, OFFSETS),
    )


def amount_texts(point: str) -> st.SearchStrategy[str]:
    amounts = st.decimals(-10, 10**15, places=2, allow_nan=False)
    numbers = st.one_of(amounts, st.decimals(0, 10**6, places=3), st.integers(0, 10**16))
    padded = st.builds(lambda number, n: f"{number}" + "0" * n, amounts, st.integers(0, 40))
    return (numbers.map(str) | padded).map(lambda text: text.replace(".", point))


def integer_texts() -> st.SearchStrategy[str]:
    return st.one_of(
        st.integers(-3, 10**19).map(str),
        st.integers(0, 9).map(lambda n: f"{n}.00"),
        st.integers(0, 99).map(lambda n: f"+{n}"),
        st.integers(0, 99).map(lambda n: f"{n:040d}"),
    )


@st.composite
def shops(draw: st.DrawFn) -> tuple[Written, list[dict[str, str | None]]]:
    written = Written(draw(st.sampled_from(ZONES)), draw(st.sampled_from(".,")))
    row = st.fixed_dictionaries(
        {
            "order_id": st.text(min_size=1, max_size=5) | JUNK,
            "customer_id": st.sampled_from(["k1", "k2", None, " "]),
            "ordered_at": time_texts() | JUNK,
            "quantity": integer_texts() | JUNK | st.none(),
            "amount_cents": amount_texts(written.point) | JUNK,
            "currency": st.sampled_from(["EUR", "usd", " chf ", "XQX", "", "\u216dhf"]),
        }
    )
    return written, draw(st.lists(row, min_size=1, max_size=8))


def mapping_of(written: Written) -> FeedMapping:
    columns = {column.name: ColumnMapping(column.name) for column in ORDERS.columns[:6]}
    columns["amount_cents"] = ColumnMapping("amount_cents", unit="major", decimal=written.point)
    columns["ordered_at"] = ColumnMapping("ordered_at", timezone=written.zone)
    return FeedMapping(ORDERS, columns)


def batch_of(rows: list[dict[str, Any]], numbers: list[int] | None = None) -> pa.RecordBatch:
    batch = pa.record_batch(
        {name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]}
    )
    numbers = numbers or list(range(1, len(rows) + 1))
    batch = batch.append_column(ROW_NUMBER, pa.array(numbers, pa.int64()))
    return batch.append_column(SOURCE, pa.array(["s.csv"] * len(rows)).dictionary_encode())


Fates = tuple[dict[int, dict[str, Any]], dict[int, Rejected]]


def fates(mapping: FeedMapping, batches: list[pa.RecordBatch]) -> Fates:
    """By row number: what passed, and what did not."""
    passed: dict[int, dict[str, Any]] = {}
    rejected: dict[int, Rejected] = {}
    for batch in batches:
        result = check(batch, mapping, "shop", "UTC")
        assert result.passed.num_rows + len(result.rejected) == batch.num_rows
        passed |= {row[ROW_NUMBER]: row for row in result.passed.to_pylist()}
        rejected |= {row.row_number: row for row in result.rejected}
    return passed, rejected


def slow_row(written: Written, row: dict[str, str | None]) -> dict[str, Any]:
    """The slow reading of a row's columns; None where nothing is given."""
    readings: dict[str, Callable[[str], Any]] = {
        "order_id": lambda text: BAD if "\0" in text else text,
        "ordered_at": lambda text: slow_instant(text, written.zone),
        "quantity": slow_integer,
        "amount_cents": lambda text: slow_amount(text, written.point),
        "currency": lambda text: text.upper() if text.upper() in ("EUR", "USD", "CHF") else BAD,
    }
    found = {}
    for name, reading in readings.items():
        text = (row[name] or "").strip()
        found[name] = reading(text) if text else None
    return found


@SOME
@given(shops())
def test_every_row_is_what_a_slow_reading_says(shop: Any) -> None:
    written, rows = shop
    passed, rejected = fates(mapping_of(written), [batch_of(rows)])
    assert passed.keys() | rejected.keys() == set(range(1, len(rows) + 1))
    assert len(passed) + len(rejected) == len(rows)
    for number, row in enumerate(rows, start=1):
        slow = slow_row(written, row)
        has_customer = bool((row["customer_id"] or "").strip())
        bad = [name for name, value in slow.items()
               if value is BAD or (value is None and name != "quantity")]  # fmt: skip
        bad += [] if has_customer else ["customer_id"]
        if bad:
            assert {reason.split(" ")[0] for reason in rejected[number].reasons} == set(bad), row
        else:
            assert {name: passed[number][name] for name in slow} == slow, row


@SOME
@given(shops(), st.data())
def test_a_fate_depends_neither_on_the_neighbours_nor_on_the_order(
    shop: Any, data: st.DataObject
) -> None:
    written, rows = shop
    mapping = mapping_of(written)
    whole = fates(mapping, [batch_of(rows)])
    each = [batch_of([row], [number]) for number, row in enumerate(rows, start=1)]
    assert fates(mapping, each) == whole
    cut = data.draw(st.integers(0, len(rows)))
    batch = batch_of(rows)
    assert fates(mapping, [batch.slice(0, cut), batch.slice(cut)]) == whole
    order = data.draw(st.permutations(range(len(rows))))
    assert fates(mapping, [batch_of([rows[i] for i in order], [i + 1 for i in order])]) == whole


@SOME
@given(st.sampled_from(ZONES), st.lists(time_texts(), min_size=1, max_size=12))
def test_a_time_is_the_same_instant_for_python(zone: str, texts: list[str]) -> None:
    order = {"order_id": "1", "customer_id": "k1", "quantity": "1", "amount_cents": "1"}
    rows = [order | {"currency": "EUR", "ordered_at": text} for text in texts]
    passed, rejected = fates(mapping_of(Written(zone, ".")), [batch_of(rows)])
    for number, text in enumerate(texts, start=1):
        slow = slow_instant(text, zone)
        assert (number in rejected) == (slow is BAD), text
        assert number in rejected or passed[number]["ordered_at"] == slow, text


@SOME
@given(st.lists(st.integers(0, 10**17 - 1), min_size=1, max_size=8), st.sampled_from(".,"))
def test_money_survives_the_way_there_and_back(amounts: list[int], point: str) -> None:
    order = {"order_id": "1", "customer_id": "k1", "ordered_at": "2024-01-01", "quantity": "1"}
    texts = [f"{cents // 100}{point}{cents % 100:02d}" for cents in amounts]
    rows = [order | {"currency": "EUR", "amount_cents": text} for text in texts]
    passed, _ = fates(mapping_of(Written("UTC", point)), [batch_of(rows)])
    assert [passed[n]["amount_cents"] for n in range(1, len(rows) + 1)] == amounts


@SOME
@given(
    st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=8),
    st.sampled_from([pa.decimal128(19, 2), pa.decimal128(38, 2), pa.decimal128(38, 12)]),
)
def test_decimals_of_a_database_are_the_same_money(amounts: list[int], kind: pa.DataType) -> None:
    order = {"order_id": "1", "customer_id": "k1", "ordered_at": "2024-01-01", "quantity": "1"}
    batch = batch_of([order | {"currency": "EUR", "amount_cents": ""} for _ in amounts])
    decimals = pa.array([Decimal(cents).scaleb(-2) for cents in amounts], kind)
    batch = batch.set_column(batch.schema.get_field_index("amount_cents"), "amount_cents", decimals)
    passed, rejected = fates(mapping_of(Written("UTC", ".")), [batch])
    for number, cents in enumerate(amounts, start=1):
        is_bad = cents < 0 or cents >= 10**17
        assert (number in rejected) == is_bad
        assert is_bad or passed[number]["amount_cents"] == cents


PERSONAL = ("email", "first_name", "last_name", "company", "phone", "street", "city")
# a word that is in no reason and in no hash
NAMES = st.text("QWXYZÄÖÜßŁ' \"\\\n\t\u202e", min_size=6, max_size=20).filter(
    lambda text: len(text.strip()) >= 6
)


@SOME
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(PERSONAL, NAMES)), min_size=1, max_size=5))
def test_nothing_personal_is_told_of_a_rejected_row(people: list[dict[str, str]]) -> None:
    feed: Feed = CUSTOMERS
    ids = [f"QID-{n}-{person['last_name']}" for n, person in enumerate(people)]
    rows = [
        person | {"customer_id": customer_id, "registered_at": "never"}
        for person, customer_id in zip(people, ids, strict=True)
    ]
    columns = {name: ColumnMapping(name) for name in rows[0]}
    _, rejected = fates(FeedMapping(feed, columns), [batch_of(rows)])
    assert len(rejected) == len(rows)
    for number, row in enumerate(rows, start=1):
        told = repr(rejected[number])
        for name in (*PERSONAL, "customer_id"):
            for said in (row[name], row[name].strip(), repr(row[name])[1:-1]):
                assert said not in told
