"""What a Shopify shop offers as tables: their columns, and where each stands in Shopify's answers.

Pure: what is asked for, and the rows of an answer, follow from the same declarations. Asking is
`shopify_client.py`, paging `shopify_source.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

# of the items below an order in one answer
ITEMS = 20


@dataclass(frozen=True)
class Resource:
    """One table of a shop.

    Attributes:
        root: What Shopify calls it.
        columns: The columns with their types and paths, such as `customer.legacyResourceId`.
        page_rows: How many are asked for at once; Shopify limits what one answer may cost.
        items: What is below each of them where that makes the rows, such as `lineItems`.
        items_are: A `list` comes whole; `pages` are gone through.
        item_columns: As `columns`, of the items.
        is_of_customers: Orders of guests are left out.
    """

    root: str
    columns: Mapping[str, tuple[str, str]]
    page_rows: int = 50
    items: str | None = None
    items_are: Literal["list", "pages"] = "list"
    item_columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    is_of_customers: bool = False

    @property
    def types(self) -> dict[str, str]:
        """All columns with their types."""
        found = {name: kind for name, (kind, _) in {**self.columns, **self.item_columns}.items()}
        return found | ({"line_number": "integer"} if self.items else {})


_TEXT, _TIME, _AMOUNT, _WHOLE, _TRUTH = "text", "timestamp", "numeric", "integer", "boolean"
_ORDER = {
    "order_id": (_TEXT, "legacyResourceId"),
    "order_name": (_TEXT, "name"),
    "customer_id": (_TEXT, "customer.legacyResourceId"),
    "created_at": (_TIME, "createdAt"),
    "processed_at": (_TIME, "processedAt"),
    "updated_at": (_TIME, "updatedAt"),
    "cancelled_at": (_TIME, "cancelledAt"),
    "is_test": (_TRUTH, "test"),
}
_ORDERS = Resource(
    root="orders",
    columns=_ORDER
    | {
        "email": (_TEXT, "email"),
        "total_price": (_AMOUNT, "totalPriceSet.shopMoney.amount"),
        "current_total_price": (_AMOUNT, "currentTotalPriceSet.shopMoney.amount"),
        "currency": (_TEXT, "totalPriceSet.shopMoney.currencyCode"),
        "quantity": (_WHOLE, "subtotalLineItemsQuantity"),
        "financial_status": (_TEXT, "displayFinancialStatus"),
        "source_name": (_TEXT, "sourceName"),
        "discount_code": (_TEXT, "discountCode"),
    },
)
_ORDER_LINES = Resource(
    root="orders",
    columns=_ORDER,
    page_rows=10,
    items="lineItems",
    items_are="pages",
    item_columns={
        "line_id": (_TEXT, "id"),
        "product_id": (_TEXT, "product.legacyResourceId"),
        "sku": (_TEXT, "sku"),
        "title": (_TEXT, "title"),
        "quantity": (_WHOLE, "quantity"),
        "current_quantity": (_WHOLE, "currentQuantity"),
        "amount": (_AMOUNT, "discountedTotalSet(withCodeDiscounts: true).shopMoney.amount"),
        "currency": (
            _TEXT,
            "discountedTotalSet(withCodeDiscounts: true).shopMoney.currencyCode",
        ),
    },
)
_REFUNDS = Resource(
    root="orders",
    columns=_ORDER,
    page_rows=20,
    items="refunds",
    item_columns={
        "refund_id": (_TEXT, "legacyResourceId"),
        "refunded_at": (_TIME, "createdAt"),
        "amount": (_AMOUNT, "totalRefundedSet.shopMoney.amount"),
        "currency": (_TEXT, "totalRefundedSet.shopMoney.currencyCode"),
    },
)
RESOURCES: Mapping[str, Resource] = {
    "orders": _ORDERS,
    "order_lines": _ORDER_LINES,
    "refunds": _REFUNDS,
    "customer_orders": replace(_ORDERS, is_of_customers=True),
    "customer_order_lines": replace(_ORDER_LINES, is_of_customers=True),
    "customer_refunds": replace(_REFUNDS, is_of_customers=True),
    "customers": Resource(
        root="customers",
        columns={
            "customer_id": (_TEXT, "legacyResourceId"),
            "email": (_TEXT, "defaultEmailAddress.emailAddress"),
            "email_marketing_state": (_TEXT, "defaultEmailAddress.marketingState"),
            "email_marketing_opt_in_level": (_TEXT, "defaultEmailAddress.marketingOptInLevel"),
            "email_marketing_updated_at": (_TIME, "defaultEmailAddress.marketingUpdatedAt"),
            "first_name": (_TEXT, "firstName"),
            "last_name": (_TEXT, "lastName"),
            "phone": (_TEXT, "defaultPhoneNumber.phoneNumber"),
            "company": (_TEXT, "defaultAddress.company"),
            "address1": (_TEXT, "defaultAddress.address1"),
            "postal_code": (_TEXT, "defaultAddress.zip"),
            "city": (_TEXT, "defaultAddress.city"),
            "country": (_TEXT, "defaultAddress.countryCodeV2"),
            "locale": (_TEXT, "locale"),
            "created_at": (_TIME, "createdAt"),
            "updated_at": (_TIME, "updatedAt"),
        },
    ),
    "products": Resource(
        root="products",
        columns={
            "product_id": (_TEXT, "legacyResourceId"),
            "title": (_TEXT, "title"),
            "product_type": (_TEXT, "productType"),
            "vendor": (_TEXT, "vendor"),
            "status": (_TEXT, "status"),
            "price": (_AMOUNT, "priceRangeV2.minVariantPrice.amount"),
            "currency": (_TEXT, "priceRangeV2.minVariantPrice.currencyCode"),
            "created_at": (_TIME, "createdAt"),
            "published_at": (_TIME, "publishedAt"),
            "updated_at": (_TIME, "updatedAt"),
        },
    ),
}


def page_statement(resource: Resource) -> str:
    """The GraphQL statement for a page, with the variables first, after and query.

    By id, which never changes: sorted by the time of the last change, what is changed meanwhile
    would come a second time.
    """
    selected = _selection(path for _, path in resource.columns.values())
    if resource.items_are == "pages":
        selected += f" {_items_page(resource)}"
    elif resource.items:
        selected += f" {resource.items} {{ {_selection_of_items(resource)} }}"
    return (
        "query($first: Int!, $after: String, $query: String) { "
        f"{resource.root}(first: $first, after: $after, query: $query, sortKey: ID) "
        f"{{ nodes {{ id {selected} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    )


def items_statement(resource: Resource) -> str:
    """The statement for further items of one order, with the variables id and after."""
    return (
        "query($id: ID!, $after: String) { "
        f"order(id: $id) {{ {_items_page(resource, after=', after: $after')} }} }}"
    )


def rows(
    resource: Resource, node: Mapping[str, Any], items: list[Mapping[str, Any]]
) -> list[dict[str, str | None]]:
    """The rows that one node of an answer makes, every value as text.

    Args:
        resource: What was asked for.
        node: Of the answer.
        items: All items below it; none where they make no rows.
    """
    own = {name: _value(node, path) for name, (_, path) in resource.columns.items()}
    if resource.items is None:
        return [own]
    return [
        own
        | {name: _value(item, path) for name, (_, path) in resource.item_columns.items()}
        | {"line_number": str(number)}
        for number, item in enumerate(items, start=1)
    ]


def _items_page(resource: Resource, after: str = "") -> str:
    return (
        f"{resource.items}(first: {ITEMS}{after}) {{ nodes {{ {_selection_of_items(resource)} }} "
        "pageInfo { hasNextPage endCursor } }"
    )


def _selection_of_items(resource: Resource) -> str:
    return _selection(path for _, path in resource.item_columns.values())


def _selection(paths: Iterator[str]) -> str:
    tree: dict[str, Any] = {}
    for path in paths:
        place = tree
        for step in path.split("."):
            place = place.setdefault(step, {})
    return _written(tree)


def _written(tree: Mapping[str, Any]) -> str:
    return " ".join(
        f"{step} {{ {_written(below)} }}" if below else step for step, below in tree.items()
    )


def _value(node: Mapping[str, Any], path: str) -> str | None:
    value: Any = node
    for step in path.split("."):
        if value is None:
            return None
        value = value[step.partition("(")[0]]
    if isinstance(value, bool):
        return str(value).lower()
    # an id without a number of its own: gid://shopify/LineItem/123
    return None if value is None else str(value).removeprefix("gid://shopify/LineItem/")
