"""What every reader of a source yields: record batches of the source's own columns, and beside them
where each row came from. How a source is read belongs to the `*_source.py` modules.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from winback.errors import SourceError
from winback.extract.mapping.dataset import FeedMapping

# the row's position in its file or table, counting from 1 after a header, so that an id generated
# from it stays the same when a broken row before it is mended
ROW_NUMBER = "__row_number"
# the file, table or shop that the row came from, as people call it in messages
SOURCE = "__source"
SOURCE_TYPE = pa.dictionary(pa.int32(), pa.string())
DELIMITERS = (";", "\t", "|", ",")


@dataclass(frozen=True)
class BrokenRow:
    """A row of a text file that could not even be split into columns."""

    source: str
    row_number: int
    text: str


@dataclass
class BrokenRows:
    """Receives the broken rows of a source while its good ones are read."""

    rows: list[BrokenRow] = field(default_factory=list)


def with_position(
    batch: pa.RecordBatch, columns: list[str], numbers: pa.Array, source: str
) -> pa.RecordBatch:
    """The wanted columns of a batch, and where its rows stand.

    Args:
        batch: Columns of the source.
        columns: Those that are wanted; the batch has them.
        numbers: The rows' positions, as int64.
        source: Name of the file or table.
    """
    zeros = pa.array(np.zeros(batch.num_rows, np.int32))
    return (
        batch.select(columns)
        .append_column(ROW_NUMBER, numbers)
        .append_column(SOURCE, pa.DictionaryArray.from_arrays(zeros, pa.array([source])))
    )


def refuse_missing_columns(present: list[str], place: str, mapping: FeedMapping) -> None:
    """Refuses a source that lacks a column which the mapping names.

    Args:
        present: The columns that it has.
        place: The file or table, for the message.
        mapping: The feed's mapping.

    Raises:
        SourceError: There is such a column; the message names it and the others.
    """
    missing = [name for name in mapping.read_columns if name not in present]
    if not missing:
        return
    if set(present).isdisjoint(mapping.read_columns):
        # a file without a header: its first row holds a person's data, which no log may show
        others = [each for each in DELIMITERS if each in present[0] and len(present) == 1]
        mend = (
            f"set `delimiter: {others[0]!r}`"
            if others and mapping.format == "csv"
            else f"its first line must hold the column names of feed {mapping.feed.name}"
        )
        raise SourceError(
            f"{place} has no column {missing[0]!r} nor any other that the mapping names: {mend}"
        )
    raise SourceError(
        f"{place} has no column {', '.join(map(repr, missing))} (it has: {', '.join(present)}): "
        f"mend the source or the mapping of feed {mapping.feed.name}"
    )


def refuse_nested(schema: pa.Schema, place: str, mapping: FeedMapping) -> None:
    """Refuses a mapped column that is there twice, or holds lists, objects or spans of time.

    Args:
        schema: Of the source; it has all columns that are read.
        place: The file, for the message.
        mapping: The feed's mapping.

    Raises:
        SourceError: There is one.
    """
    for name in mapping.read_columns:
        if schema.get_field_index(name) < 0:
            raise SourceError(f"{place} has two columns {name!r}: rename one")
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_interval(kind) or pa.types.is_duration(kind):
            raise SourceError(
                f"{place}: column {name!r} holds {kind}: map a column of single values"
            )
