"""Rows about customers as loading leaves them, and what the function that judges says of them.

For the rules of docs/consent.md; no feeds and no models.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tests.conftest import Warehouse

AS_OF = date(2026, 3, 1)
TABLES = (
    "raw.customers, raw.orders, raw.consents, raw.contact_preferences, raw.payments,"
    " raw.complaints, ops.suppression, ops.opt_in_request, ops.consent_text,"
    " ops.contact_preference, ops.outreach, ops.campaign, ops.customer_merge, ops.snapshot"
)


@dataclass(frozen=True)
class Verdict:
    """What the function says about one customer."""

    reasons: list[str]
    evidence: dict[str, Any]


@dataclass
class Shop:
    """Puts rows into the warehouse and asks for verdicts."""

    warehouse: Warehouse

    def put(self, table: str, **row: object) -> None:
        names = ", ".join(row)
        marks = ", ".join(["%s"] * len(row))
        self.warehouse.execute(
            f"insert into {table} ({names}) values ({marks})", tuple(row.values())
        )

    def customer(self, name: str = "ada", **row: object) -> None:
        """A consumer in Germany who bought 300 days ago."""
        known = {
            "customer_key": name,
            "email_hash": f"hash of {name}",
            "country": "DE",
            "kind": "consumer",
            "registered_at": ago(900),
            "snapshot_id": 1,
        }
        self.put("raw.customers", **known | row)
        self.put(
            "raw.orders", order_id=f"order of {name}", customer_key=name, ordered_at=ago(300),
            amount_cents=100, currency="EUR", snapshot_id=1,
        )  # fmt: skip

    def consent(self, name: str = "ada", **row: object) -> None:
        """A confirmed consent for e-mail, 300 days old."""
        given = {
            "consent_id": f"consent of {name}",
            "customer_key": name,
            "channel": "email",
            "granted_at": ago(300),
            "confirmed_at": ago(300),
            "text_version": "v1",
            "source": "checkout",
            "snapshot_id": 1,
        }
        self.put("raw.consents", **given | row)

    def sent(
        self, days_ago: int, name: str = "ada", state: str = "accepted", channel: str = "email"
    ) -> None:
        """A message of the campaign `earlier`."""
        self.warehouse.execute(
            "insert into ops.campaign (campaign_id, definition) values ('earlier', '{}')"
            " on conflict do nothing"
        )
        self.warehouse.execute(
            "insert into ops.snapshot (snapshot_id, as_of, purpose, dataset)"
            " overriding system value values (1, %s, 'live', 'shop') on conflict do nothing",
            (AS_OF,),
        )
        self.put(
            "ops.outreach", campaign_id="earlier", lapse_id=f"{name} {days_ago}", step=1,
            channel=channel, customer_key=name, address_hash=f"hash of {name}", snapshot_id=1,
            as_of=AS_OF - timedelta(days=days_ago), template="x", is_lapse_open=False,
        )  # fmt: skip
        ways = {"planned": (), "accepted": ("claimed", "dispatching", "accepted")}
        for step in ways[state]:
            self.warehouse.execute(
                "update ops.outreach set state = %s, accepted_at = now() where lapse_id = %s",
                (step, f"{name} {days_ago}"),
            )

    def campaign(self, definition: str) -> None:
        self.put("ops.campaign", campaign_id="this", definition=definition)

    def verdict(
        self, name: str = "ada", channel: str = "email", campaign: str = "this", pause: int = 0,
        advertisers: tuple[str, ...] = ("example shop",),
    ) -> Verdict:  # fmt: skip
        """What is said about a customer whose last purchase is the one of `customer`."""
        [(eligible, reasons, evidence)] = self.warehouse.execute(
            "select is_eligible, reasons, evidence from ops.eligibility(%s, %s::timestamptz[],"
            " %s, %s, %s, %s, 24, %s, advertisers => %s)",
            ([name], [ago(300)], campaign, channel, AS_OF, ago(0), pause, list(advertisers)),
        )
        assert eligible == (reasons == [])
        return Verdict(reasons, evidence)


def ago(days: int) -> str:
    """Noon so many days before; 0: the instant from which nothing is known."""
    at = "00:00" if days == 0 else "12:00"
    return f"{AS_OF - timedelta(days=days)} {at}+00"


# the four dates of the existing-customer rule
FOUR = {
    "address_from_sale_at": ago(300),
    "similar_goods_at": ago(20),
    "opt_out_notice_at": ago(300),
}
