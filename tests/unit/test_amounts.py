"""Amounts read a batch at once are those read one by one with Python's decimals."""

from __future__ import annotations

import re
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.rows import amounts
from winback.extract.rows.parsing import _cents

MAJOR = ColumnMapping(column="total", unit="major")
plain = st.decimals(-(10**10), 10**10, places=2).map(str)
odd = st.text("0123456789.-+e/", min_size=1, max_size=6)


def one_by_one(text: str | None) -> int | None:
    if text is None or not re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,2}0*)?", text):
        return None
    return int(Decimal(text) * 100)


@given(st.lists(st.none() | plain | odd, min_size=1, max_size=6), st.integers(0, 3))
@example(["12.50", None, "-0.01"], 1)
@example(["5.", "30.00"], 0)
@example(["1e3", "2.00"], 0)
@example(["-.5", ".50"], 0)
def test_a_batch_is_read_as_its_values_are_one_by_one(texts: list[str | None], begin: int) -> None:
    texts = [*texts[:begin], *texts]
    values = pa.array(texts, pa.string()).slice(min(begin, len(texts) - 1))
    parsed, problem = _cents(values, MAJOR)
    read = values.to_pylist()
    assert parsed.to_pylist() == [one_by_one(text) for text in read]
    refused = [text is not None and one_by_one(text) is None for text in read]
    assert [reason is not None for reason in problem.to_pylist()] == refused


@given(st.lists(st.none() | plain, min_size=1).filter(any))
def test_amounts_as_most_write_them_are_read_at_once(texts: list[str | None]) -> None:
    read = amounts.plain_cents(pa.array(texts, pa.string()))
    assert read is not None
    assert read.to_pylist() == [one_by_one(text) for text in texts]


@pytest.mark.parametrize("text", ["1e3", ".5", "5.", "-.5", "", "1/2", "1.005", "1" * 16])
def test_an_odd_one_is_left_to_those_who_look_at_each(text: str) -> None:
    assert amounts.plain_cents(pa.array(["12.34", text])) is None
