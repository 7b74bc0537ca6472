"""Which reader a mapping needs; the one way in which a source is read."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pyarrow as pa

from winback.extract.mapping.cursor import CursorValue
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.columnar_source import parquet_columns, read_parquet
from winback.extract.sources.cursor_filter import only_since
from winback.extract.sources.file_source import read_text, text_columns
from winback.extract.sources.json_source import json_columns, read_json_lines
from winback.extract.sources.postgres_source import read_table, table_columns
from winback.extract.sources.shopify_source import read_shop, shop_columns
from winback.extract.sources.source_connection import database_type
from winback.extract.sources.source_files import SourceFile, source_files, unreadable
from winback.extract.sources.source_rows import BrokenRows
from winback.extract.sources.sql_source import read_sql_table, sql_table_columns
from winback.settings import settings


def read_source(
    mapping: FeedMapping,
    broken: BrokenRows,
    since: CursorValue | None = None,
    *,
    is_sample: bool = False,
) -> Generator[pa.RecordBatch, None, None]:
    """Yields a source's rows: the columns that the mapping reads, `ROW_NUMBER` and `SOURCE`.

    Args:
        mapping: Names the source and how it is written.
        broken: Receives the rows of a text file that can not be split into columns.
        since: Where the cursor begins, its overlap already taken off; rows before it are left at
            the source, and rows without a readable cursor are not. None reads everything.
        is_sample: Two batches at most will be taken, and the source may leave out what follows.

    Raises:
        SourceError: The source can not be read.
    """
    zone = settings().business_timezone
    if mapping.kind == "table":
        if database_type(str(mapping.connection)) == "postgres":
            yield from read_table(mapping, since, zone)
        else:
            yield from read_sql_table(mapping, since, zone, is_sample=is_sample)
        return
    if mapping.kind == "shop":
        yield from read_shop(mapping, since, is_sample=is_sample)
        return
    for file in source_files(mapping):
        for batch in _read_file(file, mapping, broken, since, zone):
            if since is None or mapping.cursor is None:
                yield batch
            else:
                yield only_since(batch, mapping.cursor, since, zone)


def describe_source(mapping: FeedMapping) -> dict[str, str]:
    """All columns of a source with their types, without reading its rows.

    Of several files it is the newest by name.

    Raises:
        SourceError: The source can not be read.
    """
    if mapping.kind == "table":
        if database_type(str(mapping.connection)) == "postgres":
            return table_columns(mapping)
        return sql_table_columns(mapping)
    if mapping.kind == "shop":
        return shop_columns(mapping)
    file = source_files(mapping)[-1]
    try:
        if mapping.format == "parquet":
            return parquet_columns(file)
        if mapping.format == "jsonl":
            return json_columns(file)
        return dict.fromkeys(text_columns(file, mapping), "text")
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(file.place, error, mapping) from error


def _read_file(
    file: SourceFile,
    mapping: FeedMapping,
    broken: BrokenRows,
    since: CursorValue | None,
    business_timezone: str,
) -> Iterator[pa.RecordBatch]:
    if mapping.format == "parquet":
        batches = read_parquet(file, mapping, since, business_timezone)
    elif mapping.format == "jsonl":
        batches = read_json_lines(file, mapping)
    else:
        batches = read_text(file, mapping, broken)
    n_rows = 0
    try:
        for batch in batches:
            n_rows += batch.num_rows
            yield batch
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(file.place, error, mapping, n_rows) from error
