"""What the company of the world `service_world` offers: products, their prices, and their ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.worlds.truth import BEGIN, END, NEVER, Rows, instant

N_PRODUCTS, N_CATEGORIES = 48, 8
RISES = (1.15, 1.30)
SHARE_DISCONTINUED = 0.6


@dataclass(frozen=True)
class Product:
    """A product with its price over time.

    Attributes:
        product_id: Its id.
        category: What it belongs to.
        base_cents: The price at the beginning.
        rises: Days on which the price rose, and by which factor.
        discontinued: Since when it is not offered; NEVER when it stays.
    """

    product_id: str
    category: str
    base_cents: int
    rises: tuple[tuple[float, float], ...]
    discontinued: float

    def price_cents(self, day: float) -> int:
        """The price on a day."""
        factor = float(np.prod([by for when, by in self.rises if when <= day]))
        return round(self.base_cents * factor)


def catalogue(rng: np.random.Generator) -> list[Product]:
    """Draws the products."""
    products = []
    for n in range(N_PRODUCTS):
        days = np.sort(rng.uniform(BEGIN + 60, END, 3))
        rises = tuple((float(day), float(rng.uniform(*RISES))) for day in days)
        ends = rng.random() < SHARE_DISCONTINUED
        products.append(
            Product(
                f"p{n:02}",
                f"category {n % N_CATEGORIES}",
                int(rng.integers(400, 4000)),
                rises,
                float(rng.uniform(BEGIN + 150, END)) if ends else NEVER,
            )
        )
    return products


def offered(products: list[Product], day: float) -> list[Product]:
    """The products that can be bought on a day."""
    return [each for each in products if each.discontinued > day]


def products_feed(products: list[Product]) -> Rows:
    """The rows of the feed products, as known at the as-of date."""
    return [
        {
            "product_id": each.product_id,
            "name": f"Product {each.product_id}",
            "category": each.category,
            "price_cents": each.price_cents(0.0),
            "currency": "EUR",
            "listed_at": "2020-01-01",
            "discontinued_at": instant(each.discontinued) if each.discontinued < 0 else None,
        }
        for each in products
    ]
