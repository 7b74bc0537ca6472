"""How a feed is declared: its columns, their kinds, and what a value must be to pass.

The declarations themselves stand beside this module, by theme. How a company's own columns become
these columns is the mapping, `mapping.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "customer",
    "text",
    "integer",
    "number",
    "boolean",
    "cents",
    "currency",
    "timestamp",
    "email",
]

SQL_TYPES: dict[Kind, str] = {
    "customer": "text",
    "text": "text",
    "integer": "bigint",
    "number": "numeric(18, 4)",
    "boolean": "boolean",
    "cents": "bigint",
    "currency": "text",
    "timestamp": "timestamptz",
    "email": "text",
}


@dataclass(frozen=True)
class Column:
    """One column of a feed, as the mapping must deliver it.

    Attributes:
        name: Name in the feed.
        kind: What the value is; decides parsing, type and checks.
        doc: What it means, with its unit.
        is_required: A row without it is quarantined, a mapping without it is refused.
        is_personal: Kept in `pii` alone; other schemas get a keyed hash, or nothing.
        minimum: Smallest value that passes.
        maximum: Largest value that passes.
        allowed: The only values that pass; empty where any does.
        references: The feed whose key this column holds. Columns of kind customer hold that of
            customers without saying so.
        is_for_ever: What was once told stays: a later row without it, or with an earlier instant,
            does not take it back.
    """

    name: str
    kind: Kind
    doc: str
    is_required: bool = True
    is_personal: bool = False
    minimum: int | None = None
    maximum: int | None = None
    allowed: tuple[str, ...] = ()
    references: str | None = None
    is_for_ever: bool = False

    @property
    def raw_name(self) -> str | None:
        """The column's name in the raw table; None when it stays in `pii`."""
        if self.kind == "customer":
            return f"{self.name.removesuffix('_id')}_key"
        if self.kind == "email":
            return f"{self.name}_hash"
        return None if self.is_personal else self.name


@dataclass(frozen=True)
class Feed:
    """A kind of fact, one row each.

    Attributes:
        name: Name of the feed and of its raw table.
        doc: What one row is.
        switches_on: What winback can do only with this feed.
        key: Columns that identify a row at its source; a row that comes again replaces the old one.
        event_time: The column that says since when the fact is known.
        columns: All columns in order.
        is_required: Without it winback does not run; other feeds switch features on.
        may_forbid: A row can be the reason why somebody must not be written to, so whoever has one
            in quarantine is not, until it is read.
        max_age_days: The newest fact may be this old before the feed counts as stale; None where
            facts come too seldom to tell. A mapping may say otherwise.
    """

    name: str
    doc: str
    switches_on: str
    key: tuple[str, ...]
    event_time: str
    columns: tuple[Column, ...]
    is_required: bool = False
    may_forbid: bool = False
    max_age_days: int | None = None

    def column(self, name: str) -> Column:
        """The declaration of one column."""
        return next(column for column in self.columns if column.name == name)

    @property
    def personal_columns(self) -> tuple[Column, ...]:
        """The columns that are kept in `pii`."""
        return tuple(column for column in self.columns if column.is_personal)


CUSTOMER_ID = Column("customer_id", "customer", "the customer's id at the source")
ORDER_ID = Column("order_id", "text", "the order's id at the source")
OF_ORDER = Column(
    "order_id", "text", "the order it belongs to", is_required=False, references="orders"
)
OF_PRODUCT = Column(
    "product_id", "text", "the product it is about", is_required=False, references="products"
)
CURRENCY = Column("currency", "currency", "ISO 4217 code of the amount, such as EUR")
CHANNELS = ("email", "phone", "letter", "ads")
# why customers leave, complain or cancel; where a fault is our own, the remedy comes first
REASONS = (
    "price",
    "product_quality",
    "service_quality",
    "delivery",
    "changed_needs",
    "assortment",
    "lack_of_appreciation",
    "contact_person",
    "moved",
    "household",
    "abroad",
    "stocked_up",
    "competitor",
    "unknown",
)
