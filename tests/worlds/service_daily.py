"""What happens to every customer of the world `service_world`, and how leaving begins to show.

Contented people complain now and then, send things back, get a late parcel, cancel an appointment:
noise that a reader of reasons and warnings has to bear. Who fades orders less, visits less, leaves
carts behind; reasons have traces of their own in `service_traces.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.worlds import service_traces
from tests.worlds.purchases import order_id
from tests.worlds.service_catalogue import Product, offered
from tests.worlds.truth import Customer, Rows, instant

if TYPE_CHECKING:
    from tests.worlds.service_world import Story

YEAR = 365.0
# how often a year something happens to a contented customer
COMPLAINTS, CARTS, STATED, NEWS = 0.15, 0.6, 0.04, 0.03
COMPLAINT_REASONS = ("product_quality", "service_quality", "delivery", "price")
STATED_REASONS = ("price", "assortment", "service_quality", "competitor")
# the share of orders that
IS_SENT_BACK, IS_LATE, IS_LOST, IS_RATED, HAS_SECOND_LINE = 0.04, 0.06, 0.005, 0.08, 0.4
RATINGS = (0.03, 0.04, 0.10, 0.33, 0.50)
VISITS_EVERY, APPOINTMENTS_EVERY, SURVEYS_EVERY = 18.0, 45.0, 150.0
WITH_APPOINTMENTS, WITH_SURVEYS = 0.35, 0.5
CANCELLED, CANCELLED_FADING = 0.06, 0.5
# while fading: of visits and use this share remains, baskets shrink, carts stay behind this often
REMAINING, SHRUNK, CARTS_FADING = 0.3, 0.5, 8.0


def record(
    rng: np.random.Generator,
    story: Story,
    customer: Customer,
    products: list[Product],
    tables: dict[str, Rows],
) -> None:
    """Writes what a customer's days leave in the feeds; sets what was bought."""
    _orders(rng, story, customer, products, tables)
    end = min(story.left, 0.0)
    years = (end - story.joined) / YEAR
    for when in _some_days(rng, story, COMPLAINTS * years):
        reason = COMPLAINT_REASONS[int(rng.integers(len(COMPLAINT_REASONS)))]
        resolved = when + float(rng.uniform(1, 12)) if rng.random() < 0.85 else None
        service_traces.complain(customer, reason, when, resolved, tables)
    for when in _some_days(rng, story, STATED * years):
        reason = STATED_REASONS[int(rng.integers(len(STATED_REASONS)))]
        service_traces.contact(story, when, reason, tables)
    for when in _some_days(rng, story, NEWS * years):
        # moved or married, told so, and went on buying
        if story.left - when > 4 * story.mean_gap:
            service_traces.contact(
                story, when, "moved" if rng.random() < 0.6 else "household", tables
            )
    _carts(rng, story, tables)
    _visits_and_use(rng, story, tables)
    _appointments(rng, story, tables)
    if rng.random() < WITH_SURVEYS:
        for when in _regular_days(rng, story, SURVEYS_EVERY):
            is_low = story.is_fading("scores", when) and rng.random() < 0.75
            score = int(rng.integers(0, 6)) if is_low else int(rng.integers(6, 11))
            service_traces.answer(customer, "nps", score, when, tables)


def _orders(
    rng: np.random.Generator,
    story: Story,
    customer: Customer,
    products: list[Product],
    tables: dict[str, Rows],
) -> None:
    usual = int(rng.integers(2, 7))
    quantities, amounts = [], []
    lines, deliveries = tables.setdefault("order_lines", []), tables.setdefault("deliveries", [])
    for n, day in enumerate(customer.purchases):
        faded = SHRUNK if story.is_fading("baskets", day) else 1.0
        bought = [_favourite(story, day)]
        if rng.random() < HAS_SECOND_LINE:
            choice = offered(products, day)
            bought.append(choice[int(rng.integers(len(choice)))])
        total_quantity = total = 0
        for position, product in enumerate(bought):
            usually = usual if position == 0 else 1
            quantity = max(1, round(usually * faded * float(rng.gamma(12, 1 / 12))))
            amount = quantity * product.price_cents(day)
            lines.append(
                {
                    "order_id": order_id(customer, n),
                    "line_number": position + 1,
                    "product_id": product.product_id,
                    "quantity": quantity,
                    "amount_cents": amount,
                    "currency": "EUR",
                    "ordered_at": instant(day),
                }
            )
            total_quantity += quantity
            total += amount
        quantities.append(total_quantity)
        amounts.append(total)
        deliveries.append(_delivery(rng, customer, n, float(day)))
    customer.quantities = np.array(quantities, dtype=np.int64)
    customer.amounts = np.array(amounts, dtype=np.int64)
    for n, day in enumerate(customer.purchases):
        if rng.random() < IS_SENT_BACK:
            reason = ("product_quality", "changed_needs", None)[int(rng.integers(3))]
            service_traces.send_back(customer, n, reason, float(rng.uniform(4, 14)), tables)
        if rng.random() < IS_RATED:
            rating = 1 + int(rng.choice(5, p=RATINGS))
            # before the next order, of which it would be one otherwise
            service_traces.rate(customer, rating, day + float(rng.uniform(0.1, 0.5)), tables)


