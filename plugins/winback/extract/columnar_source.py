"""Reads Parquet and JSON-lines files as record batches, in bounded memory.

Values keep the types of the file; `validation.py` turns them into what is declared. Text files
are `file_source.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from winback.errors import SourceError
from winback.extract.file_source import ROW_NUMBER
from winback.extract.mapping import FeedMapping

ARROW_FORMATS = {"parquet": "parquet", "jsonl": "json"}
BATCH_ROWS = 64 << 10


def read_columnar(mapping: FeedMapping) -> Iterator[pa.RecordBatch]:
    """Yields the file's rows as batches of the columns the mapping names, plus `ROW_NUMBER`.

    Raises:
        SourceError: The file is missing, empty, broken, or lacks a column.
    """
    path = mapping.file
    if path is None:
        raise SourceError(f"feed {mapping.feed.name} does not come from a file")
    _refuse_unreadable(path, mapping)
    n_rows = 0
    try:
        data = ds.dataset(path, format=ARROW_FORMATS[mapping.format])
        for batch in data.to_batches(batch_size=BATCH_ROWS):
            _refuse_nested(path, batch, mapping)
            numbers = pa.array(range(n_rows + 1, n_rows + 1 + batch.num_rows), pa.int64())
            n_rows += batch.num_rows
            yield batch.append_column(ROW_NUMBER, numbers)
    except (pa.ArrowInvalid, OSError) as error:
        # Arrow's own words quote values of the file
        raise SourceError(
            f"{path} is no whole {mapping.format} file (stopped after {n_rows:,} rows):"
            " export it again, or name another `format`"
        ) from error
    if n_rows == 0:
        raise SourceError(f"{path} has no rows: export it again")


def _refuse_unreadable(path: Path, mapping: FeedMapping) -> None:
    if not path.exists():
        raise SourceError(f"{path} does not exist: check the path of feed {mapping.feed.name}")
    if not path.is_file():
        raise SourceError(f"{path} is not a file: name one file for feed {mapping.feed.name}")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty (0 bytes): its export failed; export it again")


def _refuse_nested(path: Path, batch: pa.RecordBatch, mapping: FeedMapping) -> None:
    for column in batch.schema:
        if column.name in mapping.source_columns and pa.types.is_nested(column.type):
            raise SourceError(
                f"{path}: column {column.name!r} holds {column.type}: map a column of single values"
            )
