"""Which reader a mapping needs; the one way in which a source is read."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from winback.extract.columnar_source import ARROW_FORMATS, read_columnar
from winback.extract.file_source import BrokenRows, read_file
from winback.extract.mapping import FeedMapping
from winback.extract.postgres_source import read_table


def read_source(mapping: FeedMapping, broken: BrokenRows) -> Iterator[pa.RecordBatch]:
    """Yields a source's rows as batches of its own columns plus `ROW_NUMBER`.

    Args:
        mapping: Names the source and how it is written.
        broken: Receives the rows of a text file that can not be split into columns.

    Raises:
        SourceError: The source can not be read.
    """
    if mapping.file is None:
        return read_table(mapping)
    if mapping.format in ARROW_FORMATS:
        return read_columnar(mapping)
    return read_file(mapping, broken)
