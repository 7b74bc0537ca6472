"""Looks at the files of a folder: how they are written, their columns, and of what type these are.

Text files know no types, so these are told by the values at the file's beginning.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import fs

from winback.errors import SourceError
from winback.extract.mapping.source_keys import file_format
from winback.extract.proposal.proposal import SourceTable
from winback.extract.sources.columnar_source import parquet_columns
from winback.extract.sources.json_source import json_columns
from winback.extract.sources.source_files import SourceFile
from winback.extract.sources.source_rows import DELIMITERS

SAMPLE_BYTES = 1 << 20
MOST_WORDS = 20
ENDINGS = re.compile(r"(\.(csv|tsv|txt|parquet|jsonl|ndjson))(\.gz)?$", re.IGNORECASE)
# a day's or month's export carries its date; the next one will have another
DATED = re.compile(r"[-_.]?\d[\d_-]*$")
DATE_FORMATS = ("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y%m%d", "%Y/%m/%d")
DECIMAL_COMMA = re.compile(r"-?\d{1,12},\d{1,2}")


def folder_tables(place: Path) -> list[SourceTable]:
    """What the files of a folder, or a single file, hold; files that differ by date count as one.

    Raises:
        SourceError: There is no file that could be read.
    """
    paths = [place] if place.is_file() else sorted(place.iterdir()) if place.is_dir() else []
    newest: dict[str, Path] = {}
    for path in paths:
        ending = ENDINGS.search(path.name)
        if path.is_file() and ending and not path.name.startswith("."):
            newest[path.name if place.is_file() else _pattern(path.name, ending)] = path
    if not newest:
        raise SourceError(
            f"{place} holds no file to read: name a folder with .csv, .parquet or .jsonl files, "
            "an Airflow connection, or postgres://user:password@host:5432/database"
        )
    return [_table(path, str(path.parent / pattern)) for pattern, path in newest.items()]


def _pattern(name: str, ending: re.Match[str]) -> str:
    stem = name[: ending.start()]
    dated = DATED.search(stem)
    if dated is None or dated.start() == 0:
        return name
    separator = dated[0][0] if not dated[0][0].isdigit() else ""
    return f"{stem[: dated.start()]}{separator}*{ending[0]}"


def _table(path: Path, pattern: str) -> SourceTable:
    file = SourceFile(str(path), path.name, fs.LocalFileSystem(), str(path))
    name = DATED.sub("", ENDINGS.sub("", path.name)) or path.name
    keys = {"file": pattern}
    form = file_format(keys)
    try:
        if form in ("parquet", "jsonl"):
            columns = parquet_columns(file) if form == "parquet" else json_columns(file)
            return SourceTable(name, keys, columns)
        return _text_table(file, name, keys)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            f"{path} can not be read: move it elsewhere, or export it again"
        ) from error


def _text_table(file: SourceFile, name: str, keys: dict[str, str]) -> SourceTable:
    with file.stream() as content:
        begin = content.read(SAMPLE_BYTES)
    is_whole = len(begin) < SAMPLE_BYTES
    encoding, text = _decoded(begin)
    text = text if is_whole else text[: text.rfind("\n") + 1]
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    if encoding != "utf-8":
        keys["encoding"] = encoding
    if delimiter in header:
        if delimiter != ",":
            keys["delimiter"] = delimiter
    elif len(header.split()) > 1:
        keys["format"] = "whitespace"
        text = "\n".join(",".join(line.split()) for line in text.splitlines())
        delimiter = ","
    table = arrow_csv.read_csv(
        io.BytesIO(text.encode()),
        parse_options=arrow_csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=lambda _: "skip"
        ),
    )
    columns, written = {}, {}
    for field in table.schema:
        column = field.name.strip()
        columns[column], written[column] = _by_values(table.column(field.name), str(field.type))
    words = partial(_words, table)
    return SourceTable(name, keys, columns, words=words, written=written)


def _decoded(begin: bytes) -> tuple[str, str]:
    if begin.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", begin.decode("utf-16", errors="ignore")
    try:
        # the sample may end within a letter
        return "utf-8", begin[: begin.rfind(b"\n") + 1].decode("utf-8-sig")
    except UnicodeDecodeError:
        return "cp1252", begin.decode("cp1252", errors="replace")


def _by_values(values: pa.ChunkedArray, kind: str) -> tuple[str, dict[str, str]]:
    """A text column's type by its values, and how they are written where that has to be said."""
    if kind not in ("string", "int64"):
        return kind, {}
    texts = [str(value) for value in values.drop_null().to_pylist()]
    for form in DATE_FORMATS:
        if texts and all(_is_date(text, form) for text in texts):
            return "date", {"format": form}
    if texts and all(DECIMAL_COMMA.fullmatch(text) for text in texts):
        return "double", {"decimal": ","}
    return kind, {}


def _is_date(text: str, form: str) -> bool:
    with suppress(ValueError):
        return 1970 <= datetime.strptime(text.strip(), form).year < 2100
    return False


def _words(table: pa.Table, column: str) -> list[str] | None:
    values = table.column(column).unique().drop_null().to_pylist()
    return [str(value) for value in values] if len(values) <= MOST_WORDS else None
