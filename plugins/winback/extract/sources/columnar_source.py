"""Reads Parquet files as record batches, in bounded memory.

Values keep the types of the file; `validation.py` turns them into what is declared. Text files are
`file_source.py`, JSON lines `json_source.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from winback.errors import SourceError
from winback.extract.mapping.cursor import Cursor, CursorValue
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.cursor_filter import only_since
from winback.extract.sources.source_files import SourceFile
from winback.extract.sources.source_rows import refuse_missing_columns, refuse_nested, with_position

BATCH_ROWS = 64 << 10
BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)


def read_parquet(
    file: SourceFile, mapping: FeedMapping, since: CursorValue | None, business_timezone: str
) -> Iterator[pa.RecordBatch]:
    """Yields a file's rows: the columns the mapping reads, and each row's position.

    Args:
        file: One of the mapping's files.
        mapping: The feed's mapping.
        since: Row groups that hold only smaller values of the cursor are not read.
        business_timezone: Zone of times without an offset where the cursor names none.

    Raises:
        SourceError: The file has no rows, or lacks a column.
        ArrowInvalid, OSError: It is broken.
    """
    try:
        yield from _read(file, mapping, since, business_timezone)
    except (UnicodeDecodeError, pa.ArrowNotImplementedError) as error:
        # damage shows itself in many ways
        raise pa.ArrowInvalid("the file's description of itself can not be read") from error


def _read(
    file: SourceFile, mapping: FeedMapping, since: CursorValue | None, business_timezone: str
) -> Iterator[pa.RecordBatch]:
    with file.random_access() as content:
        n_rows = 0
        parquet = pq.ParquetFile(content)
        refuse_missing_columns(parquet.schema_arrow.names, file.place, mapping)
        refuse_nested(parquet.schema_arrow, file.place, mapping)
        if parquet.metadata.num_rows == 0:
            raise SourceError(f"{file.place} has no rows: export it again")
        for i in range(parquet.num_row_groups):
            n_next = n_rows + parquet.metadata.row_group(i).num_rows
            if mapping.cursor is not None and since is not None:
                newest = _newest(parquet, i, mapping.cursor)
                if newest and not only_since(newest, mapping.cursor, since, business_timezone):
                    n_rows = n_next
                    continue
            columns = mapping.read_columns
            for stored in parquet.iter_batches(BATCH_ROWS, [i], columns or None):
                # Arrow does not look whether a text is UTF-8
                stored.validate(full=True)
                batch = _with_texts(stored, file.place)
                numbers = pa.array(np.arange(n_rows + 1, n_rows + 1 + batch.num_rows))
                n_rows += batch.num_rows
                yield with_position(batch, columns, numbers, file.name)


def parquet_columns(file: SourceFile) -> dict[str, str]:
    """A file's columns with their types.

    Raises:
        ArrowInvalid, OSError: It is broken.
    """
    with file.random_access() as content:
        return {column.name: str(column.type) for column in pq.read_schema(content)}


def _with_texts(batch: pa.RecordBatch, place: str) -> pa.RecordBatch:
    """The batch with texts in place of bytes, as which some programs declare them."""
    for i, column in enumerate(batch.schema):
        if any(is_bytes(column.type) for is_bytes in BYTES):
            try:
                batch = batch.set_column(i, column.name, pc.cast(batch.column(i), pa.string()))
            except pa.ArrowInvalid as error:
                raise SourceError(
                    f"{place}: column {column.name!r} holds bytes that are no text in UTF-8: "
                    "export it as text"
                ) from error
    return batch


def _newest(parquet: pq.ParquetFile, row_group: int, cursor: Cursor) -> pa.RecordBatch | None:
    """The cursor's largest value in a row group, where the file says so and every row has one."""
    kind = parquet.schema_arrow.field(cursor.column).type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_integer(kind)):
        return None
    group = parquet.metadata.row_group(row_group)
    for i in range(group.num_columns):
        column = group.column(i)
        if column.path_in_schema == cursor.column and column.is_stats_set:
            statistics = column.statistics
            if statistics.has_min_max and statistics.has_null_count and not statistics.null_count:
                return pa.record_batch([pa.array([statistics.max], kind)], names=[cursor.column])
    return None
