"""Reads `config/sources.yaml`: which of a company's columns become which columns of a feed.

Every mistake in the file is an error that names dataset, feed and column and says what to write.
Reading the data itself belongs to `file_source.py` and `postgres_source.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from winback.errors import DeclarationError
from winback.extract.feeds import FEEDS, Feed

FEED_KEYS = {
    "file", "format", "delimiter", "encoding", "final_newline", "connection", "table",
    "derive_from", "columns", "made_up",
}  # fmt: skip
COLUMN_KEYS = {"column", "constant", "template", "generate", "format", "unit", "timezone"}


@dataclass(frozen=True)
class ColumnMapping:
    """Where one column of a feed comes from; exactly one of the first four is set.

    Attributes:
        column: Name of a column at the source.
        constant: The same text for every row.
        template: A text with `{column}` in it, filled from the source's columns.
        generate: `file_row`: file name and row number, for sources without an id.
        format: How a date is written (strptime); ISO 8601 when left out.
        unit: `major` for amounts in euros or dollars; minor units when left out.
        timezone: Zone of times without an offset; business time when left out.
    """

    column: str | None = None
    constant: str | None = None
    template: str | None = None
    generate: str | None = None
    format: str | None = None
    unit: str = "minor"
    timezone: str | None = None


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
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DeclarationError(f"{path} does not exist: write it, see docs/sources.md") from error
    except yaml.YAMLError as error:
        raise DeclarationError(f"{path} is not valid YAML: {_one_line(error)}") from error
    datasets = (content or {}).get("datasets") or {}
    if name not in datasets:
        raise DeclarationError(
            f"{path} has no dataset {name!r}: write one of {_names(datasets)} into the setting "
            "`dataset`, or add the dataset"
        )
    where = f"{path.name}, dataset {name}"
    feeds: dict[str, FeedMapping] = {}
    for feed_name, entry in (datasets[name].get("feeds") or {}).items():
        if feed_name not in FEEDS:
            raise DeclarationError(
                f"{where}: there is no feed {feed_name!r}; the feeds are {_names(FEEDS)}"
            )
        feeds[feed_name] = _feed(f"{where}, feed {feed_name}", FEEDS[feed_name], entry, data)
    for feed in FEEDS.values():
        if feed.is_required and feed.name not in feeds:
            raise DeclarationError(f"{where}: the required feed {feed.name!r} is missing; map it")
    for mapping in list(feeds.values()):
        if mapping.derive_from:
            feeds[mapping.feed.name] = _derived(where, mapping, feeds)
    return Dataset(name, feeds)


def _feed(where: str, feed: Feed, entry: dict[str, Any], data: Path) -> FeedMapping:
    _refuse_unknown(where, entry, FEED_KEYS)
    sources = [key for key in ("file", "connection", "derive_from") if key in entry]
    if len(sources) != 1:
        raise DeclarationError(
            f"{where}: write exactly one of `file`, `connection` (with `table`) or `derive_from`"
        )
    if "connection" in entry and "table" not in entry:
        raise DeclarationError(f"{where}: `connection` needs a `table` beside it")
    for key, allowed in (
        ("format", ("csv", "whitespace")), ("final_newline", ("required", "optional")),
    ):  # fmt: skip
        if entry.get(key, allowed[0]) not in allowed:
            raise DeclarationError(f"{where}: `{key}` is one of {_names(allowed)}")
    columns = {
        name: _column(f"{where}, column {name}", value)
        for name, value in (entry.get("columns") or {}).items()
    }
    declared = {column.name: column for column in feed.columns}
    for name in columns:
        if name not in declared:
            raise DeclarationError(
                f"{where}: the feed has no column {name!r}; its columns are {_names(declared)}"
            )
    missing = [name for name, c in declared.items() if c.is_required and name not in columns]
    if missing:
        raise DeclarationError(f"{where}: map the required columns {_names(missing)} as well")
    return FeedMapping(
        feed=feed,
        columns=columns,
        file=Path(str(entry["file"]).replace("{data}", str(data))) if "file" in entry else None,
        format=entry.get("format", "csv"),
        delimiter=entry.get("delimiter", ","),
        encoding=entry.get("encoding", "utf-8"),
        final_newline=entry.get("final_newline", "required"),
        connection=entry.get("connection"),
        table=entry.get("table"),
        derive_from=entry.get("derive_from"),
        is_made_up=bool(entry.get("made_up", False)),
    )


def _column(where: str, entry: Any) -> ColumnMapping:
    if not isinstance(entry, dict):
        return ColumnMapping(column=str(entry))
    _refuse_unknown(where, entry, COLUMN_KEYS)
    origins = [key for key in ("column", "constant", "template", "generate") if key in entry]
    if len(origins) != 1:
        raise DeclarationError(
            f"{where}: write exactly one of `column`, `constant`, `template` or `generate`"
        )
    if entry.get("generate", "file_row") != "file_row":
        raise DeclarationError(f"{where}: `generate` can only be `file_row`")
    if entry.get("unit", "minor") not in ("minor", "major"):
        raise DeclarationError(f"{where}: `unit` is `major` (euros) or `minor` (cents)")
    return ColumnMapping(**{key: str(value) for key, value in entry.items()})


def _derived(where: str, mapping: FeedMapping, feeds: dict[str, FeedMapping]) -> FeedMapping:
    origin = feeds.get(str(mapping.derive_from))
    if origin is None or origin.derive_from:
        raise DeclarationError(
            f"{where}, feed {mapping.feed.name}: `derive_from` must name a mapped feed with a "
            f"source of its own, not {mapping.derive_from!r}"
        )
    return FeedMapping(
        feed=mapping.feed,
        columns=mapping.columns,
        file=origin.file,
        format=origin.format,
        delimiter=origin.delimiter,
        encoding=origin.encoding,
        final_newline=origin.final_newline,
        connection=origin.connection,
        table=origin.table,
        derive_from=mapping.derive_from,
        is_made_up=mapping.is_made_up,
    )


def _refuse_unknown(where: str, entry: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(entry) - known)
    if unknown:
        raise DeclarationError(f"{where}: unknown {_names(unknown)}; possible are {_names(known)}")


def _names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in (sorted(names) if isinstance(names, set) else names))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
