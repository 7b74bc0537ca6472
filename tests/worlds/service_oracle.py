"""The best that is known to be possible in the service world, from its feeds alone.

Rules are learnt from other draws of the same world whose truth is open: naive Bayes for reasons,
whose traces are drawn independently of each other, and a logistic regression for warnings. Who is
lapsed is said by `oracle.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tests.worlds.judge import WARNED_DAYS, is_found
from tests.worlds.truth import NEVER, Call, Customer, Days, Rows, World, instant

Features = npt.NDArray[np.float64]
# seeds of the worlds that rules are learnt from; the risks from which there is one sign, and two
LEARNT_FROM = (101, 102)
RISKS = (0.18, 0.3)
TOLD = ("price", "product_quality", "service_quality", "delivery", "assortment", "contact_person")
STATED = (*TOLD, "competitor", "moved", "household")
EXCUSES = ("moved", "household")


class Records:
    """The rows of a world's feeds by customer, with times as days."""

    def __init__(self, world: World) -> None:
        """Sorts the rows once."""
        self.rows: dict[str, dict[str, Rows]] = {}
        owner = {row["order_id"]: row["customer_id"] for row in world.tables["orders"]}
        for feed, rows in world.tables.items():
            by_customer: dict[str, Rows] = defaultdict(list)
            for row in rows:
                by_customer[row.get("customer_id") or owner.get(row.get("order_id"), "")].append(
                    row
                )
            self.rows[feed] = by_customer
        self.ended = {
            row["product_id"]: _day(row["discontinued_at"])
            for row in world.tables["products"]
            if row["discontinued_at"]
        }

    def of(self, feed: str, customer: Customer) -> Rows:
        """The rows of one customer."""
        return self.rows[feed].get(customer.customer_id, [])

    def any_since(
        self, feed: str, customer: Customer, when: str, since: float, **values: object
    ) -> bool:
        """Whether there is a row since a day with these values."""
        begin = instant(since)
        return any(
            row[when] is not None
            and row[when] >= begin
            and all(row[name] == value for name, value in values.items())
            for row in self.of(feed, customer)
        )

    def n_since(self, feed: str, customer: Customer, when: str, since: float) -> int:
        """How many rows there are since a day."""
        begin = instant(since)
        return sum(row[when] >= begin for row in self.of(feed, customer))

    def late(self, customer: Customer) -> int:
        """How many of the last three deliveries came late or never."""
        return sum(
            row["failed_at"] is not None or (row["delivered_at"] or instant(0)) > row["promised_at"]
            for row in self.of("deliveries", customer)[-3:]
        )

    def prices(self, customer: Customer) -> tuple[bool, bool]:
        """Whether a price rose within the last four orders; whether the favourite just ended."""
        lines = [row for row in self.of("order_lines", customer) if row["line_number"] == 1]
        bought = [row["product_id"] for row in lines]
        paid = [
            row["amount_cents"] / row["quantity"]
            for row in lines
            if row["product_id"] == bought[-1]
        ][-4:]
        rose = any(later > 1.1 * earlier for earlier, later in pairwise(paid))
        [(favourite, _)] = Counter(bought[-8:]).most_common(1)
        # what ended long after they had left is no reason
        ended = self.ended.get(favourite, -NEVER) - float(customer.purchases[-1])
        return rose, -60 < ended < 45


def _day(text: str) -> float:
    return (datetime.fromisoformat(text) - datetime.fromisoformat(instant(0))).total_seconds() / (
        86_400
    )


def traces(records: Records, customer: Customer) -> list[bool]:
    """What may tell a reason, as yes or no, around the last purchase and since."""
    since = float(customer.purchases[-1]) - 60
    rose, ended = records.prices(customer)
    late = records.late(customer)
    asked: list[tuple[str, str, str, Iterable[str]]] = [
        ("complaints", "opened_at", "reason", TOLD),
        ("contacts", "contacted_at", "reason", STATED),
        ("survey_answers", "answered_at", "reason", STATED),
        ("contracts", "cancelled_at", "cancellation_reason", STATED),
        ("returns", "returned_at", "reason", ("product_quality",)),
    ]
    return [
        *(
            records.any_since(feed, customer, when, since, **{column: reason})
            for feed, when, column, listed in asked
            for reason in listed
        ),
        any(records.any_since("reviews", customer, "reviewed_at", since, rating=n) for n in (1, 2)),
        late >= 1,
        late >= 2,
        rose,
        ended,
    ]


