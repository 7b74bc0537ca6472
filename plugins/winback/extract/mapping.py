"""Reads `config/sources.yaml`: which of a company's columns become which columns of a feed.

Every mistake in the file is an error that names dataset, feed and column and says what to write.
Reading the data itself belongs to `reading.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from winback import strict_yaml
from winback.errors import DeclarationError
from winback.extract.column_mapping import ColumnMapping, names, read_column, refuse_unknown
from winback.extract.feeds import FEEDS, Feed

SOURCES = ("file", "connection", "derive_from")
OF_TEXT_FILES = ("delimiter", "encoding", "final_newline")
OF_FILES = ("format", *OF_TEXT_FILES)
CHOICES = {
    "format": ("csv", "whitespace", "parquet", "jsonl"),
    "final_newline": ("required", "optional"),
}
FEED_KEYS = {*SOURCES, *OF_FILES, "table", "columns", "made_up"}


@dataclass(frozen=True)
class FeedMapping:
    """Where one feed comes from: a file, or a table of another PostgreSQL."""

    feed: Feed
    columns: dict[str, ColumnMapping]
    file: Path | None = None
    format: str = "csv"
    delimiter: str = ","
    encoding: str = "utf-8"
    final_newline: str = "required"
    connection: str | None = None
    table: str | None = None
    derive_from: str | None = None
    is_made_up: bool = False

    @property
    def source(self) -> str:
        """The source's name as it stands in records and messages."""
        return self.file.name if self.file else f"{self.connection}:{self.table}"

    @property
    def source_columns(self) -> set[str]:
        """The columns that the source must have."""
        return {name for how in self.columns.values() for name in how.source_columns}


@dataclass(frozen=True)
class Dataset:
    """All feeds of one company."""

    name: str
    feeds: dict[str, FeedMapping] = field(default_factory=dict)


def read_dataset(path: Path, name: str, data: Path) -> Dataset:
    """Reads and checks one dataset of the sources file.

    Args:
        path: The sources file.
        name: Which of its datasets.
        data: What `{data}` in a file's path stands for.

    Raises:
        DeclarationError: The file, the dataset, a feed or a column is not as declared.
    """
    datasets = _mapping(f"{path}: `datasets`", _read(path).get("datasets"))
    if name not in datasets:
        raise DeclarationError(
            f"{path} has no dataset {name!r}: write one of {names(map(str, datasets))} into the "
            "setting `dataset`, or add the dataset"
        )
    where = f"{path.name}, dataset {name}"
    dataset = _mapping(where, datasets[name])
    refuse_unknown(where, dataset, {"feeds"})
    feeds: dict[str, FeedMapping] = {}
    for feed_name, entry in _mapping(f"{where}: `feeds`", dataset.get("feeds")).items():
        if feed_name not in FEEDS:
            raise DeclarationError(
                f"{where}: there is no feed {feed_name!r}; the feeds are {names(FEEDS)}"
            )
        feeds[feed_name] = _feed(f"{where}, feed {feed_name}", FEEDS[feed_name], entry, data)
    for feed in FEEDS.values():
        if feed.is_required and feed.name not in feeds:
            raise DeclarationError(f"{where}: the required feed {feed.name!r} is missing; map it")
    for mapping in list(feeds.values()):
        if mapping.derive_from:
            feeds[mapping.feed.name] = _derived(where, mapping, feeds)
    return Dataset(name, feeds)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = strict_yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DeclarationError(f"{path} does not exist: write it, see docs/sources.md") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{path} can not be read: {_one_line(error)}") from error
    except yaml.YAMLError as error:
        raise DeclarationError(f"{path} is not valid YAML: {_one_line(error)}") from error
    return _mapping(str(path), content)


