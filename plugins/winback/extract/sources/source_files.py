"""Finds the files that a mapping names, on this machine or in object storage, and opens them.

What stands in them is read by `file_source.py` and `columnar_source.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from winback.errors import SourceError
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.mapping.source_keys import OBJECT_STORAGE, WILDCARDS
from winback.extract.sources.object_storage import object_storage

GZIP_BEGINS = b"\x1f\x8b"


@dataclass(frozen=True)
class SourceFile:
    """A file that is there and not empty.

    Attributes:
        place: Whole path or address, for messages.
        name: Name within the mapping's folder, as it stands in records.
    """

    place: str
    name: str
    _filesystem: fs.FileSystem
    _path: str

    @property
    def is_compressed(self) -> bool:
        """Whether it is to be unpacked with gzip while it is read."""
        return self.name.lower().endswith(".gz")

    @contextmanager
    def stream(self) -> Iterator[pa.NativeFile]:
        """The file's content from its beginning, unpacked.

        Raises:
            SourceError: It is called `.gz` and was not written by gzip.
        """
        compression = None
        if self.is_compressed:
            with self._filesystem.open_input_file(self._path) as packed:
                if packed.read(len(GZIP_BEGINS)) != GZIP_BEGINS:
                    raise SourceError(
                        f"{self.place} is called .gz and is no gzip file: rename it, or pack it"
                    )
            compression = "gzip"
        with self._filesystem.open_input_stream(self._path, compression=compression) as stream:
            yield stream

    @contextmanager
    def random_access(self) -> Iterator[pa.NativeFile]:
        """The file as stored, for formats that are read from their end."""
        with self._filesystem.open_input_file(self._path) as file:
            yield file


def source_files(mapping: FeedMapping) -> list[SourceFile]:
    """The files of a mapping, in the order of their names.

    Raises:
        SourceError: There is none, one is empty or no file, or a link leads out of the folder.
    """
    assert mapping.file is not None
    is_object = mapping.file.startswith(OBJECT_STORAGE)
    path = mapping.file.removeprefix(OBJECT_STORAGE)
    filesystem: fs.FileSystem = fs.LocalFileSystem()
    if is_object:
        filesystem = object_storage(str(mapping.connection))
    scheme = OBJECT_STORAGE if is_object else ""
    try:
        folder, names = _named(filesystem, path, mapping.feed.name, scheme)
        infos = filesystem.get_file_info([f"{folder}/{name}" for name in names])
    except OSError as error:
        raise unreadable(mapping.file, error, mapping) from error
    found = []
    for name, info in zip(names, infos, strict=True):
        place = scheme + info.path
        if info.size == 0:
            raise SourceError(f"{place} is empty (0 bytes): its export failed; export it again")
        found.append(SourceFile(place, name, filesystem, info.path))
    return found


def unreadable(place: str, error: Exception, mapping: FeedMapping, n_rows: int = 0) -> SourceError:
    """What to say of a file that can not be opened, or stops half-way.

    Args:
        place: Whole path or address.
        error: What Arrow says.
        mapping: The feed's mapping.
        n_rows: How many rows were read before.
    """
    said = " ".join(str(error).split())
    if isinstance(error, PermissionError) or "AWS Error" in said:
        mend = (
            f"the Airflow connection {mapping.connection!r}" if mapping.connection else "its owner"
        )
        return SourceError(f"{place} can not be read ({said}); check {mend}")
    is_packed = "compressed stream" in said or "zlib" in said
    # otherwise Arrow's own words quote values of the file
    return SourceError(
        f"{place} is no whole {'gzip' if is_packed else mapping.format} file (stopped after "
        f"{n_rows:,} rows): export it again{'' if is_packed else ', or name another `format`'}"
    )


def _named(filesystem: fs.FileSystem, path: str, feed: str, scheme: str) -> tuple[str, list[str]]:
    """The folder that a path or pattern begins with, and the names of its files within."""
    parts = path.split("/")
    n_fixed = next((i for i, part in enumerate(parts) if WILDCARDS & set(part)), len(parts))
    if n_fixed == len(parts):
        folder, _, name = path.rpartition("/")
        info = filesystem.get_file_info(path)
        if info.type == fs.FileType.NotFound:
            raise SourceError(f"{scheme}{path} does not exist: check the path of feed {feed}")
        if info.type != fs.FileType.File:
            raise SourceError(f"{scheme}{path} is not a file: name one file for feed {feed}")
        return folder, [name]
    folder = "/".join(parts[:n_fixed])
    names = [""]
    for depth, part in enumerate(parts[n_fixed:], start=n_fixed + 1):
        wanted = fs.FileType.File if depth == len(parts) else fs.FileType.Directory
        names = [
            f"{name}/{info.base_name}".lstrip("/")
            for name in names
            for info in _listed(filesystem, f"{folder}/{name}".rstrip("/"))
            if info.type == wanted and _matches(info.base_name, part)
        ]
    if not scheme:
        names = _without_links(Path(folder), names)
    if not names:
        raise SourceError(
            f"no file in {scheme}{folder} matches {'/'.join(parts[n_fixed:])!r}: check the path of "
            f"feed {feed}"
        )
    return folder, sorted(names)


def _listed(filesystem: fs.FileSystem, folder: str) -> list[fs.FileInfo]:
    listed: list[fs.FileInfo] = filesystem.get_file_info(
        fs.FileSelector(folder, allow_not_found=True)
    )
    return listed


def _matches(name: str, pattern: str) -> bool:
    # programs write a file under a hidden name until it is complete
    is_hidden = name.startswith(".") and not pattern.startswith(".")
    return fnmatchcase(name, pattern) and not is_hidden


def _without_links(folder: Path, names: list[str]) -> list[str]:
    """Each file once: a link to another of them would bring its rows twice."""
    inside = folder.resolve()
    targets = {name: (folder / name).resolve() for name in names}
    for name, target in targets.items():
        if not target.is_relative_to(inside):
            raise SourceError(
                f"{folder / name} is a link that leads out of {folder}: put the file there, or "
                "name it by itself"
            )
    kept: dict[Path, str] = {}
    for name in sorted(names, key=lambda name: (inside / name != targets[name], name)):
        kept.setdefault(targets[name], name)
    return list(kept.values())
