"""The logs of an instance's services: which there are, their last lines, and what follows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from winback.errors import ServerError
from winback.server.instance import Instance

_LOOK_AGAIN_SECONDS = 0.3


def log_files(ours: Instance) -> dict[str, Path]:
    """The log of each service by its name, and `winback`, that of the command itself."""
    found = {path.stem: path for path in sorted(ours.logs.glob("*.log"))}
    command = ours.installation / "logs" / "winback.log"
    if command.exists():
        found["winback"] = command
    return found


def choose(files: Mapping[str, Path], name: str) -> Path:
    """The log of that name.

    Raises:
        ServerError: There is none; the message names those there are.
    """
    if name not in files:
        known = ", ".join(files) or "none yet: start with ./winback demo or ./winback up"
        raise ServerError(f"there is no log {name!r}; the logs are: {known}")
    return files[name]


def last_lines(path: Path, count: int) -> list[str]:
    """The end of a log."""
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]


def follow(files: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Gives what is written to logs from now on, as name and line, without end."""
    offsets = {name: path.stat().st_size for name, path in files.items()}
    while True:
        for name, path in files.items():
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                continue
            offsets[name] = 0 if size < offsets[name] else offsets[name]  # it was begun anew
            with path.open("rb") as file:
                file.seek(offsets[name])
                content = file.read()
            complete = content[: content.rfind(b"\n") + 1]
            offsets[name] += len(complete)
            for line in complete.decode(errors="replace").splitlines():
                yield name, line
        time.sleep(_LOOK_AGAIN_SECONDS)
