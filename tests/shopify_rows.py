"""What a shop of Shopify holds, as its Admin API answers: made-up orders, customers, a product."""

from __future__ import annotations

from typing import Any


def money(amount: str) -> dict[str, Any]:
    return {"shopMoney": {"amount": amount, "currencyCode": "EUR"}}


def order(number: int, customer: int | None, n_lines: int = 2) -> dict[str, Any]:
    day = 1 + number % 28
    return {
        "id": f"gid://shopify/Order/{number}",
        "legacyResourceId": str(number),
        "name": f"#{number}",
        "email": f"customer-{customer}@example.com",
        "customer": None if customer is None else {"legacyResourceId": str(customer)},
        "createdAt": f"2024-01-{day:02}T10:00:00Z",
        "processedAt": f"2024-01-{day:02}T10:00:00Z",
        "updatedAt": f"2024-02-{day:02}T10:00:00Z",
        "cancelledAt": None,
        "test": False,
        "totalPriceSet": money("12.50"),
        "currentTotalPriceSet": money("10.0"),
        "subtotalLineItemsQuantity": n_lines,
        "displayFinancialStatus": "PAID",
        "sourceName": "web",
        "discountCode": None,
        "refunds": [
            {
                "legacyResourceId": str(900_000 + number),
                "createdAt": "2024-02-20T10:00:00Z",
                "totalRefundedSet": money("2.50"),
            }
        ]
        if number % 2
        else [],
        "lineItems": [
            {
                "id": f"gid://shopify/LineItem/{number * 1000 + i}",
                "product": None if i == 1 else {"legacyResourceId": "7"},
                "sku": f"SKU-{i}",
                "title": "Tea",
                "quantity": 1,
                "currentQuantity": 1,
                "discountedTotalSet": money("6.25"),
            }
            for i in range(n_lines)
        ],
    }


def customer(number: int) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/Customer/{number}",
        "legacyResourceId": str(number),
        "defaultEmailAddress": {
            "emailAddress": f"customer-{number}@example.com",
            "marketingState": "SUBSCRIBED" if number % 2 else "NOT_SUBSCRIBED",
            "marketingOptInLevel": "CONFIRMED_OPT_IN",
            "marketingUpdatedAt": "2024-01-01T09:00:00Z",
        },
        "firstName": "Ada",
        "lastName": "Example",
        "defaultPhoneNumber": None,
        "defaultAddress": {
            "company": None,
            "address1": "Long Street 1",
            "zip": "12345",
            "city": "Berlin",
            "countryCodeV2": "DE",
        },
        "locale": "de",
        "createdAt": "2024-01-01T09:00:00Z",
        "updatedAt": "2024-01-01T09:00:00Z",
    }


PRODUCT = {
    "id": "gid://shopify/Product/7",
    "legacyResourceId": "7",
    "title": "Tea",
    "productType": "Drinks",
    "vendor": "Leaf",
    "status": "ACTIVE",
    "priceRangeV2": {"minVariantPrice": {"amount": "6.25", "currencyCode": "EUR"}},
    "createdAt": "2023-01-01T09:00:00Z",
    "publishedAt": "2023-01-02T09:00:00Z",
    "updatedAt": "2024-01-01T09:00:00Z",
}
