"""The consents of the demo: invented, because no public sales data comes with any."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import date, timedelta
from hashlib import sha256

CONSENTS = "consents_made_up.csv"


def made_up_consents(first_purchases: Mapping[str, date]) -> bytes:
    """Invents one e-mail consent per customer, by a hash of the id alone.

    80 % confirm on the day of their first purchase, 5 % never confirm, 5 % take it back after
    200 days, and 10 % never gave one.

    Args:
        first_purchases: Customer's id → day of the first purchase.

    Returns:
        A CSV file with the columns of the feed.
    """
    header = [
        "consent_id", "customer_id", "channel", "granted_at", "confirmed_at", "withdrawn_at",
        "text_version", "source",
    ]  # fmt: skip
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for customer_id, bought_first_on in sorted(first_purchases.items()):
        share = int(sha256(f"made-up consent {customer_id}".encode()).hexdigest()[:8], 16) / 2**32
        if share >= 0.9:
            continue
        confirmed = "" if 0.8 <= share < 0.85 else f"{bought_first_on}T12:05:00"
        withdrawn_on = bought_first_on + timedelta(days=200)
        withdrawn = f"{withdrawn_on}T09:00:00" if share >= 0.85 else ""
        writer.writerow(
            [
                f"made-up-{customer_id}", customer_id, "email", f"{bought_first_on}T12:00:00",
                confirmed, withdrawn, "made up for the demo", "made up for the demo",
            ]
        )  # fmt: skip
    return out.getvalue().encode("ascii")