def _favourite(story: Story, day: float) -> Product:
    return next(each for each in story.favourites if each.discontinued > day)


def _delivery(
    rng: np.random.Generator, customer: Customer, n: int, day: float
) -> dict[str, str | None]:
    shipped, arrived = day + 0.5 + rng.random(), day + 2 + 2 * rng.random()
    row = {
        "delivery_id": f"delivery-{order_id(customer, n)}",
        "customer_id": customer.customer_id,
        "order_id": order_id(customer, n),
        "shipped_at": instant(min(shipped, -0.001)),
        "promised_at": instant(day + 4),
        "delivered_at": instant(arrived) if arrived < 0 else None,
        "failed_at": None,
    }
    if rng.random() < IS_LATE + IS_LOST:
        service_traces.make_late(rng, row, day)
    return row


def _carts(rng: np.random.Generator, story: Story, tables: dict[str, Rows]) -> None:
    end = min(story.left, 0.0)
    days = _some_days(rng, story, CARTS * (end - story.joined) / YEAR)
    if "carts" in story.fades and story.fade_from < end:
        n = int(rng.poisson(CARTS_FADING * (end - story.fade_from) / YEAR))
        days += [float(day) for day in rng.uniform(story.fade_from, end, n)]
    rows = tables.setdefault("carts", [])
    for when in days:
        rows.append(
            {
                "cart_id": f"cart-{len(rows)}",
                "customer_id": story.customer_id,
                "created_at": instant(when),
                "updated_at": instant(min(when + 0.02, -0.001)),
                "checkout_at": instant(min(when + 0.02, -0.001)) if rng.random() < 0.5 else None,
                "ordered_at": None,
                "amount_cents": int(rng.integers(10, 150)) * 100,
                "currency": "EUR",
            }
        )


def _visits_and_use(rng: np.random.Generator, story: Story, tables: dict[str, Rows]) -> None:
    visits = tables.setdefault("visits", [])
    for when in _regular_days(rng, story, VISITS_EVERY):
        if not story.is_fading("visits", when) or rng.random() < REMAINING:
            visits.append(
                {
                    "visit_id": f"visit-{len(visits)}",
                    "customer_id": story.customer_id,
                    "visited_at": instant(when),
                    "reached": ("visit", "product", "cart")[int(rng.integers(3))],
                    "n_pages": int(rng.integers(1, 15)),
                }
            )
    if not story.has_contract:
        return
    usually = float(rng.uniform(5, 20))
    for day in np.arange(np.ceil(story.joined), min(story.left, 0.0), 7):
        if not story.is_away(day):
            rate = usually * (REMAINING if story.is_fading("usage", day) else 1.0)
            tables.setdefault("usage", []).append(
                {
                    "customer_id": story.customer_id,
                    "measure": "logins",
                    "used_at": instant(day),
                    "amount": int(rng.poisson(rate)),
                }
            )


def _appointments(rng: np.random.Generator, story: Story, tables: dict[str, Rows]) -> None:
    if rng.random() >= WITH_APPOINTMENTS:
        return
    rows = tables.setdefault("appointments", [])
    for when in _regular_days(rng, story, APPOINTMENTS_EVERY):
        chance = CANCELLED_FADING if story.is_fading("appointments", when) else CANCELLED
        is_cancelled, cancelled = rng.random() < chance, when + float(rng.uniform(2, 12))
        is_known = is_cancelled and cancelled < 0
        rows.append(
            {
                "appointment_id": f"appointment-{len(rows)}",
                "customer_id": story.customer_id,
                "booked_at": instant(when),
                "planned_for_at": instant(when + 14),
                "cancelled_at": instant(cancelled) if is_known else None,
                "cancelled_by": "customer" if is_known else None,
            }
        )


def _some_days(rng: np.random.Generator, story: Story, n_expected: float) -> list[float]:
    end = min(story.left, 0.0)
    days = rng.uniform(story.joined, end, int(rng.poisson(n_expected)))
    return [float(day) for day in np.sort(days) if not story.is_away(day)]


def _regular_days(rng: np.random.Generator, story: Story, every: float) -> list[float]:
    end = min(story.left, 0.0)
    n = int(2 * (end - story.joined) / every) + 8
    days = story.joined + np.cumsum(rng.gamma(2.0, every / 2, n))
    return [float(day) for day in days[days < end] if not story.is_away(day)]
