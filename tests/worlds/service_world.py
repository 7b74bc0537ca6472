"""The world `service_world`: customers leave for reasons that leave traces; others are abroad.

Here stands who does what and why; what the company gets to see of it is written by
`service_traces.py` (what a reason leaves behind) and `service_daily.py` (what happens to everybody,
and how leaving begins).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tests.worlds import purchases, service_catalogue, service_daily, service_traces
from tests.worlds.service_catalogue import Product
from tests.worlds.truth import END, NEVER, ONE_TIME_DAYS, Customer, Days, Rows, World, fate_of

NAME = "service_world"
N_CUSTOMERS = 4000
MEDIAN_GAP, SIGMA_GAP, SHORTEST, LONGEST = 30.0, 0.5, 10.0, 80.0
SHAPES = (2.0, 4.0)
MEAN_LIFE = 600.0
ONE_TIME_SHARE = 0.06
# why people leave; None leaves nothing behind
REASONS: dict[str | None, float] = {
    "price": 0.15,
    "product_quality": 0.12,
    "service_quality": 0.10,
    "delivery": 0.12,
    "assortment": 0.10,
    "contact_person": 0.06,
    "moved": 0.07,
    "household": 0.05,
    "competitor": 0.08,
    None: 0.15,
}
EXTERNAL = ("moved", "household")
# signs that leaving begins: each with this chance in those who fade
ASPECTS = ("orders", "baskets", "visits", "usage", "appointments", "carts", "scores")
FADING = {"others": 0.75, "external": 0.15}
ASPECT_SHARE = 0.7
FADE_DAYS = (60.0, 150.0)
# gaps between orders while fading, in ordinary ones
FADED_GAPS = 2.0
AWAY_SHARES = {"now": 0.12, "once": 0.08}
TOLD_SHARE = 0.8


@dataclass
class Story:
    """What a customer does.

    Attributes:
        customer_id: The id at the source.
        joined, left: The first day and the last.
        mean_gap, shape: Of the gaps between orders.
        reason: Why they leave.
        fade_from: Since when leaving shows.
        fades: In what it shows.
        away: From when until when they are abroad; None for most.
        told_until: Until when they said they would be; None when they said nothing.
        favourites: What they mostly buy, in the order in which it is discontinued.
        has_contract: Whether they have one beside their orders.
    """

    customer_id: str
    joined: float
    left: float
    mean_gap: float
    shape: float
    reason: str | None
    favourites: list[Product]
    fade_from: float = NEVER
    fades: frozenset[str] = frozenset()
    away: tuple[float, float] | None = None
    told_until: float | None = None
    has_contract: bool = False

    def is_fading(self, aspect: str, day: float) -> bool:
        """Whether the sign shows on a day."""
        return aspect in self.fades and self.fade_from <= day <= self.left

    def is_away(self, day: float) -> bool:
        """Whether they are abroad."""
        return self.away is not None and self.away[0] <= day < self.away[1]


def make(seed: int) -> World:
    """Draws the world."""
    rng = purchases.generator(NAME, seed)
    products = service_catalogue.catalogue(rng)
    tables: dict[str, Rows] = {"products": service_catalogue.products_feed(products)}
    customers = []
    for n in range(N_CUSTOMERS):
        story, days = _story(rng, f"w{n:05}", products)
        customer = _customer(story, days)
        service_daily.record(rng, story, customer, products, tables)
        traces = service_traces.record(rng, story, customer, tables)
        _excuse(customer, story, traces)
        customers.append(customer)
    tables["customers"] = purchases.customers_feed(customers)
    tables["orders"] = purchases.orders_feed(customers)
    return World(NAME, seed, customers, tables)


def _story(
    rng: np.random.Generator, customer_id: str, products: list[Product]
) -> tuple[Story, Days]:
    joined = purchases.joining_day(rng)
    mean = purchases.truncated_lognormal(rng, MEDIAN_GAP, SIGMA_GAP, SHORTEST, LONGEST)
    shape = float(rng.uniform(*SHAPES))
    favourites = [products[n] for n in rng.permutation(len(products))]
    favourites = [each for each in favourites if each.discontinued > joined]
    if rng.random() < ONE_TIME_SHARE:
        story = Story(customer_id, joined, joined, mean, shape, None, favourites)
        return story, np.array([joined])
    left = joined + float(rng.exponential(MEAN_LIFE))
    names = list(REASONS)
    reason = names[int(rng.choice(len(names), p=list(REASONS.values())))]
    story = Story(customer_id, joined, left, mean, shape, reason, favourites)
    story.has_contract = bool(rng.random() < 0.25)
    _align(rng, story)
    chance = FADING["external" if story.reason in EXTERNAL else "others"]
    if rng.random() < chance:
        story.fade_from = max(joined, story.left - float(rng.uniform(*FADE_DAYS)))
        story.fades = frozenset(each for each in ASPECTS if rng.random() < ASPECT_SHARE)
    _go_away(rng, story)
    return story, _order_days(rng, story)


def _align(rng: np.random.Generator, story: Story) -> None:
    """Lets who leaves over prices or the range do so after a change of what they buy most."""
    if story.reason == "price":
        due = story.left - 1.5 * story.mean_gap
        changes = [
            (abs(day - due), day, product)
            for product in story.favourites
            for day, _ in product.rises
            if story.joined + story.mean_gap < day < product.discontinued - 3 * story.mean_gap
        ]
        span = (1.0 * story.mean_gap, 2.5 * story.mean_gap)
    elif story.reason == "assortment":
        changes = [
            (abs(product.discontinued - story.left), product.discontinued, product)
            for product in story.favourites
            if story.joined + 2 * story.mean_gap < product.discontinued < END
        ]
        span = (3.0, 1.2 * story.mean_gap)
    else:
        return
    if not changes:
        story.reason = None
        return
    _, day, product = min(changes, key=lambda change: change[0])
    story.left = day + float(rng.uniform(*span))
    story.favourites = [product, *(each for each in story.favourites if each is not product)]


def _go_away(rng: np.random.Generator, story: Story) -> None:
    drawn = rng.random()
    length = float(rng.uniform(90, 300))
    if drawn < AWAY_SHARES["now"]:
        begins = -float(rng.uniform(0.2, 0.9)) * length
    elif drawn < sum(AWAY_SHARES.values()):
        begins = float(rng.uniform(story.joined, 0)) - length
    else:
        return
    if story.joined + story.mean_gap < begins < min(story.left, story.fade_from):
        story.away = (begins, begins + length)
        if rng.random() < TOLD_SHARE:
            story.told_until = begins + length + float(rng.normal(0, 7))


def _order_days(rng: np.random.Generator, story: Story) -> Days:
    ordinary = purchases.gamma_gaps(rng, story.joined, story.mean_gap, story.shape) - story.joined
    # ordinary time stands still abroad, and runs slowly while orders become rarer
    days = story.joined + np.arange(END - story.joined + 1)
    pace = np.ones(len(days))
    if "orders" in story.fades:
        pace[(days >= story.fade_from) & (days <= story.left)] = 1 / FADED_GAPS
    if story.away is not None:
        # not quite still, so that every moment has its own
        pace[(days >= story.away[0]) & (days < story.away[1])] = 1e-9
    passed = np.concatenate([[0.0], np.cumsum(pace[:-1])])
    drawn = np.interp(ordinary, passed, days, right=NEVER)
    return np.asarray(drawn[drawn < END])


def _customer(story: Story, days: Days) -> Customer:
    bought, following = purchases.split(days, story.left)
    mean = story.mean_gap
    back = story.away[1] if story.away else story.left
    lost_from = max(story.left, back) + 3 * mean
    if len(bought) == 1:
        lost_from = max(lost_from, float(bought[0]) + ONE_TIME_DAYS)
    fate = fate_of(story.left, lost_from)
    if fate == "alive" and story.is_away(0) and story.told_until is None:
        fate = "undecided"
    customer = Customer(
        story.customer_id,
        "regular" if story.left > story.joined else "one_time",
        fate,
        story.left if story.left < END else NEVER,
        mean,
        story.shape,
        bought,
        following,
        sizes=np.ones(len(bought)),
        reason=story.reason,
    )
    if fate == "alive" and story.is_away(0) and (story.told_until or 0) > 0:
        is_silent = customer.silence > 2 * mean
        return replace(
            customer,
            labels=frozenset({"absent"}),
            silent_because="absent" if is_silent else None,
        )
    return customer


def _excuse(customer: Customer, story: Story, traces: set[str]) -> None:
    """Writes down what of the reason can be known, and whom it excuses."""
    customer.has_evidence = bool(traces - {"cancelled"})
    if customer.fate != "lost" or story.reason not in EXTERNAL or not traces:
        return
    if "contact" in traces and "cancelled" not in traces:
        customer.fate = "excused"
        customer.silent_because = story.reason
        customer.labels = frozenset({story.reason})
    else:
        # cancelled as well, or told in a survey alone: more than one state is right
        customer.fate = "undecided"
