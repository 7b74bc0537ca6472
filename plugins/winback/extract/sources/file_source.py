"""Reads delimited text files as record batches of text, in bounded memory.

Values stay text here; `validation.py` turns them into what the declaration says. Which files there
are is found by `source_files.py`.
"""

from __future__ import annotations

import csv
import io
import itertools
import threading
import weakref
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from winback.errors import SourceError
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.mistaken_files import refuse_other_format, wrong_encoding
from winback.extract.sources.source_files import SourceFile
from winback.extract.sources.source_rows import (
    BrokenRow,
    BrokenRows,
    refuse_missing_columns,
    with_position,
)

# Arrow reads some thirty blocks ahead, so this bounds the memory to some 150 MB
BLOCK_BYTES = 4 << 20
# as many as a spreadsheet has; each takes memory, however short the rows are
MOST_COLUMNS = 16_384
# its threads take a thousandth of it to end
ARROW_SECONDS = 10


def read_text(
    file: SourceFile, mapping: FeedMapping, broken: BrokenRows
) -> Iterator[pa.RecordBatch]:
    """Yields a file's rows as text: the columns the mapping reads, and each row's position.

    Args:
        file: One of the mapping's files.
        mapping: Says how it is written.
        broken: Receives the rows that do not have as many columns as the header.

    Raises:
        SourceError: The file is half written, without rows, in another encoding, or lacks a column.
    """
    refuse_other_format(file, mapping)
    if not file.is_compressed and mapping.final_newline == "required":
        with file.random_access() as raw:
            size = raw.size()
            _refuse_half_written(file, raw.read_at(min(4, size), max(0, size - 4)))
    names = text_columns(file, mapping)
    refuse_missing_columns(names, file.place, mapping)
    read = _read_whitespace if mapping.format == "whitespace" else _read_csv
    n_rows = 0
    try:
        for batch, n_broken in read(file, mapping, names, broken):
            n_rows += batch.num_rows + n_broken
            yield batch
    except UnicodeDecodeError as error:
        raise wrong_encoding(file, mapping) from error
    if n_rows == 0:
        raise SourceError(f"{file.place} has a header but no rows: export it again")


def text_columns(file: SourceFile, mapping: FeedMapping) -> list[str]:
    """The column names in a text file's first line.

    Raises:
        SourceError: It is in another encoding, holds no names, or one of them twice, or is too
            long to be a header.
    """
    try:
        with file.stream() as content, _decoded(content, mapping) as text:
            line = text.readline(BLOCK_BYTES)
    except (UnicodeDecodeError, LookupError) as error:
        raise wrong_encoding(file, mapping) from error
    if len(line) == BLOCK_BYTES:
        raise _too_long(file, "the first line", "it must hold the column names")
    if mapping.format == "whitespace":
        names = line.split()
    else:
        try:
            parts = next(csv.reader([line], delimiter=mapping.delimiter), [])
        except csv.Error as error:
            raise SourceError(
                f"{file.place}: the first line holds no column names (one would be longer than "
                f"{csv.field_size_limit():,} characters): export it again"
            ) from error
        names = [name.strip() for name in parts]
    if len(names) > MOST_COLUMNS:
        raise SourceError(
            f"{file.place} has {len(names):,} columns, and {MOST_COLUMNS:,} are read at most: "
            "export those that are mapped"
        )
    if not any(names):
        raise SourceError(f"{file.place}: the first line is empty; it must hold the column names")
    repeated = sorted(name for name, n in Counter(names).items() if n > 1)
    if repeated:
        raise SourceError(f"{file.place}: the header names {', '.join(repeated)} twice; rename one")
    return names


def _too_long(file: SourceFile, line: str, mend: str) -> SourceError:
    return SourceError(f"{file.place}: {line} is longer than {BLOCK_BYTES >> 20} MB; {mend}")


def _refuse_half_written(file: SourceFile, last_bytes: bytes) -> None:
    # a wide encoding writes zero bytes beside the line break
    if not last_bytes.rstrip(b"\0").endswith(b"\n"):
        raise SourceError(
            f"{file.place} does not end with a line break, so it is probably half written: wait "
            "until it is complete, or set `final_newline: optional` if it always ends like this"
        )


@contextmanager
def _content(file: SourceFile, mapping: FeedMapping) -> Iterator[pa.NativeFile]:
    with file.stream() as stream:
        yield stream
    if file.is_compressed and mapping.final_newline != "optional":
        _refuse_half_written(file, _last_bytes(file))


def _last_bytes(file: SourceFile) -> bytes:
    """A packed file can not be looked at from its end, so it is unpacked once more.

    Remembering them while it is read takes an object of Python's, which Arrow's threads still ask
    when the reader of a bad file is gone; a process that ends at that moment is aborted.
    """
    last = b""
    with file.stream() as stream:
        while block := stream.read(1 << 20):
            last = (last + block[-4:])[-4:]
    return last


def _decoded(content: Any, mapping: FeedMapping) -> io.TextIOWrapper:
    encoding = "utf-8-sig" if mapping.encoding.lower() in ("utf-8", "utf8") else mapping.encoding
    return io.TextIOWrapper(content, encoding, newline="")