def signs(records: Records, customer: Customer) -> list[float]:
    """What may tell that leaving begins, as numbers about the last weeks against earlier ones."""
    days, mean = customer.purchases, _usual_gap(customer)
    gaps = np.diff(days) if len(days) > 1 else np.array([mean])
    amounts = customer.amounts.astype(float)
    usage = [float(row["amount"]) for row in records.of("usage", customer)]
    rose, ended = records.prices(customer)
    life = max(60.0, -float(days[0]))
    visits = records.n_since("visits", customer, "visited_at", -60.0)
    visit_rate = len(records.of("visits", customer)) / life * 60 + 1
    answers = [r for r in records.of("survey_answers", customer) if r["question"] == "nps"]
    is_low = bool(answers) and answers[-1]["score"] <= 5 and _day(answers[-1]["answered_at"]) > -120
    return [
        1.0,
        min(customer.silence / mean, 4.0),
        min(float(np.mean(gaps[-2:])) / mean, 4.0),
        min(float(np.mean(amounts[-2:]) / np.median(amounts)), 3.0),
        min(visits / visit_rate, 3.0),
        min(float(np.mean(usage[-5:])) / (float(np.mean(usage)) + 0.5), 2.0) if usage else 1.0,
        float(records.any_since("appointments", customer, "cancelled_at", -75.0)),
        min(records.n_since("carts", customer, "created_at", -75.0), 3),
        float(is_low),
        float(records.any_since("complaints", customer, "opened_at", -60.0)),
        float(records.any_since("complaints", customer, "opened_at", -60.0, resolved_at=None)),
        float(records.late(customer)),
        float(rose),
        float(ended),
        *(
            float(records.any_since("contacts", customer, "contacted_at", -45.0, reason=r))
            for r in STATED
        ),
        float(records.any_since("contracts", customer, "cancelled_at", -45.0, revoked_at=None)),
    ]


def _usual_gap(customer: Customer) -> float:
    # three gaps of everybody's count beside the own ones
    gaps = np.diff(customer.purchases)
    return float((np.sum(gaps) + 3 * 35.0) / (len(gaps) + 3))


class Reader:
    """Rules learnt from worlds whose truth is open."""

    def __init__(self, worlds: Iterable[World]) -> None:
        """Learns which traces belong to which reason, and which signs to leaving."""
        seen, true_reasons, weighed, leaves = [], [], [], []
        for world in worlds:
            records = Records(world)
            for each in world.customers:
                if each.fate == "lost":
                    seen.append(traces(records, each))
                    true_reasons.append(each.reason or "unknown")
                elif each.fate == "alive":
                    weighed.append(signs(records, each))
                    leaves.append(each.left <= WARNED_DAYS)
        self._reasons = sorted(set(true_reasons))
        is_of = np.array([[r == each for r in self._reasons] for each in true_reasons], dtype=float)
        n_of = is_of.sum(axis=0)
        # half a customer of each kind, so that nothing is impossible
        chance = (np.array(seen, dtype=float).T @ is_of + 0.5) / (n_of + 1)
        self._prior = np.log(n_of / n_of.sum())
        self._yes, self._no = np.log(chance), np.log(1 - chance)
        self._weights = _logistic(np.array(weighed), np.array(leaves, dtype=float))

    def reason(self, seen: list[bool]) -> str:
        """The most likely reason."""
        yes = np.array(seen, dtype=float)
        return self._reasons[int(np.argmax(self._prior + yes @ self._yes + (1 - yes) @ self._no))]

    def risk(self, weighed: list[float]) -> float:
        """The chance to leave within the span of a warning."""
        return float(1 / (1 + np.exp(-np.array(weighed) @ self._weights)))


def _logistic(features: Features, outcome: Days) -> Days:
    """Newton's method with a small penalty."""
    weights = np.zeros(features.shape[1])
    for _ in range(25):
        chance = 1 / (1 + np.exp(-features @ weights))
        slope = features.T @ (outcome - chance) - 0.5 * weights
        curve = (features * (chance * (1 - chance))[:, None]).T @ features
        weights += np.linalg.solve(curve + 0.5 * np.eye(len(weights)), slope)
    return weights


def complete(
    world: World,
    by_purchases: dict[str, Call],
    reader: Reader,
    risks: tuple[float, float] = RISKS,
) -> dict[str, Call]:
    """Adds to what purchases say what the other feeds do.

    Args:
        world: The world.
        by_purchases: What `oracle.py` says.
        reader: Learnt from other seeds.
        risks: The risk from which a customer has one sign, and two.
    """
    records = Records(world)
    said = {}
    for each in world.customers:
        call = _excused(records, each, by_purchases[each.customer_id])
        if is_found(call):
            call = replace(call, reason=reader.reason(traces(records, each)))
        else:
            risk = reader.risk(signs(records, each))
            call = replace(call, n_signs=sum(risk >= limit for limit in risks))
        said[each.customer_id] = call
    return said


def _excused(records: Records, customer: Customer, call: Call) -> Call:
    last = float(customer.purchases[-1])
    if records.any_since("contracts", customer, "cancelled_at", last - 10, revoked_at=None):
        return replace(call, state="cancelled")
    if not call.is_lapsed:
        return call
    told = [
        row for row in records.of("contacts", customer) if row["contacted_at"] > instant(last - 40)
    ]
    if any(row["absent_until"] and _day(row["absent_until"]) > 0 for row in told):
        return replace(call, is_lapsed=False, not_lapsed_because="absent")
    for excuse in EXCUSES:
        if any(row["reason"] == excuse for row in told):
            return replace(call, is_lapsed=False, not_lapsed_because=excuse)
    return call
