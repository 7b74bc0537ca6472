"""The feeds: what winback can be told about customers, declared once.

Everything about a feed follows from its declaration here: its raw table, the rules that send a row
to quarantine, the dbt source, the feed reference in `docs/feeds.md`. How a company's own columns
become these columns is the mapping, `mapping.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["customer", "text", "integer", "cents", "currency", "timestamp", "email"]

SQL_TYPES: dict[Kind, str] = {
    "customer": "text",
    "text": "text",
    "integer": "bigint",
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
    """

    name: str
    kind: Kind
    doc: str
    is_required: bool = True
    is_personal: bool = False
    minimum: int | None = None

    @property
    def raw_name(self) -> str | None:
        """The column's name in the raw table; None when it stays in `pii`."""
        if self.kind == "customer":
            return "customer_key"
        if self.kind == "email":
            return f"{self.name}_hash"
        return None if self.is_personal else self.name


@dataclass(frozen=True)
class Feed:
    """A kind of fact, one row each.

    Attributes:
        name: Name of the feed and of its raw table.
        doc: What one row is.
        key: Columns that identify a row at its source; a row that comes again replaces the old one.
        event_time: The column that says since when the fact is known.
        columns: All columns in order.
        is_required: Without it winback does not run; other feeds switch features on.
    """

    name: str
    doc: str
    key: tuple[str, ...]
    event_time: str
    columns: tuple[Column, ...]
    is_required: bool = False

    def column(self, name: str) -> Column:
        """The declaration of one column."""
        return next(column for column in self.columns if column.name == name)

    @property
    def personal_columns(self) -> tuple[Column, ...]:
        """The columns that are kept in `pii`."""
        return tuple(column for column in self.columns if column.is_personal)


_CUSTOMER = Column("customer_id", "customer", "the customer's id at the source")
_ORDER_ID = Column("order_id", "text", "the order's id at the source")
_CURRENCY = Column("currency", "currency", "ISO 4217 code of the amount, such as EUR")

CUSTOMERS = Feed(
    name="customers",
    doc="One row per customer: a person (B2C) or an account (B2B).",
    key=("customer_id",),
    event_time="registered_at",
    is_required=True,
    columns=(
        _CUSTOMER,
        Column("email", "email", "e-mail address", is_required=False, is_personal=True),
        Column("first_name", "text", "given name", is_required=False, is_personal=True),
        Column("last_name", "text", "family name", is_required=False, is_personal=True),
        Column("locale", "text", "language and country, such as de_DE", is_required=False),
        Column("country", "text", "ISO 3166 code, such as DE", is_required=False),
        Column("registered_at", "timestamp", "when the customer became known"),
    ),
)

ORDERS = Feed(
    name="orders",
    doc="One row per order, shop and online together. Refunds belong to the feed returns.",
    key=("order_id",),
    event_time="ordered_at",
    is_required=True,
    columns=(
        _ORDER_ID,
        _CUSTOMER,
        Column("ordered_at", "timestamp", "when the order was placed"),
        Column("quantity", "integer", "items in the order", is_required=False, minimum=0),
        Column("amount_cents", "cents", "what was paid, in minor units; zero is valid", minimum=0),
        _CURRENCY,
    ),
)

ORDER_LINES = Feed(
    name="order_lines",
    doc="One row per product in an order.",
    key=("order_id", "line_number"),
    event_time="ordered_at",
    columns=(
        _ORDER_ID,
        Column("line_number", "integer", "position within the order", minimum=0),
        Column("product_id", "text", "the product's id at the source"),
        Column("quantity", "integer", "items of this product", minimum=0),
        Column("amount_cents", "cents", "paid for the line, in minor units", minimum=0),
        _CURRENCY,
        Column("ordered_at", "timestamp", "when the order was placed"),
    ),
)

CONSENTS = Feed(
    name="consents",
    doc="One row per consent that a customer gave, with its proof. Missing consent means no.",
    key=("consent_id",),
    event_time="granted_at",
    columns=(
        Column("consent_id", "text", "the consent's id at the source"),
        _CUSTOMER,
        Column("channel", "text", "email, phone, letter or ads"),
        Column("granted_at", "timestamp", "when the customer asked for it"),
        Column("confirmed_at", "timestamp", "double opt-in confirmed", is_required=False),
        Column("withdrawn_at", "timestamp", "when it was taken back", is_required=False),
        Column("text_version", "text", "which text the customer agreed to"),
        Column("source", "text", "where it was given, such as checkout"),
    ),
)

FEEDS: dict[str, Feed] = {feed.name: feed for feed in (CUSTOMERS, ORDERS, ORDER_LINES, CONSENTS)}
