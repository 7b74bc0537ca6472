"""A small shop past its gates whose scores a test makes up, for the rule CRC / CLV."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from tests.conftest import PROJECT, Warehouse
from winback.privacy.keyed_hash import customer_key
from winback.select.campaigns import read_campaigns
from winback.select.lift import Lift, lift_of
from winback.select.selection import Selected, select
from winback.warehouse import connection

AS_OF = date(2025, 3, 1)
NAME = "welcome_back"
# by hand, at a chance of 5 %, a lift of 10 %, a contact of 0.01 and an offer of 5.00: a recovery
# costs 57.00, and writing 28.5 cents
LOSING, EDGE, WORTH = 4100, 6000, 41_000


@dataclass
class Scored:
    """The shop, its one campaign, and what was found out about both."""

    warehouse: Warehouse
    snapshot_id: int
    campaigns: Path

    def write_campaign(self, contact: float = 1, offer: float = 500, lift: float = 10) -> None:
        """Puts costs and lift into the campaign file."""
        text = (PROJECT / "campaigns" / f"{NAME}.yaml").read_text(encoding="utf-8")
        for name, value in (
            ("contact_cents", contact), ("offer_cents", offer), ("assumed_lift_pct", lift),
        ):  # fmt: skip
            before, _, after = text.partition(f"{name}:")
            text = f"{before}{name}: {value}{after[after.index(chr(10)) :]}"
        (self.campaigns / f"{NAME}.yaml").write_text(text, encoding="utf-8")

    def score(self, p: float | None, clv: int | None, *names: str) -> None:
        """Gives customers a chance to return by themselves and a value."""
        for name in names:
            self.warehouse.execute(
                "insert into marts.fct_customer_values (customer_key, as_of, model_run_id,"
                " probability_60_days, value_if_returned_cents) values (%s, %s, 1, %s, %s)",
                (customer_key("shop", name), AS_OF, p, clv),
            )

    def select(self) -> Selected:
        """Selects for the one campaign."""
        [selected] = select(self.snapshot_id, AS_OF)
        return selected

    def reasons(self) -> dict[str, str]:
        """Why somebody was excluded, by name."""
        names = {customer_key("shop", f"lapsed-{n:02}"): f"lapsed-{n:02}" for n in range(20)}
        rows = self.warehouse.execute(
            "select customer_key, reason from ops.assignment where arm = 'excluded'"
        )
        return {names[key]: reason for key, reason in rows}

    def run(self, columns: str) -> tuple[Any, ...]:
        """Columns of the newest run."""
        [row] = self.warehouse.execute(
            f"select {columns} from ops.economics_run order by economics_run_id desc limit 1"
        )
        return row

    def campaign(self) -> tuple[str, str | None]:
        """State of the campaign, and the reason."""
        [(state, reason)] = self.warehouse.execute("select state, state_reason from ops.campaign")
        return state, reason

    def lift(self) -> Lift:
        """What the campaign's economics would count with."""
        [campaign] = read_campaigns(self.campaigns)
        with connection.connect("sender") as opened:
            return lift_of(opened, campaign, AS_OF)


def losing_campaign(shop: Scored) -> None:
    """18 of 4100 and one of 6000: worth 399, at costs of 541.5; lapsed-00 has no score."""
    shop.score(0.05, EDGE, "lapsed-02")
    shop.score(0.05, LOSING, *(f"lapsed-{n:02}" for n in range(1, 20) if n != 2))
