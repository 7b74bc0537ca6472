"""Reads files with one JSON object per line as record batches, in bounded memory.

Arrow reads them as long as every row looks like the first ones: it settles the type of each key by
the first block. Where a later value is of another type, or a key comes only later, where a number
would be rounded or a line is nested deeply, the rest is read line by line, as text. Parquet is
`columnar_source.py`.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from winback.errors import SourceError
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.source_files import SourceFile
from winback.extract.sources.source_rows import refuse_missing_columns, refuse_nested, with_position

BLOCK_BYTES = 4 << 20
LINES = 16 << 10
LONGEST_LINE = 4 << 20
# a line that opens more lists and objects is left to Python
MOST_OPENED = 1000
# a null behind an object in the same line
AFTER = re.compile(rb"}[ \t\r]*n")
# from here on a float has no room for four exact decimals
EXACT_BELOW = 1e11
# a number of a billion digits is none of a shop's, and would fill the memory
LARGEST_EXPONENT = 400
NUMBERS = ("integer", "number", "cents")


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


def _written_as(mapping: FeedMapping) -> set[str]:
    """The source's columns whose numbers count as they are written, such as ids."""
    found = {mapping.cursor.column} if mapping.cursor else set()
    for name, how in mapping.columns.items():
        if mapping.feed.column(name).kind not in NUMBERS or how.values:
            found |= how.source_columns
    return found


def _settled_types(file: SourceFile) -> pa.Schema | None:
    """The types by the first block; None where even its rows differ among themselves."""
    try:
        block = next(_blocks(file), None)
        schema = _read_block(block).schema if block else pa.schema([])
    except pa.ArrowInvalid:
        return None
    # Arrow takes texts that look like times for times, without their fractions and offsets
    return pa.schema(
        pa.field(column.name, pa.string() if pa.types.is_timestamp(column.type) else column.type)
        for column in schema
    )


def _blocks(file: SourceFile) -> Iterator[bytes]:
    """The file in blocks of whole lines."""
    with file.stream() as content:
        cut = b""
        while block := content.read(BLOCK_BYTES):
            whole, newline, rest = (cut + block).rpartition(b"\n")
            if not newline and len(rest) > LONGEST_LINE:
                raise pa.ArrowInvalid("a line is too long")
            if newline:
                yield whole + newline
            cut = rest
        if cut:
            yield cut


def _read_block(block: bytes, schema: pa.Schema | None = None) -> pa.Table:
    """Rows of whole lines, each of them one object; Arrow's reader by itself takes other things.

    Raises:
        ArrowInvalid: A line holds something else, or values that the schema does not allow.
    """
    codes = np.frombuffer(block, np.uint8)
    begins = np.concatenate(([0], np.flatnonzero(codes[:-1] == ord("\n")) + 1))
    first = codes[begins]
    is_object = first == ord("{")
    is_opened = (codes == ord("{")) | (codes == ord("["))
    # what a line opens bounds how deep it is nested, and is counted faster
    n_opened = np.add.reduceat(is_opened, begins, dtype=np.int64)
    is_blank = (first == ord("\n")) | (first == ord("\r"))
    # Arrow ends the process at a null in place of an object, and where thousands are nested
    if not (is_object | is_blank).all() or n_opened.max() > MOST_OPENED or AFTER.search(block):
        raise pa.ArrowInvalid("a line is no plain object")
    rows = arrow_json.read_json(
        pa.BufferReader(block),
        arrow_json.ReadOptions(block_size=len(block) + 1),
        arrow_json.ParseOptions(
            explicit_schema=schema,
            unexpected_field_behavior="infer" if schema is None else "ignore",
        ),
    )
    if rows.num_rows != is_object.sum():
        raise pa.ArrowInvalid("a line holds several objects")
    return rows


def _alike(file: SourceFile, types: pa.Schema, mapping: FeedMapping) -> Iterator[pa.RecordBatch]:
    columns = mapping.read_columns
    if any(pa.types.is_floating(types.field(name).type) for name in _written_as(mapping)):
        raise pa.ArrowInvalid("a float is not written as it was")
    schema = pa.schema(types.field(name) for name in columns)
    n_rows = 0
    for block in _blocks(file):
        for batch in _read_block(block, schema).to_batches():
            # Arrow does not look whether a text is UTF-8
            batch.validate(full=True)
            _refuse_rounded(batch)
            numbers = pa.array(np.arange(n_rows + 1, n_rows + 1 + batch.num_rows))
            n_rows += batch.num_rows
            yield with_position(batch, columns, numbers, file.name)


def _refuse_rounded(batch: pa.RecordBatch) -> None:
    for column in batch.columns:
        if pa.types.is_floating(column.type):
            largest = pc.max(pc.abs(column)).as_py()
            if largest is not None and not largest < EXACT_BELOW:
                raise pa.ArrowInvalid("a number is too large for a float")


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
            _texts([_as_text(row.get(name), name, file) for _, row in rows], name, file)
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
        number = 0
        try:
            while line := text.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise SourceError(
                        f"{file.place}, line {number:,} is longer than {LONGEST_LINE >> 20} MB: "
                        "write one object per line, or mend the row"
                    )
                if line.isspace():
                    continue
                # numbers as they are written, not as a computer rounds them
                row = json.loads(line, parse_float=_plain, parse_int=str, parse_constant=str)
                if not isinstance(row, dict):
                    raise pa.ArrowInvalid("a line holds no object")
                yield row
        except ValueError as error:
            raise pa.ArrowInvalid("a line is no JSON in UTF-8") from error
        except RecursionError as error:
            raise SourceError(
                f"{file.place}, line {number:,} is nested too deeply: mend the row or the export"
            ) from error


def _plain(number: str) -> str:
    """A number without an exponent, as Arrow's floats become text."""
    if "e" not in number.lower():
        return number
    exact = Decimal(number)
    return format(exact, "f") if abs(exact.adjusted()) <= LARGEST_EXPONENT else number


def _texts(values: list[str | None], name: str, file: SourceFile) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError as error:
        raise SourceError(
            f"{file.place}: column {name!r} holds half of a surrogate pair (such as \\ud800), "
            "which is no character: mend the row or the export"
        ) from error


def _as_text(value: Any, name: str, file: SourceFile) -> str | None:
    if isinstance(value, dict | list):
        raise SourceError(
            f"{file.place}: column {name!r} holds lists or objects: map a column of single values"
        )
    return json.dumps(value) if isinstance(value, bool) else value
