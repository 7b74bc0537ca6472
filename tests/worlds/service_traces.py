"""What a reason for leaving leaves behind in the company's records, with realistic gaps and noise.

Each trace comes with a chance of its own; many who leave say nothing, some say something else, and
what has not happened by the as-of date is not known. What happens to everybody is written by
`service_daily.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.worlds.purchases import order_id
from tests.worlds.truth import Customer, Rows, instant

if TYPE_CHECKING:
    from tests.worlds.service_world import Story

# the chance that who leaves for a reason …
COMPLAINS = {
    "price": 0.30,
    "product_quality": 0.50,
    "service_quality": 0.60,
    "delivery": 0.45,
    "assortment": 0.20,
    "contact_person": 0.45,
}
TELLS_STAFF = {
    "price": 0.25,
    "product_quality": 0.15,
    "service_quality": 0.15,
    "delivery": 0.15,
    "assortment": 0.25,
    "contact_person": 0.35,
    "moved": 0.65,
    "household": 0.60,
    "competitor": 0.30,
}
RATES_BADLY = {
    "price": 0.10,
    "product_quality": 0.40,
    "service_quality": 0.25,
    "delivery": 0.25,
    "contact_person": 0.10,
}
SENDS_BACK = {"product_quality": 0.55}
ANSWERS_SURVEY = 0.15
CANCELS, SAYS_WHY = 0.8, 0.5
# others name the price, which nobody asks about
IS_HONEST = 0.85
STAYS_OPEN = 0.5
TROUBLED_DELIVERIES, TROUBLE = 3, 0.7


def record(
    rng: np.random.Generator, story: Story, customer: Customer, tables: dict[str, Rows]
) -> set[str]:
    """Writes the traces of a customer's leaving, after everything else about the customer.

    Returns:
        The kinds of those that tell the reason, and `cancelled` when a contract was.
    """
    told: set[str] = set()
    reason, left = story.reason, story.left
    if story.told_until is not None and story.away is not None:
        when = max(story.away[0] - float(rng.uniform(1, 14)), story.joined)
        contact(story, when, "abroad", tables, absent_until=instant(story.told_until))
    told |= _contract(rng, story, tables)
    if reason is None:
        return told
    if rng.random() < COMPLAINS.get(reason, 0):
        when = max(left - float(rng.uniform(2, 40)), story.joined + 1)
        is_open = rng.random() < STAYS_OPEN
        resolved = None if is_open else when + float(rng.uniform(2, 20))
        if complain(customer, reason, when, resolved, tables):
            told.add("complaint")
    when = left + float(rng.uniform(-15, 25))
    if rng.random() < TELLS_STAFF.get(reason, 0) and contact(story, when, reason, tables):
        told.add("contact")
    if rng.random() < RATES_BADLY.get(reason, 0):
        rate(customer, int(rng.integers(1, 3)), left - float(rng.uniform(1, 20)), tables)
    is_near = float(customer.purchases[-1]) > left - 3 * story.mean_gap
    if rng.random() < SENDS_BACK.get(reason, 0) and is_near:
        after = float(rng.uniform(4, 14))
        if send_back(customer, len(customer.purchases) - 1, reason, after, tables):
            told.add("return")
    if rng.random() < ANSWERS_SURVEY:
        stated = reason if rng.random() < IS_HONEST else "price"
        if answer(customer, "reason", None, left + float(rng.uniform(5, 60)), tables, stated):
            told |= {"survey"} if stated == reason else set()
    return told | _in_orders(rng, story, customer, tables)


def _in_orders(
    rng: np.random.Generator, story: Story, customer: Customer, tables: dict[str, Rows]
) -> set[str]:
    """Traces of those reasons that orders and deliveries tell; nothing while all that is ahead."""
    last = float(customer.purchases[-1])
    favourite = story.favourites[0]
    if story.reason == "price":
        rises = [day for day, _ in favourite.rises if story.left - 4 * story.mean_gap < day < last]
        return {"price"} if rises else set()
    if story.reason == "assortment":
        return {"assortment"} if favourite.discontinued < 0 else set()
    if story.reason != "delivery" or story.left >= story.mean_gap:
        return set()
    ids = [
        order_id(customer, n)
        for n, day in enumerate(customer.purchases)
        if day > story.left - 2.5 * story.mean_gap
    ][-TROUBLED_DELIVERIES:]
    troubled = set()
    # the last rows are this customer's, one per order
    for row in tables["deliveries"][-len(customer.purchases) :]:
        if row["order_id"] in ids and rng.random() < TROUBLE:
            day = float(customer.purchases[int(row["order_id"].rsplit("-")[1])])
            make_late(rng, row, day)
            troubled.add("delivery")
    return troubled


def make_late(rng: np.random.Generator, row: dict[str, str | None], day: float) -> None:
    """Turns the delivery of an order of that day into a late one, or one that never arrived."""
    row["delivered_at"] = None
    arrives = day + 4 + float(rng.uniform(4, 16))
    if rng.random() < 0.25:
        failed = day + float(rng.uniform(5, 12))
        row["failed_at"] = instant(failed) if failed < 0 else None
    elif arrives < 0:
        row["delivered_at"] = instant(arrives)


def _contract(rng: np.random.Generator, story: Story, tables: dict[str, Rows]) -> set[str]:
    if not story.has_contract:
        return set()
    row: dict[str, str | int | None] = {
        "contract_id": f"contract-{story.customer_id}",
        "customer_id": story.customer_id,
        "started_at": instant(story.joined),
        "cancelled_at": None,
        "cancellation_reason": None,
        "revoked_at": None,
        "amount_cents": int(rng.integers(5, 40)) * 100,
        "currency": "EUR",
    }
    tables.setdefault("contracts", []).append(row)
    cancelled = max(story.left + float(rng.uniform(-5, 10)), story.joined + 1)
    if cancelled < 0 and rng.random() < CANCELS:
        row["cancelled_at"] = instant(cancelled)
        if story.reason and rng.random() < SAYS_WHY:
            is_honest = rng.random() < IS_HONEST
            row["cancellation_reason"] = story.reason if is_honest else "price"
            return {"cancelled", "cancellation"} if is_honest else {"cancelled"}
        return {"cancelled"}
    elif story.left > 0 and rng.random() < 0.05:
        # thought better of it
        when = float(rng.uniform(story.joined, 0))
        row["cancelled_at"] = instant(when)
        row["revoked_at"] = instant(min(when + float(rng.uniform(2, 20)), -0.01))
    return set()


def complain(
    customer: Customer, reason: str, when: float, resolved: float | None, tables: dict[str, Rows]
) -> bool:
    """Writes a complaint about the last order before it; false when it lies ahead."""
    n = int(np.searchsorted(customer.purchases, when)) - 1
    if when >= 0 or n < 0:
        return False
    rows = tables.setdefault("complaints", [])
    rows.append(
        {
            "complaint_id": f"complaint-{len(rows)}",
            "customer_id": customer.customer_id,
            "order_id": order_id(customer, n),
            "reason": reason,
            "opened_at": instant(when),
            "resolved_at": instant(resolved) if resolved is not None and resolved < 0 else None,
        }
    )
    return True


def rate(customer: Customer, rating: int, when: float, tables: dict[str, Rows]) -> None:
    """Writes a review, unless it lies ahead."""
    n = int(np.searchsorted(customer.purchases, when)) - 1
    if when >= 0 or n < 0:
        return
    rows = tables.setdefault("reviews", [])
    rows.append(
        {
            "review_id": f"review-{len(rows)}",
            "customer_id": customer.customer_id,
            "order_id": order_id(customer, n),
            "rating": rating,
            "reviewed_at": instant(when),
        }
    )


def send_back(
    customer: Customer, n: int, reason: str | None, after: float, tables: dict[str, Rows]
) -> bool:
    """Writes the return of an order; false when it lies ahead."""
    when = float(customer.purchases[n]) + after
    if when >= 0:
        return False
    rows = tables.setdefault("returns", [])
    rows.append(
        {
            "return_id": f"return-{len(rows)}",
            "customer_id": customer.customer_id,
            "order_id": order_id(customer, n),
            "quantity": 1,
            "amount_cents": int(customer.amounts[n]) // int(customer.quantities[n]),
            "currency": "EUR",
            "reason": reason,
            "returned_at": instant(when),
        }
    )
    return True


def answer(
    customer: Customer,
    question: str,
    score: int | None,
    when: float,
    tables: dict[str, Rows],
    reason: str | None = None,
) -> bool:
    """Writes an answer to a survey; false when it lies ahead."""
    if when >= 0:
        return False
    rows = tables.setdefault("survey_answers", [])
    rows.append(
        {
            "answer_id": f"answer-{len(rows)}",
            "customer_id": customer.customer_id,
            "survey": "leaving" if question == "reason" else "satisfaction",
            "question": question,
            "score": score,
            "reason": reason,
            "answered_at": instant(when),
        }
    )
    return True


def contact(
    story: Story,
    when: float,
    reason: str | None,
    tables: dict[str, Rows],
    absent_until: str | None = None,
) -> bool:
    if when >= 0:
        return False
    rows = tables.setdefault("contacts", [])
    rows.append(
        {
            "contact_id": f"contact-{len(rows)}",
            "customer_id": story.customer_id,
            "channel": "phone",
            "direction": "inbound",
            "outcome": "noted",
            "reason": reason,
            "absent_until": absent_until,
            "contacted_at": instant(when),
        }
    )
    return True
