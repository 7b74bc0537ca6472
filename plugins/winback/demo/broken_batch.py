"""Breaks a copy of the demo's data, so that one can watch the gate stop it."""

from __future__ import annotations

import shutil
from pathlib import Path

from winback.demo.cdnow import PURCHASES
from winback.demo.made_up_consents import CONSENTS
from winback.errors import WinbackError

# one row in ten: far above what the gate lets through
EVERY = 10


def break_feed(feed: str, good: Path, broken: Path) -> None:
    """Copies the demo's files and spoils those of one feed.

    Args:
        feed: `orders` (negative prices) or `consents` (dates that are none).
        good: Folder of the sound files.
        broken: Folder of the copy; replaced.

    Raises:
        WinbackError: There is no way to break this feed.
    """
    if feed not in _SPOIL:
        raise WinbackError(f"--break {feed}: write one of {', '.join(_SPOIL)}")
    shutil.rmtree(broken, ignore_errors=True)
    shutil.copytree(good, broken)
    name, spoil = _SPOIL[feed]
    header, *rows = (broken / name).read_text(encoding="utf-8").splitlines()
    rows = [spoil(row) if n % EVERY == 0 else row for n, row in enumerate(rows)]
    (broken / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def _negative_price(row: str) -> str:
    *others, price = row.split()
    return " ".join([*others, f"-{price}"])


def _no_date(row: str) -> str:
    cells = row.split(",")
    return ",".join("soon" if cell[:2] == "19" else cell for cell in cells)


_SPOIL = {"orders": (PURCHASES, _negative_price), "consents": (CONSENTS, _no_date)}
