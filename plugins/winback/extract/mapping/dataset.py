"""Reads `config/sources.yaml`: which of a company's columns become which columns of a feed.

Every mistake in the file is an error that names dataset, feed and column and says what to write.
Reading the data itself belongs to `reading.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Literal

import yaml

from winback import strict_yaml
from winback.errors import DeclarationError
from winback.extract.feeds import FEEDS, Feed
from winback.extract.mapping.column_mapping import ColumnMapping, names, read_column, refuse_unknown
from winback.extract.mapping.cursor import Cursor, read_cursor
from winback.extract.mapping.source_keys import (
    SOURCE_KEYS,
    check_source,
    file_format,
    file_place,
)

FEED_KEYS = {
    *SOURCE_KEYS, "columns", "cursor", "deleted_rows", "distinct", "made_up", "max_age_days"
}  # fmt: skip


@dataclass(frozen=True)
class FeedMapping:
    """Where one feed comes from: files, a table of another database, or one of a Shopify shop.

    Attributes:
        feed: The declaration.
        columns: Where its columns come from.
        file: Path or pattern of its files, or their address in object storage.
        format: How the files are written; so `delimiter`, `encoding`, `final_newline`.
        connection: The Airflow connection that leads to the table, or to the object storage.
        table: The table or view.
        shop: What of a Shopify shop.
        derive_from: The feed whose rows it is made of.
        is_made_up: The data is invented.
        is_distinct: Rows that are equal in all mapped columns count once.
        cursor: Which column tells new and changed rows; None: everything is read every time.
        deleted_rows: `mark` those that are gone from the source, or `ignore` that.
        max_age_days: How old the newest fact may be; None: as the feed is declared.
    """

    feed: Feed
    columns: dict[str, ColumnMapping]
    file: str | None = None
    format: str = "csv"
    delimiter: str = ","
    encoding: str = "utf-8"
    final_newline: str = "required"
    connection: str | None = None
    table: str | None = None
    shop: str | None = None
    derive_from: str | None = None
    is_made_up: bool = False
    is_distinct: bool = False
    cursor: Cursor | None = None
    deleted_rows: str = "ignore"
    max_age_days: int | None = None

    @property
    def kind(self) -> Literal["file", "table", "shop"]:
        """What kind of source it is; decides who reads it."""
        if self.shop is not None:
            return "shop"
        return "table" if self.file is None else "file"

    @property
    def source(self) -> str:
        """The source's name as it stands in records and messages."""
        return (
            PurePath(self.file).name
            if self.file
            else f"{self.connection}:{self.shop or self.table}"
        )

    @property
    def source_columns(self) -> set[str]:
        """The columns of the source that the feed's columns are made of."""
        return {name for how in self.columns.values() for name in how.source_columns}

    @property
    def read_columns(self) -> list[str]:
        """All columns that the source must have, in the order of their names."""
        return sorted(self.source_columns | ({self.cursor.column} if self.cursor else set()))


@dataclass(frozen=True)
class Dataset:
    """All feeds of one company."""

    name: str
    feeds: dict[str, FeedMapping] = field(default_factory=dict)


def read_dataset(path: Path, name: str, data: Path, *, is_draft: bool = False) -> Dataset:
    """Reads and checks one dataset of the sources file.

    Args:
        path: The sources file.
        name: Which of its datasets.
        data: What `{data}` in a file's path stands for.
        is_draft: Required columns may still be missing, for whoever wants to say which.

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
        there = f"{where}, feed {feed_name}"
        feeds[feed_name] = _feed(there, FEEDS[feed_name], entry, data, is_draft)
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


def _feed(where: str, feed: Feed, entry: Any, data: Path, is_draft: bool) -> FeedMapping:
    entry = _mapping(where, entry)
    refuse_unknown(where, entry, FEED_KEYS)
    given = _mapping(f"{where}: `columns`", entry.get("columns"))
    declared = {column.name: column for column in feed.columns}
    for name in given:
        if name not in declared:
            raise DeclarationError(
                f"{where}: the feed has no column {name!r}; its columns are {names(declared)}"
            )
    missing = [name for name, c in declared.items() if c.is_required and given.get(name) is None]
    given = {name: value for name, value in given.items() if name not in missing}
    if missing and not is_draft:
        raise DeclarationError(f"{where}: map the required columns {names(missing)} as well")
    columns = {
        name: read_column(f"{where}, column {name}", declared[name], value)
        for name, value in given.items()
    }
    check_source(where, entry)
    _check_feed_keys(where, entry, columns)
    return FeedMapping(
        feed=feed,
        columns=columns,
        file=file_place(where, entry["file"], data) if "file" in entry else None,
        format=file_format(entry),
        delimiter=entry.get("delimiter", ","),
        encoding=entry.get("encoding", "utf-8"),
        final_newline=entry.get("final_newline", "required"),
        connection=entry.get("connection"),
        table=entry.get("table"),
        shop=entry.get("shop"),
        derive_from=entry.get("derive_from"),
        is_made_up=entry.get("made_up", False),
        is_distinct=entry.get("distinct", False),
        cursor=read_cursor(f"{where}, `cursor`", entry["cursor"]) if "cursor" in entry else None,
        deleted_rows=entry.get("deleted_rows", "ignore"),
        max_age_days=entry.get("max_age_days"),
    )


def _check_feed_keys(where: str, entry: dict[str, Any], columns: dict[str, ColumnMapping]) -> None:
    for key in ("made_up", "distinct"):
        if not isinstance(entry.get(key, False), bool):
            raise DeclarationError(f"{where}: `{key}` is true or false")
    age = entry.get("max_age_days", 1)
    if not isinstance(age, int) or isinstance(age, bool) or age < 1:
        raise DeclarationError(f"{where}: `max_age_days` is {age!r}: write a whole number from 1")
    if entry.get("deleted_rows", "ignore") not in ("ignore", "mark"):
        raise DeclarationError(f"{where}: `deleted_rows` is one of {names(('ignore', 'mark'))}")
    if entry.get("deleted_rows") == "mark" and "cursor" in entry:
        raise DeclarationError(
            f"{where}: `deleted_rows: mark` needs the whole source every time, and a `cursor` "
            "reads what is new: leave one of them out"
        )
    if "derive_from" in entry:
        for key, reason in (
            ("cursor", "its rows are those of the feed it is derived from, all of them"),
            ("distinct", "one row per key is taken anyway"),
        ):
            if key in entry:
                raise DeclarationError(
                    f"{where}: `{key}` has no place here ({reason}); leave it out"
                )
    for name, how in columns.items():
        if how.generate and ("table" in entry or "shop" in entry):
            raise DeclarationError(
                f"{where}, column {name}: rows of a table have no lasting number; name a column"
            )


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
        is_distinct=False,
        # the earliest row of a key can only be told among all of them
        cursor=None,
        deleted_rows=mapping.deleted_rows,
        max_age_days=mapping.max_age_days,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
