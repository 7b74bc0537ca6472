"""Which keys of a feed say what its source is, and what is wrong with them.

The feed around them belongs to `mapping.py`; finding and reading the source to `reading.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from winback.errors import DeclarationError
from winback.extract.mapping.column_mapping import names
from winback.extract.sources.shopify_resources import RESOURCES

# the key that decides what kind of source it is
SOURCES = ("file", "table", "shop", "derive_from")
OF_TEXT_FILES = ("delimiter", "encoding", "final_newline")
OF_FILES = ("format", *OF_TEXT_FILES)
CHOICES = {
    "format": ("csv", "whitespace", "parquet", "jsonl"),
    "final_newline": ("required", "optional"),
}
# the only column that Shopify can be asked by for what is new
SHOP_CURSOR = "updated_at"
SOURCE_KEYS = {*SOURCES, *OF_FILES, "connection"}
ENDINGS = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
WILDCARDS = frozenset("*?[")
OBJECT_STORAGE = "s3://"


def check_source(where: str, entry: dict[str, Any]) -> None:
    """Refuses a source that can not be one.

    Args:
        where: File, dataset and feed, for messages.
        entry: The feed's keys.

    Raises:
        DeclarationError: A key is missing, has no place there, or has no such value.
    """
    for key in sorted(SOURCE_KEYS):
        if key in entry and not (isinstance(entry[key], str) and entry[key]):
            raise DeclarationError(f"{where}: `{key}` is {entry[key]!r}: write a text, in quotes")
    if len([key for key in SOURCES if key in entry]) != 1:
        raise DeclarationError(
            f"{where}: write exactly one of `file`, `table` (with `connection`), `shop` (with"
            " `connection`) or `derive_from`"
        )
    is_object = str(entry.get("file", "")).startswith(OBJECT_STORAGE)
    remote = next((f"`{key}`" for key in ("table", "shop") if key in entry), None)
    if "connection" not in entry and (remote or is_object):
        what = remote or f"a `file` in {OBJECT_STORAGE}"
        raise DeclarationError(f"{where}: {what} needs the `connection` that leads there")
    if "connection" in entry and not remote and not is_object:
        raise DeclarationError(
            f"{where}: `connection` belongs to a `table`, or to a `shop`, or to a `file` in "
            f"{OBJECT_STORAGE}; leave it out"
        )
    _check_shop_keys(where, entry)
    _check_file_keys(where, entry)


def _check_shop_keys(where: str, entry: dict[str, Any]) -> None:
    if "shop" not in entry:
        return
    if entry["shop"] not in RESOURCES:
        raise DeclarationError(f"{where}: `shop` is one of {names(RESOURCES)}")
    cursor = entry.get("cursor", SHOP_CURSOR)
    column = cursor.get("column") if isinstance(cursor, dict) else cursor
    if column != SHOP_CURSOR:
        raise DeclarationError(
            f"{where}: Shopify can be asked for what is new by `cursor: {SHOP_CURSOR}` only"
        )


def _check_file_keys(where: str, entry: dict[str, Any]) -> None:
    for key in OF_FILES:
        if key in entry and "file" not in entry:
            raise DeclarationError(f"{where}: `{key}` belongs to a `file`; leave it out")
    for key, allowed in CHOICES.items():
        if entry.get(key, allowed[0]) not in allowed:
            raise DeclarationError(f"{where}: `{key}` is one of {names(allowed)}")
    for key in OF_TEXT_FILES:
        if key in entry and file_format(entry) in ("parquet", "jsonl"):
            raise DeclarationError(f"{where}: `{key}` belongs to text files; leave it out")
    if len(entry.get("delimiter", ",")) != 1:
        raise DeclarationError(f'{where}: `delimiter` is one character, such as ";" or "\\t"')


def file_format(entry: dict[str, Any]) -> str:
    """How the feed's file is written: as its key says, else as its name ends."""
    name = str(entry.get("file", "")).lower().removesuffix(".gz")
    implied = next((form for ending, form in ENDINGS.items() if name.endswith(ending)), "csv")
    return str(entry.get("format", implied))


def file_place(where: str, given: str, data: Path) -> str:
    """The whole path of a file or pattern, or its address in object storage.

    Args:
        where: File, dataset and feed, for messages.
        given: As written in the sources file.
        data: What `{data}` stands for.

    Raises:
        DeclarationError: It is not a whole path, or lies where nothing can be read.
    """
    if "**" in given:
        raise DeclarationError(f"{where}: `file` is {given!r}: write one `*` for each folder")
    scheme, separator, rest = given.partition("://")
    if separator:
        if f"{scheme}://" != OBJECT_STORAGE:
            raise DeclarationError(
                f"{where}: `file` lies in {scheme}://, and object storage is read by the S3 "
                f"protocol alone: write {OBJECT_STORAGE}bucket/path, with the store's S3 address "
                "as `endpoint_url` in the connection's extra"
            )
        bucket, _, key = rest.partition("/")
        if not bucket or not key or WILDCARDS & set(bucket):
            raise DeclarationError(
                f"{where}: `file` is {given!r}: write {OBJECT_STORAGE}bucket/path"
            )
        return given
    path = Path(given.replace("{data}", str(data))).expanduser()
    if not path.is_absolute():
        raise DeclarationError(
            f"{where}: `file` is {given!r}: write the whole path from `/`, or begin it with "
            '"{data}/"'
        )
    return str(path)
