"""The simulated worlds by name: companies whose customers' fates are known, day by day.

Made with numpy alone, and with nothing of winback, so that what winback says about them is judged
by somebody else. What is true is described in `truth.py`; worlds are written as files by
`feeds.py`, judged by `judge.py` and held to `bounds.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.worlds import regular_shop, seasonal_shop, service_world, stockpilers
from tests.worlds.truth import World

WORLDS: dict[str, Callable[[int], World]] = {
    regular_shop.NAME: regular_shop.make,
    stockpilers.NAME: stockpilers.make,
    seasonal_shop.NAME: seasonal_shop.make,
    service_world.NAME: service_world.make,
}


def make(name: str, seed: int) -> World:
    """Draws a world; the same seed draws the same one."""
    return WORLDS[name](seed)
