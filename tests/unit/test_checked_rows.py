"""One pass over a source: what is left behind when it ends early."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pyarrow as pa
import pytest

from winback.extract.mapping.dataset import FeedMapping
from winback.extract.rows import checked_rows
from winback.extract.rows.checked_rows import CheckedRows


def test_a_source_is_closed_while_the_failure_after_it_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = pa.record_batch({"order_id": ["a"]})
    closed = []

    def source(*_: object) -> Iterator[pa.RecordBatch]:
        try:
            yield batch
            yield batch
        finally:
            closed.append(True)

    def fails(*_: object) -> None:
        raise ValueError("the check broke")

    monkeypatch.setattr(checked_rows, "read_source", source)
    monkeypatch.setattr(checked_rows, "check", fails)
    mapping = cast("FeedMapping", SimpleNamespace(kind="file", cursor=None, derive_from=None))
    with tempfile.TemporaryFile() as spool:
        rows = CheckedRows(mapping, "shop", "UTC", None, None, spool)
        with pytest.raises(ValueError, match="the check broke"):
            rows.passed(batch.schema, lambda each: each).read_all()
        with pytest.raises(ValueError, match="the check broke"):
            rows.raise_failure()
        assert closed == [True]
