"""The demo's data: the real CDNOW purchases, and beside them the consents that we made up.

CDNOW is a file inside a package on the Python package index. It is fetched once, checked against a
known hash, and read from the package without importing it.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from winback.demo.made_up_consents import CONSENTS, made_up_consents
from winback.demo.wheel_members import provide_members, replace_file

PACKAGE = "lifetimes==0.11.3"
PURCHASES = "CDNOW_master.txt"
MEMBERS = {
    f"lifetimes/datasets/{PURCHASES}": (
        "eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef"
    )
}


def provide(folder: Path) -> None:
    """Puts the demo's files into a folder, unless they are there already.

    Raises:
        SourceError: The package index can not be reached, or sends something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    provide_members(PACKAGE, MEMBERS, folder)
    consents = folder / CONSENTS
    if not consents.exists():
        replace_file(consents, made_up_consents(_first_purchases(folder / PURCHASES)))


def _first_purchases(purchases: Path) -> dict[str, date]:
    first_purchase: dict[str, date] = {}
    with purchases.open(encoding="ascii") as file:
        next(file)
        for line in file:
            customer_id, day, *_ = line.split()
            bought_on = date(int(day[:4]), int(day[4:6]), int(day[6:]))
            first_purchase[customer_id] = min(bought_on, first_purchase.get(customer_id, bought_on))
    return first_purchase
