"""The small shop that `./winback sources` is tried on."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.small_shop import SmallShop, small_shop


@pytest.fixture
def shop(tmp_path: Path) -> SmallShop:
    shop = small_shop(tmp_path / "data", date(2025, 3, 1), n_lapsed=3, n_active=1)
    shop.write()
    return shop
