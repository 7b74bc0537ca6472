"""Reads the cursor's values of a batch, and leaves out the rows before a point.

For sources that can not be asked for new rows alone. The cursor's declaration is `cursor.py`.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from winback.extract.feeds import Column
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.cursor import Cursor, CursorValue
from winback.extract.rows.parsing import parse

_TIME = Column("cursor", "timestamp", "when the row was changed", is_required=False)
_NUMBER = Column("cursor", "integer", "number of the row's change", is_required=False)


def cursor_values(batch: pa.RecordBatch, cursor: Cursor, business_timezone: str) -> pa.Array:
    """The cursor's values of a batch, as UTC timestamps or whole numbers.

    Args:
        batch: Has the cursor's column, in whatever type the source gives it.
        cursor: Which column it is, and how it is written.
        business_timezone: Zone of times without an offset where the cursor names none.

    Returns:
        Null where a value is missing or can not be read.
    """
    column = _TIME if cursor.kind == "time" else _NUMBER
    how = ColumnMapping(cursor.column, format=cursor.format, timezone=cursor.timezone)
    return parse(batch.column(cursor.column), column, how, business_timezone)[0]


def only_since(
    batch: pa.RecordBatch, cursor: Cursor, since: CursorValue, business_timezone: str
) -> pa.RecordBatch:
    """The rows from `since` on, and all whose cursor is missing or can not be read.

    Args:
        batch: Has the cursor's column.
        cursor: Which column it is, and how it is written.
        since: Where to begin; the overlap is already taken off.
        business_timezone: Zone of times without an offset where the cursor names none.
    """
    values = cursor_values(batch, cursor, business_timezone)
    return batch.filter(pc.fill_null(pc.greater_equal(values, since), True))
