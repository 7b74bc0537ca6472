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
import pyarrow.compute as pc
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
    if mapping.file is None:
        raise SourceError(f"feed {mapping.feed.name} does not come from a file")
    _refuse_unreadable(mapping.file, mapping)
    read = _read_whitespace if mapping.format == "whitespace" else _read_csv
    yield from read(mapping.file, mapping, broken)


def _refuse_unreadable(path: Path, mapping: FeedMapping) -> None:
    if not path.exists():
        raise SourceError(f"{path} does not exist: check the path of feed {mapping.feed.name}")
    if not path.is_file():
        raise SourceError(f"{path} is not a file: name one file for feed {mapping.feed.name}")
    size = path.stat().st_size
    if size == 0:
        raise SourceError(f"{path} is empty (0 bytes): its export failed; export it again")
    with path.open("rb") as file:
        file.seek(max(0, size - 4))
        # a wide encoding writes zero bytes beside the line break
        is_complete = file.read().rstrip(b"\0").endswith(b"\n")
    if not is_complete and mapping.final_newline == "required":
        raise SourceError(
            f"{path} does not end with a line break, so it is probably half written: wait "
            "until it is complete, or set `final_newline: optional` if it always ends like this"
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
    if not any(names):
        raise SourceError(f"{path}: the first line is empty; it must hold the column names")
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
        n_rows = 0
        for batch in _numbered(reader, broken):
            n_rows += batch.num_rows + len(broken.rows)
            _refuse_unclosed_quote(path, mapping, names, batch, broken)
            yield batch
    except (pa.ArrowInvalid, UnicodeDecodeError, LookupError) as error:
        if "UTF8" in str(error) or isinstance(error, UnicodeDecodeError | LookupError):
            raise _wrong_encoding(path, mapping) from error
        if "straddl" in str(error):
            raise SourceError(
                f"{path}: a quotation mark is never closed; mend the row or the export"
            ) from error
        raise SourceError(f"{path} can not be read as CSV: {error}") from error
    if n_rows + len(broken.rows) == 0:
        raise _without_rows(path)


def _read_whitespace(
    path: Path, mapping: FeedMapping, broken: BrokenRows
) -> Iterator[pa.RecordBatch]:
    names = _header(path, mapping)
    first = 1
    try:
        with path.open(encoding=mapping.encoding, newline="") as file:
            file.readline()
            while lines := file.readlines(BLOCK_BYTES):
                split = list(enumerate((line.split() for line in lines if line.strip()), first))
                first += len(split)
                broken.rows.extend(
                    (n, " ".join(values)) for n, values in split if len(values) != len(names)
                )
                good = [(n, values) for n, values in split if len(values) == len(names)]
                columns = (
                    zip(*(values for _, values in good), strict=True) if good else [()] * len(names)
                )
                arrays = [pa.array(column, pa.string()) for column in columns]
                row_numbers = pa.array([n for n, _ in good], pa.int64())
                yield pa.record_batch([*arrays, row_numbers], names=[*names, ROW_NUMBER])
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, mapping) from error
    if first == 1:
        raise _without_rows(path)


def _numbered(batches: Iterator[pa.RecordBatch], broken: BrokenRows) -> Iterator[pa.RecordBatch]:
    position = itertools.count(1)
    skipped: set[int] = set()
    good_numbers = (n for n in position if n not in skipped)
    for batch in batches:
        # whoever takes the batches may have emptied `broken` since
        skipped.update(number for number, _ in broken.rows)
        numbers = itertools.islice(good_numbers, batch.num_rows)
        yield batch.append_column(ROW_NUMBER, pa.array(numbers, pa.int64()))


def _refuse_unclosed_quote(
    path: Path, mapping: FeedMapping, names: list[str], batch: pa.RecordBatch, broken: BrokenRows
) -> None:
    """A quotation mark that is not closed makes one value of many rows, which would vanish."""
    multiline = [(number, text) for number, text in broken.rows if "\n" in text]
    for name in names:
        values = batch.column(name)
        is_multiline = pc.match_substring(values, "\n")
        multiline += zip(
            batch.column(ROW_NUMBER).filter(is_multiline).to_pylist(),
            values.filter(is_multiline).to_pylist(),
            strict=True,
        )
    for number, text in sorted(multiline):
        inner = text.rstrip("\r\n").split("\n")[1:]
        if len(names) > 1 and any(x.count(mapping.delimiter) == len(names) - 1 for x in inner):
            raise SourceError(
                f"{path}, row {number}: a quoted value goes on over lines that look like rows of "
                "their own; close its quotation mark"
            )


def _without_rows(path: Path) -> SourceError:
    return SourceError(f"{path} has a header but no rows: export it again")


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