def _read_csv(
    file: SourceFile, mapping: FeedMapping, names: list[str], broken: BrokenRows
) -> Iterator[tuple[pa.RecordBatch, int]]:
    skipped: list[int] = []
    new: deque[BrokenRow] = deque()

    def keep_broken(row: arrow_csv.InvalidRow) -> str:
        # Arrow counts the rows from 1 with the header as row 1
        new.append(BrokenRow(file.name, row.number - 1, row.text))
        skipped.append(row.number - 1)
        return "skip"

    arrow_is_done = threading.Event()
    weakref.finalize(keep_broken, arrow_is_done.set)
    reader, n_rows, next_row = None, 0, 1
    with _content(file, mapping) as content:
        try:
            reader = arrow_csv.open_csv(
                content,
                arrow_csv.ReadOptions(
                    column_names=names, skip_rows=1, block_size=BLOCK_BYTES,
                    # several threads do not number the rows, and reading takes a tenth of loading
                    encoding=mapping.encoding, use_threads=False,
                ),
                arrow_csv.ParseOptions(
                    delimiter=mapping.delimiter, newlines_in_values=True,
                    invalid_row_handler=keep_broken,
                ),
                arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
            )  # fmt: skip
            # takes the broken rows of the file's end
            last = pa.record_batch([pa.array([], pa.string()) for _ in names], names)
            for batch in itertools.chain(reader, [last]):
                found = [new.popleft() for _ in range(len(new))]
                if not found and not batch.num_rows:
                    continue
                numbers = _row_numbers(next_row, batch.num_rows, skipped)
                _refuse_unclosed_quote(file, mapping, names, batch, numbers, found)
                broken.rows += found
                n_rows += batch.num_rows + len(found)
                next_row = numbers[-1].as_py() + 1 if batch.num_rows else next_row
                yield with_position(batch, mapping.read_columns, numbers, file.name), len(found)
        except (pa.ArrowInvalid, LookupError) as error:
            if "UTF8" in str(error) or isinstance(error, LookupError):
                raise wrong_encoding(file, mapping) from error
            # Arrow's own words may quote the row
            raise SourceError(
                f"{file.place} can not be read as CSV after row {n_rows:,}: a quotation mark is "
                "never closed, or a row is longer than "
                f"{BLOCK_BYTES >> 20} MB; mend the row or the export"
            ) from error
        finally:
            # its threads also hold the function for broken rows; a process that ends while one of
            # them gives it back is aborted
            reader = None
            del keep_broken
            arrow_is_done.wait(ARROW_SECONDS)


def _read_whitespace(
    file: SourceFile, mapping: FeedMapping, names: list[str], broken: BrokenRows
) -> Iterator[tuple[pa.RecordBatch, int]]:
    first = 1
    with _content(file, mapping) as content, _decoded(content, mapping) as text:
        text.readline()
        while lines := _lines(text, file, first):
            values = pc.utf8_trim_whitespace(pa.array(lines, pa.string()))
            split = pc.utf8_split_whitespace(values.filter(pc.not_equal(values, "")))
            numbers = pa.array(np.arange(first, first + len(split)))
            first += len(split)
            is_good = pc.equal(pc.list_value_length(split), len(names))
            is_bad = pc.invert(is_good)
            found = zip(
                numbers.filter(is_bad).to_pylist(), split.filter(is_bad).to_pylist(), strict=True
            )
            n_before = len(broken.rows)
            broken.rows += [BrokenRow(file.name, n, " ".join(values)) for n, values in found]
            flat = split.filter(is_good).flatten()
            columns = [flat.take(np.arange(i, len(flat), len(names))) for i in range(len(names))]
            batch = pa.record_batch(columns, names=names)
            good_numbers = numbers.filter(is_good)
            yield (
                with_position(batch, mapping.read_columns, good_numbers, file.name),
                len(broken.rows) - n_before,
            )


def _lines(text: io.TextIOWrapper, file: SourceFile, first: int) -> list[str]:
    """The next lines, some block of them; none at the end."""
    block = text.read(BLOCK_BYTES)
    # the rest of the line that the block's end cuts
    rest = text.readline(BLOCK_BYTES) if block else ""
    if len(rest) == BLOCK_BYTES:
        raise _too_long(file, f"a line after row {first - 1:,}", "mend the row or the export")
    return io.StringIO(block + rest, newline="").readlines()


def _row_numbers(first: int, n: int, skipped: list[int]) -> pa.Array:
    """The positions of the next rows that are not broken.

    Args:
        first: Where they begin.
        n: How many there are.
        skipped: The positions of all broken rows so far, ascending.
    """
    absent = skipped[bisect_left(skipped, first) :]
    position = np.arange(first, first + n + len(absent))
    return pa.array(position[~np.isin(position, absent)][:n], pa.int64())


def _refuse_unclosed_quote(
    file: SourceFile,
    mapping: FeedMapping,
    names: list[str],
    batch: pa.RecordBatch,
    numbers: pa.Array,
    broken: list[BrokenRow],
) -> None:
    """A quotation mark that is not closed makes one value of many rows, which would vanish."""
    multiline = [(row.row_number, row.text) for row in broken if "\n" in row.text]
    for name in names:
        values = batch.column(name)
        _, _, content = values.buffers()
        if content is None or b"\n" not in content.to_pybytes():
            continue
        is_multiline = pc.match_substring(values, "\n")
        multiline += zip(
            numbers.filter(is_multiline).to_pylist(),
            values.filter(is_multiline).to_pylist(),
            strict=True,
        )
    for number, text in sorted(multiline):
        inner = text.rstrip("\r\n").split("\n")[1:]
        if len(names) > 1 and any(x.count(mapping.delimiter) == len(names) - 1 for x in inner):
            raise SourceError(
                f"{file.place}, row {number}: a quoted value goes on over lines that look like rows"
                " of their own; close its quotation mark"
            )
