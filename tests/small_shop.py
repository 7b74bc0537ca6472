"""A made-up shop that fits on a screen: sources for tests that need people of known fates.

Customers are numbered; `lapsed` ones bought once, long ago, `active` ones yesterday. Everybody has
a confirmed consent for e-mail unless a test takes it away.
"""

from __future__ import annotations

import csv
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

KNOWN = ("id", "email", "first_name", "locale", "registered")
SOURCES: dict[str, Any] = {
    "datasets": {
        "shop": {
            "feeds": {
                "customers": {
                    "file": "{data}/customers.csv",
                    "columns": {
                        "customer_id": "id",
                        "email": "email",
                        "first_name": "first_name",
                        "locale": "locale",
                        "registered_at": "registered",
                    },
                },
                "orders": {
                    "file": "{data}/orders.csv",
                    "columns": {
                        "order_id": "number",
                        "customer_id": "customer",
                        "ordered_at": "date",
                        "amount_cents": {"column": "total", "unit": "major"},
                        "currency": {"constant": "EUR"},
                    },
                },
                "consents": {
                    "file": "{data}/consents.csv",
                    "columns": {
                        "consent_id": "id",
                        "customer_id": "customer",
                        "channel": {"constant": "email"},
                        "granted_at": "granted",
                        "confirmed_at": "confirmed",
                        "withdrawn_at": "withdrawn",
                        "text_version": {"constant": "v1"},
                        "source": {"constant": "checkout"},
                    },
                },
            }
        }
    }
}


@dataclass
class SmallShop:
    """The shop's rows; change them, then `write` again.

    Attributes:
        folder: Where the files lie; the setting `data`.
        as_of: The date around which people lapsed.
        more: Rows of other feeds, whose columns are called as the feed calls them.
    """

    folder: Path
    as_of: date
    customers: list[dict[str, str]] = field(default_factory=list)
    orders: list[dict[str, str]] = field(default_factory=list)
    consents: list[dict[str, str]] = field(default_factory=list)
    more: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def add(self, name: str, days_ago: int, *, first_name: str = "", locale: str = "de_DE") -> None:
        """Adds a customer who bought once, so many days before `as_of`."""
        registered = (self.as_of - timedelta(days=days_ago)).isoformat()
        self.customers.append(
            {
                "id": name,
                "email": f"{name}@example.com",
                "first_name": first_name,
                "locale": locale,
                "registered": registered,
            }
        )
        self.buy(name, days_ago)
        self.consents.append(
            {
                "id": f"consent-{name}",
                "customer": name,
                "granted": registered,
                "confirmed": registered,
                "withdrawn": "",
            }
        )

    def buy(self, name: str, days_ago: int, total: str = "10.00") -> None:
        """Adds an order; a negative number of days lies after `as_of`."""
        self.orders.append(
            {
                "number": f"order-{len(self.orders)}",
                "customer": name,
                "date": (self.as_of - timedelta(days=days_ago)).isoformat(),
                "total": total,
            }
        )

    def tell(self, feed: str, **row: str) -> None:
        """Adds a row of another feed, by the feed's own column names."""
        self.more.setdefault(feed, []).append(row)

    def day(self, days_ago: int) -> str:
        """The day so many days before `as_of`, as the files write it."""
        return (self.as_of - timedelta(days=days_ago)).isoformat()

    def write(self) -> Path:
        """Writes the files; returns the sources file that maps them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        mapping = deepcopy(SOURCES)
        feeds: dict[str, Any] = mapping["datasets"]["shop"]["feeds"]
        own = {"customers": self.customers, "orders": self.orders, "consents": self.consents}
        for name, rows in (own | self.more).items():
            columns = list(dict.fromkeys(column for row in rows for column in row))
            with (self.folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(rows)
            if name in self.more:
                feeds[name] = {
                    "file": f"{{data}}/{name}.csv",
                    "columns": {column: column for column in columns},
                }
        # what a test wrote beside the usual columns of a customer
        known = feeds["customers"]["columns"]
        known |= {name: name for row in self.customers for name in row if name not in KNOWN}
        sources = self.folder / "sources.yaml"
        sources.write_text(yaml.safe_dump(mapping), encoding="utf-8")
        return sources


def small_shop(folder: Path, as_of: date, n_lapsed: int = 20, n_active: int = 5) -> SmallShop:
    """A shop with `lapsed-00` … and `active-00` …; not yet written."""
    shop = SmallShop(folder, as_of)
    for n in range(n_lapsed):
        shop.add(f"lapsed-{n:02}", 250 + n)
    for n in range(n_active):
        shop.add(f"active-{n:02}", 1 + n % 2)
    return shop
