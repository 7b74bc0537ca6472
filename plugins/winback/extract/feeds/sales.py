"""The feeds about sales: what was offered, bought, sent back, delivered and paid."""

from __future__ import annotations

from dataclasses import replace

from winback.extract.feeds.declaration import (
    CURRENCY,
    CUSTOMER_ID,
    OF_ORDER,
    OF_PRODUCT,
    ORDER_ID,
    REASONS,
    Column,
    Feed,
)

_VOUCHER = Column("voucher_code", "text", "the voucher that was redeemed", is_required=False)
_OPTIONAL_CURRENCY = replace(CURRENCY, is_required=False)

PRODUCTS = Feed(
    name="products",
    doc="One row per product, as it is offered now.",
    switches_on="offers by what was bought, and the reason 'favourite product discontinued'",
    key=("product_id",),
    event_time="listed_at",
    columns=(
        Column("product_id", "text", "the product's id at the source"),
        Column("name", "text", "what customers call it", is_required=False),
        Column("category", "text", "category", is_required=False),
        Column("brand", "text", "brand or maker", is_required=False),
        Column("price_cents", "cents", "price in minor units", is_required=False, minimum=0),
        Column("cost_cents", "cents", "what it costs you", is_required=False, minimum=0),
        _OPTIONAL_CURRENCY,
        Column("listed_at", "timestamp", "since when it is offered"),
        Column("discontinued_at", "timestamp", "since when it is not", is_required=False),
    ),
)

ORDERS = Feed(
    name="orders",
    doc="One row per order, shop and online together. Refunds belong to the feed returns.",
    switches_on="everything",
    key=("order_id",),
    event_time="ordered_at",
    is_required=True,
    max_age_days=7,
    columns=(
        ORDER_ID,
        CUSTOMER_ID,
        Column("ordered_at", "timestamp", "when the order was placed"),
        Column("quantity", "integer", "items in the order", is_required=False, minimum=0),
        Column("amount_cents", "cents", "what was paid, in minor units; zero is valid", minimum=0),
        CURRENCY,
        Column("cost_cents", "cents", "what the goods cost you", is_required=False, minimum=0),
        Column("channel", "text", "such as online or the shop's name", is_required=False),
        _VOUCHER,
    ),
)

ORDER_LINES = Feed(
    name="order_lines",
    doc="One row per product in an order.",
    switches_on="products in offers, rhythm by quantity, reasons by product",
    key=("order_id", "line_number"),
    event_time="ordered_at",
    columns=(
        replace(ORDER_ID, references="orders"),
        Column("line_number", "integer", "position within the order", minimum=0),
        Column("product_id", "text", "the product's id at the source", references="products"),
        Column("quantity", "integer", "items of this product", minimum=0),
        Column("amount_cents", "cents", "paid for the line, in minor units", minimum=0),
        CURRENCY,
        Column("ordered_at", "timestamp", "when the order was placed"),
    ),
)

RETURNS = Feed(
    name="returns",
    doc="One row per return or refund.",
    switches_on="net turnover and value, and the reason product quality",
    key=("return_id",),
    event_time="returned_at",
    columns=(
        Column("return_id", "text", "the return's id at the source"),
        CUSTOMER_ID,
        OF_ORDER,
        OF_PRODUCT,
        Column("quantity", "integer", "items sent back", is_required=False, minimum=0),
        Column("amount_cents", "cents", "paid back, in minor units, not negative", minimum=0),
        CURRENCY,
        Column("reason", "text", "why", is_required=False, allowed=REASONS),
        Column("returned_at", "timestamp", "when it was accepted"),
    ),
)

DELIVERIES = Feed(
    name="deliveries",
    doc="One row per delivery.",
    switches_on="the reason delivery, and warnings after late or failed deliveries",
    key=("delivery_id",),
    event_time="shipped_at",
    columns=(
        Column("delivery_id", "text", "the delivery's id at the source"),
        CUSTOMER_ID,
        OF_ORDER,
        Column("shipped_at", "timestamp", "when it left"),
        Column("promised_at", "timestamp", "when it was to arrive", is_required=False),
        Column("delivered_at", "timestamp", "when it arrived", is_required=False),
        Column("failed_at", "timestamp", "when it was given up or lost", is_required=False),
    ),
)

PAYMENTS = Feed(
    name="payments",
    doc="One row per invoice and its payment.",
    switches_on="leaving out customers who do not pay",
    key=("payment_id",),
    event_time="invoiced_at",
    may_forbid=True,
    columns=(
        Column("payment_id", "text", "the payment's or invoice's id at the source"),
        CUSTOMER_ID,
        OF_ORDER,
        Column("amount_cents", "cents", "invoiced, in minor units", minimum=0),
        CURRENCY,
        Column("invoiced_at", "timestamp", "when it was invoiced"),
        Column("due_at", "timestamp", "when it is to be paid", is_required=False),
        Column("paid_at", "timestamp", "when it was paid", is_required=False),
        Column("n_reminders", "integer", "reminders sent", is_required=False, minimum=0),
        Column("is_disputed", "boolean", "contested or charged back now", is_required=False),
    ),
)

CARTS = Feed(
    name="carts",
    doc="One row per cart, as it stands now.",
    switches_on="the answer to an abandoned cart, and the abandonment rate",
    key=("cart_id",),
    event_time="created_at",
    columns=(
        Column("cart_id", "text", "the cart's id at the source"),
        CUSTOMER_ID,
        Column("created_at", "timestamp", "when the first item was put in"),
        Column("updated_at", "timestamp", "when it was last changed", is_required=False),
        Column("checkout_at", "timestamp", "when checkout was entered", is_required=False),
        Column("ordered_at", "timestamp", "when it became an order", is_required=False),
        OF_ORDER,
        Column("amount_cents", "cents", "value in minor units", minimum=0),
        CURRENCY,
    ),
)

CONTRACTS = Feed(
    name="contracts",
    doc="One row per contract or subscription, with its cancellation.",
    switches_on="the state cancelled, notice periods, the end of a contract as a lapse, and"
    " turnover and value of who has a contract and never bought",
    key=("contract_id",),
    event_time="started_at",
    columns=(
        Column("contract_id", "text", "the contract's id at the source"),
        CUSTOMER_ID,
        OF_PRODUCT,
        Column("started_at", "timestamp", "when it began"),
        Column("ends_at", "timestamp", "when it ends", is_required=False),
        Column("cancelled_at", "timestamp", "when it was cancelled", is_required=False),
        Column("cancellation_reason", "text", "why, as stated", is_required=False, allowed=REASONS),
        Column("revoked_at", "timestamp", "when the cancellation was revoked", is_required=False),
        Column("amount_cents", "cents", "a month, in minor units", is_required=False, minimum=0),
        _OPTIONAL_CURRENCY,
    ),
)
