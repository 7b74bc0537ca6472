"""Writes a world as a company hands it over: a CSV file per feed, and the file that maps them."""

from __future__ import annotations

import csv
from pathlib import Path

import yaml

from tests.worlds.truth import World


def write(world: World, folder: Path) -> Path:
    """Writes the files; returns the sources file, whose dataset is called as the world.

    Args:
        world: What is written; its truth stays out.
        folder: Is made; the setting `data`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    feeds = {}
    for feed, rows in world.tables.items():
        with (folder / f"{feed}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        feeds[feed] = {
            "file": f"{{data}}/{feed}.csv",
            "made_up": True,
            "columns": {name: name for name in rows[0]},
        }
    sources = folder / "sources.yaml"
    sources.write_text(yaml.safe_dump({"datasets": {world.name: {"feeds": feeds}}}))
    return sources
