"""One pass of a hostile source through reading and checking, as a load makes it.

Every test here asks the same of what comes out: that rows received are rows passed plus rows
quarantined, and that nothing of a quarantined row is readable that is personal.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winback.extract.feeds import FEEDS
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.rows.checked_rows import REASON_SEPARATOR, CheckedRows
from winback.extract.rows.validation import stored_schema
from winback.extract.sources.source_rows import ROW_NUMBER

ZONE = "Europe/Berlin"
HEADER = "id,customer,day,total,note\n"
GOOD = "g{n},k1,2024-01-02,1.00,fine\n"
FAIR_CUSTOMERS = "customer_id,email,registered_at\nk1,ada@example.com,2024-01-01\n"
COLUMNS = {
    "order_id": ColumnMapping("id"),
    "customer_id": ColumnMapping("customer"),
    "ordered_at": ColumnMapping("day"),
    "amount_cents": ColumnMapping("total", unit="major"),
    "channel": ColumnMapping("note"),
    "currency": ColumnMapping(constant="EUR"),
}


@dataclass
class Outcome:
    """What became of a source.

    Attributes:
        passed: By row number: order id, amount in cents, note.
        quarantined: By row number: the reasons.
        contents: What quarantine keeps of the rows, as one text.
    """

    passed: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    quarantined: dict[int, list[str]] = field(default_factory=dict)
    contents: str = ""


def good(first: int, last: int | None = None) -> str:
    """Lines of good rows with the numbers from `first` to `last`."""
    return "".join(GOOD.format(n=n) for n in range(first, (last or first) + 1))


def good_rows(*numbers: int) -> dict[int, tuple[Any, ...]]:
    """What `good` becomes, for `Outcome.passed`."""
    return {n: (f"g{n}", 100, "fine") for n in numbers}


def orders(path: Path, **how: Any) -> FeedMapping:
    return FeedMapping(FEEDS["orders"], COLUMNS, file=str(path), **how)


def outcome(mapping: FeedMapping) -> Outcome:
    """Reads and checks a source of orders.

    Raises:
        SourceError: It is refused.
    """
    found = Outcome()
    with tempfile.TemporaryFile() as spool:
        rows = CheckedRows(mapping, "shop", ZONE, None, None, spool)
        try:
            passed = rows.passed(stored_schema(mapping.feed), lambda batch: batch).read_all()
        except Exception:
            rows.raise_failure()
            raise
        rejected = rows.rejected().read_all().to_pylist()
    for row in passed.to_pylist():
        found.passed[row[ROW_NUMBER]] = (row["order_id"], row["amount_cents"], row["channel"])
    for row in rejected:
        found.quarantined[row[ROW_NUMBER]] = row["reasons"].split(REASON_SEPARATOR)
        found.contents += row["content"]
    assert rows.n_received == passed.num_rows + len(rejected)
    assert len(found.passed) == passed.num_rows
    assert len(found.quarantined) == len(rejected)
    return found
