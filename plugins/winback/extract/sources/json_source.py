"""Reads files with one JSON object per line as record batches, in bounded memory.

Arrow reads them as long as every row looks like the first ones: it settles the type of each key by
the first block. Where a later value is of another type, or a key comes only later, the rest is
read line by line, as text. Parquet is `columnar_source.py`.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import json as arrow_json

from winback.errors import SourceError
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.source_files import SourceFile
from winback.extract.sources.source_rows import refuse_missing_columns, refuse_nested, with_position

BLOCK_BYTES = 4 << 20
LINES = 16 << 10


def read_json_lines(file: SourceFile, mapping: FeedMapping) -> Iterator[pa.RecordBatch]:
    """Yields a file's rows: the keys the mapping reads, and each row's position.

    Args:
        file: One of the mapping's files.
        mapping: The feed's mapping.

    Raises:
        SourceError: The file has no rows, or no row has a key that is mapped.
        ArrowInvalid, OSError: It is broken.
    """
    n_rows = 0
    types = _settled_types(file)
    if types is not None and set(mapping.read_columns) <= set(types.names):
        refuse_nested(types, file.place, mapping)
        try:
            for batch in _alike(file, types, mapping):
                n_rows += batch.num_rows
                yield batch
            return
        except pa.ArrowInvalid:
            # a value of another type than the first ones; or a broken line, which is met again
            pass
    yield from _line_by_line(file, mapping, n_rows)


def json_columns(file: SourceFile) -> dict[str, str]:
    """A file's keys with their types, by its first rows.

    Raises:
        ArrowInvalid, OSError: It is broken.
    """
    types = _settled_types(file)
    if types is not None:
        return {column.name: str(column.type) for column in types}
    rows = itertools.islice(_objects(file), LINES)
    return dict.fromkeys((key for row in rows for key in row), "text")


def _settled_types(file: SourceFile) -> pa.Schema | None:
    """The types by the first block; None where even its rows differ among themselves."""
    try:
        with file.stream() as content:
            schema = arrow_json.open_json(
                content, read_options=arrow_json.ReadOptions(block_size=BLOCK_BYTES)
            ).schema
    except pa.ArrowInvalid:
        return None
    # Arrow takes texts that look like times for times, without their fractions and offsets
    return pa.schema(
        pa.field(column.name, pa.string() if pa.types.is_timestamp(column.type) else column.type)
        for column in schema
    )


def _alike(file: SourceFile, types: pa.Schema, mapping: FeedMapping) -> Iterator[pa.RecordBatch]:
    columns = mapping.read_columns
    n_rows = 0
    with file.stream() as content:
        reader = arrow_json.open_json(
            content,
            arrow_json.ReadOptions(block_size=BLOCK_BYTES),
            arrow_json.ParseOptions(
                explicit_schema=pa.schema(types.field(name) for name in columns),
                unexpected_field_behavior="ignore",
            ),
        )
        for batch in reader:
            # Arrow does not look whether a text is UTF-8
            batch.validate(full=True)
            numbers = pa.array(np.arange(n_rows + 1, n_rows + 1 + batch.num_rows))
            n_rows += batch.num_rows
            yield with_position(batch, columns, numbers, file.name)


def _line_by_line(
    file: SourceFile, mapping: FeedMapping, n_before: int
) -> Iterator[pa.RecordBatch]:
    columns = mapping.read_columns
    keys: set[str] = set()
    numbered = enumerate(_objects(file), start=1)
    for _, row in itertools.islice(numbered, n_before):
        keys.update(row)
    while rows := list(itertools.islice(numbered, LINES)):
        for _, row in rows:
            keys.update(row)
        arrays = [
            pa.array([_as_text(row.get(name), name, file) for _, row in rows], pa.string())
            for name in columns
        ]
        numbers = pa.array([number for number, _ in rows], pa.int64())
        batch = pa.record_batch(arrays, names=columns)
        yield with_position(batch, columns, numbers, file.name)
    if not keys:
        raise SourceError(f"{file.place} has no rows: export it again")
    refuse_missing_columns(sorted(keys), file.place, mapping)


def _objects(file: SourceFile) -> Iterator[dict[str, Any]]:
    with file.stream() as content, io.TextIOWrapper(content, "utf-8-sig", newline="\n") as text:
        try:
            for line in text:
                if line.isspace():
                    continue
                # numbers as they are written, not as a computer rounds them
                row = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
                if not isinstance(row, dict):
                    raise pa.ArrowInvalid("a line holds no object")
                yield row
        except ValueError as error:
            raise pa.ArrowInvalid("a line is no JSON in UTF-8") from error


def _as_text(value: Any, name: str, file: SourceFile) -> str | None:
    if isinstance(value, dict | list):
        raise SourceError(
            f"{file.place}: column {name!r} holds lists or objects: map a column of single values"
        )
    return json.dumps(value) if isinstance(value, bool) else value
