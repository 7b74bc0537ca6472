"""`./winback sources`, run as somebody types it, on a small shop in files."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.small_shop import SmallShop

WIDTH = 100


def sources(shop: SmallShop, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    named = {
        "HOME": str(shop.folder.parent / "home"),
        "DATA": str(shop.folder),
        "SOURCES": str(shop.folder / "sources.yaml"),
        "DATASET": "shop",
    }
    environment = os.environ | {f"WINBACK_{name}": value for name, value in named.items()}
    environment |= {"COLUMNS": str(WIDTH)} | settings
    command = (sys.executable, "-m", "winback", "sources", *command)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def check(shop: SmallShop, **settings: str) -> subprocess.CompletedProcess[str]:
    return sources(shop, "check", **settings)


def words(text: str) -> str:
    return " ".join(text.split())
