"""Reads delimited text files as record batches of text, in bounded memory.

Values stay text here; `validation.py` turns them into what the declaration says. Each batch carries
the column `ROW_NUMBER`: the row's position in the file, counting from 1 after the header, so that
an id generated from it stays the same when a broken row before it is mended.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from winback.errors import SourceError
from winback.extract.mapping import FeedMapping

ROW_NUMBER = "__row_number"
BLOCK_BYTES = 8 << 20


@dataclass
class BrokenRows:
    """Rows that could not even be split into columns: row number and text as received."""

    rows: list[tuple[int, str]] = field(default_factory=list)


def read_file(mapping: FeedMapping, broken: BrokenRows) -> Iterator[pa.RecordBatch]:
    """Yields the file's rows as batches of text columns plus `ROW_NUMBER`.

    Args:
        mapping: Names the file and how it is written.
        broken: Receives the rows that do not have as many columns as the header.

    Raises:
        SourceError: The file is missing, empty, half written, or in another encoding.
    """
    path = mapping.file
    assert path is not None
    _refuse_unreadable(path, mapping)
    if mapping.format == "whitespace":
        yield from _read_whitespace(path, mapping, broken)
    else:
        yield from _read_csv(path, mapping, broken)


def _refuse_unreadable(path: Path, mapping: FeedMapping) -> None:
    if not path.exists():
        raise SourceError(f"{path} does not exist: check the path of feed {mapping.feed.name}")
    if not path.is_file():
        raise SourceError(f"{path} is not a file: name one file for feed {mapping.feed.name}")
    size = path.stat().st_size
    if size == 0:
        raise SourceError(f"{path} is empty (0 bytes): its export failed; export it again")
    with path.open("rb") as file:
        file.seek(size - 1)
        if file.read(1) != b"\n" and mapping.final_newline == "required":
            raise SourceError(
                f"{path} does not end with a line break, so it is probably half written: wait until "
                "it is complete, or set `final_newline: optional` if it always ends like this"
            )


def _header(path: Path, mapping: FeedMapping) -> list[str]:
    encoding = "utf-8-sig" if mapping.encoding.lower() in ("utf-8", "utf8") else mapping.encoding
    try:
        with path.open(encoding=encoding, newline="") as file:
            line = file.readline()
    except (UnicodeDecodeError, LookupError) as error:
        raise _wrong_encoding(path, mapping) from error
    if mapping.format == "whitespace":
        names = line.split()
    else:
        names = [name.strip() for name in next(csv.reader([line], delimiter=mapping.delimiter), [])]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SourceError(f"{path}: the header names {', '.join(repeated)} twice; rename one")
    return names


def _read_csv(path: Path, mapping: FeedMapping, broken: BrokenRows) -> Iterator[pa.RecordBatch]:
    names = _header(path, mapping)

    def keep_broken(row: arrow_csv.InvalidRow) -> str:
        # Arrow counts the rows from 1 with the header as row 1
        broken.rows.append((row.number - 1, row.text))
        return "skip"

    try:
        reader = arrow_csv.open_csv(
            path,
            arrow_csv.ReadOptions(
                column_names=names, skip_rows=1, block_size=BLOCK_BYTES, encoding=mapping.encoding,
                use_threads=False,
            ),
            arrow_csv.ParseOptions(
                delimiter=mapping.delimiter, newlines_in_values=True,
                invalid_row_handler=keep_broken,
            ),
            arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )  # fmt: skip
        yield from _numbered(reader, broken)
    except (pa.ArrowInvalid, UnicodeDecodeError, LookupError) as error:
        if "UTF8" in str(error) or isinstance(error, UnicodeDecodeError | LookupError):
            raise _wrong_encoding(path, mapping) from error
        if "Empty CSV" in str(error):
            raise SourceError(f"{path} has a header but no rows: export it again") from error
        raise SourceError(f"{path} can not be read as CSV: {error}") from error


def _read_whitespace(
    path: Path, mapping: FeedMapping, broken: BrokenRows
) -> Iterator[pa.RecordBatch]:
    names = _header(path, mapping)
    first = 1
    try:
        with path.open(encoding=mapping.encoding, newline="") as file:
            file.readline()
            while lines := file.readlines(BLOCK_BYTES):
                numbers = range(first, first + len(lines))
                first += len(lines)
                split = [(n, line.split()) for n, line in zip(numbers, lines, strict=True)]
                broken.rows.extend(
                    (n, " ".join(values)) for n, values in split if len(values) != len(names)
                )
                good = [(n, values) for n, values in split if len(values) == len(names)]
                columns = list(zip(*(values for _, values in good), strict=True)) or [()] * len(
                    names
                )
                arrays = [pa.array(column, pa.string()) for column in columns]
                row_numbers = pa.array([n for n, _ in good], pa.int64())
                yield pa.record_batch([*arrays, row_numbers], names=[*names, ROW_NUMBER])
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, mapping) from error
    if first == 1:
        raise SourceError(f"{path} has a header but no rows: export it again")


def _numbered(batches: Iterator[pa.RecordBatch], broken: BrokenRows) -> Iterator[pa.RecordBatch]:
    position = itertools.count(1)
    for batch in batches:
        skipped = {number for number, _ in broken.rows}
        numbers = itertools.islice((n for n in position if n not in skipped), batch.num_rows)
        yield batch.append_column(ROW_NUMBER, pa.array(numbers, pa.int64()))


def _wrong_encoding(path: Path, mapping: FeedMapping) -> SourceError:
    written_as = f"{path} is not written in {mapping.encoding}"
    if mapping.encoding.lower() in ("utf-8", "utf8"):
        offset = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError as error:
                    written_as += f" (line {number}, byte {offset + error.start})"
                    break
                offset += len(line)
    return SourceError(
        f"{written_as}: write its encoding into the mapping, such as `encoding: latin-1`"
    )