def _mapping(where: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DeclarationError(f"{where} must be lines of `name: value`, see docs/sources.md")
    return value


def _feed(where: str, feed: Feed, entry: Any, data: Path) -> FeedMapping:
    entry = _mapping(where, entry)
    refuse_unknown(where, entry, FEED_KEYS)
    given = _mapping(f"{where}: `columns`", entry.get("columns"))
    declared = {column.name: column for column in feed.columns}
    for name in given:
        if name not in declared:
            raise DeclarationError(
                f"{where}: the feed has no column {name!r}; its columns are {names(declared)}"
            )
    missing = [name for name, c in declared.items() if c.is_required and name not in given]
    if missing:
        raise DeclarationError(f"{where}: map the required columns {names(missing)} as well")
    columns = {
        name: read_column(f"{where}, column {name}", declared[name], value)
        for name, value in given.items()
    }
    _check_source(where, entry, columns)
    return FeedMapping(
        feed=feed,
        columns=columns,
        file=_file(where, entry["file"], data) if "file" in entry else None,
        format=entry.get("format", "csv"),
        delimiter=entry.get("delimiter", ","),
        encoding=entry.get("encoding", "utf-8"),
        final_newline=entry.get("final_newline", "required"),
        connection=entry.get("connection"),
        table=entry.get("table"),
        derive_from=entry.get("derive_from"),
        is_made_up=entry.get("made_up", False),
    )


def _check_source(where: str, entry: dict[str, Any], columns: dict[str, ColumnMapping]) -> None:
    given = [key for key in SOURCES if key in entry]
    if len(given) != 1:
        raise DeclarationError(
            f"{where}: write exactly one of `file`, `connection` (with `table`) or `derive_from`"
        )
    if ("connection" in entry) != ("table" in entry):
        raise DeclarationError(f"{where}: `connection` and `table` need each other")
    for key in (*SOURCES, *OF_FILES, "table"):
        if key in entry and not (isinstance(entry[key], str) and entry[key]):
            raise DeclarationError(f"{where}: `{key}` is {entry[key]!r}: write a text, in quotes")
    _check_file_keys(where, entry)
    if not isinstance(entry.get("made_up", False), bool):
        raise DeclarationError(f"{where}: `made_up` is true or false")
    for name, how in columns.items():
        if how.generate and "connection" in entry:
            raise DeclarationError(
                f"{where}, column {name}: rows of a table have no lasting number; name a column"
            )


def _check_file_keys(where: str, entry: dict[str, Any]) -> None:
    for key in OF_FILES:
        if key in entry and "file" not in entry:
            raise DeclarationError(f"{where}: `{key}` belongs to a `file`; leave it out")
    for key, allowed in CHOICES.items():
        if entry.get(key, allowed[0]) not in allowed:
            raise DeclarationError(f"{where}: `{key}` is one of {names(allowed)}")
    for key in OF_TEXT_FILES:
        if key in entry and entry.get("format") in ("parquet", "jsonl"):
            raise DeclarationError(f"{where}: `{key}` belongs to text files; leave it out")
    if len(entry.get("delimiter", ",")) != 1:
        raise DeclarationError(f'{where}: `delimiter` is one character, such as ";" or "\\t"')


def _file(where: str, given: str, data: Path) -> Path:
    path = Path(given.replace("{data}", str(data))).expanduser()
    if not path.is_absolute():
        raise DeclarationError(
            f"{where}: `file` is {given!r}: write the whole path from `/`, or begin it with "
            '"{data}/"'
        )
    return path


def _derived(where: str, mapping: FeedMapping, feeds: dict[str, FeedMapping]) -> FeedMapping:
    origin = feeds.get(str(mapping.derive_from))
    if origin is None or origin.derive_from:
        raise DeclarationError(
            f"{where}, feed {mapping.feed.name}: `derive_from` must name a mapped feed with a "
            f"source of its own, not {mapping.derive_from!r}"
        )
    return replace(
        origin,
        feed=mapping.feed,
        columns=mapping.columns,
        derive_from=mapping.derive_from,
        is_made_up=mapping.is_made_up,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
