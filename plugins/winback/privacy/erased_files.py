"""The files that name people, rid of somebody who was erased: the lists of marketing and warnings.

Other files below the home folder name nobody: previews and test mails are of a made-up person, the
pages of gates and models show counts, logs hold no names. The sources are not winback's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from winback.outreach.lists import words_in, write_list
from winback.outreach.warning_list import refresh_warning_list

log = logging.getLogger(__name__)


def rid_lists_of(folder: Path, keys: Sequence[str]) -> list[Path]:
    """Writes the lists anew on which a person stands who was erased from the warehouse.

    Args:
        folder: Where lists are kept.
        keys: Every customer key of the person.

    Returns:
        Files that hold the person and are none of ours, such as a copy under another name: somebody
        has to look after them.
    """
    # what a killed run left of a list
    for path in folder.rglob("*.part"):
        if not words_in(path).isdisjoint(keys):
            path.unlink()
    foreign = []
    for path in sorted(folder.glob("*/*.csv")):
        if words_in(path).isdisjoint(keys):
            continue
        as_of = _date(path.parent.name)
        if as_of is not None:
            write_list(folder, path.stem, as_of)
        if as_of is None or not words_in(path).isdisjoint(keys):
            foreign.append(path)
    refresh_warning_list(folder)
    ours = set(folder.glob("warnings-*"))
    foreign += [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent == folder and path not in ours
        and not words_in(path).isdisjoint(keys)
    ]  # fmt: skip
    return foreign


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
